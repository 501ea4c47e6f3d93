// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Audit events for programs, a JSON object in a line each. docs/AUDIT.md describes the members;
 * what a JSON reader has a type for is that, anything else an object whose first member
 * says what it is.
 */
#include <inttypes.h>
#include <math.h>
#include "base/json_out.h"
#include "base/text.h"
#include "format/audit_text.h"
#include "python/remote_repr.h"

static void write_values(struct kb_json_out *out, const char *name,
			 const struct kb_audit_value *values, size_t n);

/* A value's text; json_out's own writer takes no zeros and no lone surrogates. */
static void write_text(struct kb_json_out *out, const char *name,
		       const struct kb_audit_value *value)
{
	const char *at = value->text, *end = at + value->size;
	char utf8[4];

	kb_json_out__begin(out, name);
	putc('"', out->stream);
	while (at < end) {
		uint32_t c = kb_audit_text__next(&at, end);

		if (c == '"' || c == '\\')
			fprintf(out->stream, "\\%c", (char)c);
		else if (c < 0x10000 && (!kb_text__is_printable(c) || (c & 0xf800) == 0xd800))
			fprintf(out->stream, "\\u%04x", c);
		else
			fwrite(utf8, 1, (size_t)kb_text__encode(c, utf8), out->stream);
	}
	putc('"', out->stream);
}

static void write_hex(struct kb_json_out *out, const char *name, const struct kb_audit_value *value)
{
	kb_json_out__begin(out, name);
	putc('"', out->stream);
	for (size_t i = 0; i < value->size; i++)
		fprintf(out->stream, "%02x", (uint8_t)value->text[i]);
	putc('"', out->stream);
}

static void write_number(struct kb_json_out *out, const char *name, const char *digits)
{
	kb_json_out__begin(out, name);
	fputs(digits, out->stream);
}

/* What is in a value that is an object. */
static void write_members(struct kb_json_out *out, const struct kb_audit_value *value)
{
	char text[32];

	switch (value->kind) {
	case KB_VALUE_INT:
		kb_json_out__null(out, "int");
		kb_json_out__uint(out, "bits", value->length * 30);
		return;
	case KB_VALUE_FLOAT:
		kb_repr__double(value->real, text);
		kb_json_out__text(out, "float", text);
		return;
	case KB_VALUE_STR:
		write_text(out, "str", value);
		break;
	case KB_VALUE_BYTES:
		write_hex(out, "bytes", value);
		break;
	case KB_VALUE_TUPLE:
		write_values(out, "tuple", value->items, value->n_items);
		break;
	case KB_VALUE_LIST:
		write_values(out, "list", value->items, value->n_items);
		break;
	case KB_VALUE_DICT:
		kb_json_out__open(out, "dict", '[');
		for (size_t i = 0; i < value->n_items; i += 2)
			write_values(out, NULL, value->items + i, 2);
		kb_json_out__close(out, ']');
		break;
	case KB_VALUE_CODE:
		write_text(out, "code", value);
		kb_json_out__text(out, "file", value->file);
		kb_json_out__int(out, "line", value->line);
		return;
	case KB_VALUE_PATH:
		write_text(out, "path", value);
		break;
	case KB_VALUE_OBJECT:
		write_text(out, "type", value);
		kb_json_out__textf(out, "address", "0x%" PRIx64, value->address);
		return;
	default:
		kb_json_out__text(out, "unknown", value->text);
		return;
	}
	if (value->cut)
		kb_json_out__uint(out, "length", value->length);
}

static void write_value(struct kb_json_out *out, const struct kb_audit_value *value)
{
	char text[32];

	if (value->kind == KB_VALUE_NONE) {
		kb_json_out__null(out, NULL);
	} else if (value->kind == KB_VALUE_BOOL) {
		kb_json_out__bool(out, NULL, value->integer);
	} else if (value->kind == KB_VALUE_INT && !value->cut) {
		write_number(out, NULL, value->text);
	} else if (value->kind == KB_VALUE_FLOAT && isfinite(value->real)) {
		kb_repr__double(value->real, text);
		write_number(out, NULL, text);
	} else if (value->kind == KB_VALUE_STR && !value->cut) {
		write_text(out, NULL, value);
	} else if (value->kind == KB_VALUE_LIST && !value->cut) {
		write_values(out, NULL, value->items, value->n_items);
	} else {
		kb_json_out__open(out, NULL, '{');
		write_members(out, value);
		kb_json_out__close(out, '}');
	}
}

static void write_values(struct kb_json_out *out, const char *name,
			 const struct kb_audit_value *values, size_t n)
{
	kb_json_out__open(out, name, '[');
	for (size_t i = 0; i < n; i++)
		write_value(out, &values[i]);
	kb_json_out__close(out, ']');
}

static void write_stack(struct kb_json_out *out, const struct kb_audit_event *event)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(event->profile);

	kb_json_out__open(out, "stack", '[');
	for (uint32_t node = event->node; node != KB_ID_NONE; node = nodes[node].parent) {
		const struct kb_frame_info *frame =
			kb_profile__frame(event->profile, nodes[node].frame);
		const struct kb_function_info *function =
			kb_profile__function(event->profile, frame->function);

		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "function", function->name);
		kb_json_out__text(out, "file", function->file);
		kb_json_out__int(out, "line", frame->line);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

void kb_audit_event__write_json(const struct kb_audit_event *event, FILE *stream)
{
	const struct kb_process_info *process = event->process;
	struct kb_json_out out = { .stream = stream };

	kb_json_out__open(&out, NULL, '{');
	kb_json_out__text(&out, "type", "event");
	kb_json_out__int(&out, "time_ns", event->time_unix_ns);
	kb_json_out__int(&out, "pid", process->pid);
	kb_json_out__int(&out, "ns_pid", process->ns_pid);
	kb_json_out__int(&out, "tid", event->tid);
	kb_json_out__text(&out, "comm", process->comm);
	kb_json_out__text(&out, "thread", event->thread);
	kb_json_out__text(&out, "python", process->python);
	kb_json_out__text(&out, "container", event->container);
	kb_json_out__text(&out, "event", event->name);
	write_values(&out, "args", event->args, event->n_args);
	if (event->n_args < event->n_args_total)
		kb_json_out__uint(&out, "args_total", event->n_args_total);
	if (event->cut)
		kb_json_out__bool(&out, "cut", true);
	if (event->node != KB_ID_NONE)
		write_stack(&out, event);
	kb_json_out__close(&out, '}');
	kb_json_out__line(&out);
}

void kb_audit_count__write_json(const struct kb_audit_count *count, FILE *stream)
{
	struct kb_json_out out = { .stream = stream };

	kb_json_out__open(&out, NULL, '{');
	kb_json_out__text(&out, "type", "count");
	kb_json_out__text(&out, "event", count->name);
	kb_json_out__int(&out, "pid", count->process->pid);
	kb_json_out__text(&out, "comm", count->process->comm);
	kb_json_out__text(&out, "container", count->container);
	kb_json_out__uint(&out, "count", count->count);
	kb_json_out__close(&out, '}');
	kb_json_out__line(&out);
}

static void write_entries(struct kb_json_out *out, const char *name,
			  const struct kb_profile *profile, bool notes)
{
	kb_json_out__open(out, name, '{');
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.count && entry.note == notes && !entry.reported)
			kb_json_out__uint(out, entry.name, entry.count);
	}
	kb_json_out__close(out, '}');
}

void kb_audit_ledger__write_json(const struct kb_profile *profile, FILE *stream)
{
	struct kb_json_out out = { .stream = stream };
	uint64_t reported = 0;

	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++)
		if (kb_profile__ledger(profile, i).reported)
			reported += kb_profile__ledger(profile, i).count;
	kb_json_out__open(&out, NULL, '{');
	kb_json_out__text(&out, "type", "ledger");
	kb_json_out__uint(&out, "seen", kb_profile__attempted(profile));
	kb_json_out__uint(&out, "reported", reported);
	write_entries(&out, "lost", profile, false);
	write_entries(&out, "notes", profile, true);
	kb_json_out__close(&out, '}');
	kb_json_out__line(&out);
}
