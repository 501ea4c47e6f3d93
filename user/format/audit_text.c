// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Audit events for people, a line each, as strace has system calls:
 *
 *     14:03:22.123456 4711 python3 open('/etc/passwd', 'r', 524288)
 *
 * Values look as Python's repr() has them. What was cut ends with "...".
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/text.h"
#include "format/audit_text.h"
#include "python/remote_repr.h"

uint32_t kb_audit_text__next(const char **text, const char *end)
{
	const uint8_t *at = (const uint8_t *)*text;

	/* Surrogates, which UTF-8 has no place for. */
	if (end - *text >= 3 && at[0] == 0xed && (at[1] & 0xe0) == 0xa0 && (at[2] & 0xc0) == 0x80) {
		*text += 3;
		return 0xd000u | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
	}
	if (!*at) {
		(*text)++;
		return 0;
	}
	return kb_text__next(text);
}

/* ---------------------------------------------------------------- values */

static void write_string(const struct kb_audit_value *value, FILE *stream)
{
	const char *at = value->text, *end = at + value->size;
	char quote = memchr(at, '\'', value->size) && !memchr(at, '"', value->size) ? '"' : '\'';
	char character[KB_REPR_CHARACTER_MAX];

	putc(quote, stream);
	while (at < end) {
		kb_repr__character(kb_audit_text__next(&at, end), quote, character);
		fputs(character, stream);
	}
	putc(quote, stream);
	if (value->cut)
		fputs("...", stream);
}

static void write_bytes(const struct kb_audit_value *value, FILE *stream)
{
	char quote =
		memchr(value->text, '\'', value->size) && !memchr(value->text, '"', value->size)
			? '"'
			: '\'';
	char character[KB_REPR_CHARACTER_MAX];

	fprintf(stream, "b%c", quote);
	for (size_t i = 0; i < value->size; i++) {
		uint8_t byte = (uint8_t)value->text[i];

		if (byte < 0x7f)
			kb_repr__character(byte, quote, character);
		else
			snprintf(character, sizeof(character), "\\x%02x", byte);
		fputs(character, stream);
	}
	putc(quote, stream);
	if (value->cut)
		fputs("...", stream);
}

static void write_values(const struct kb_audit_value *values, size_t n, bool pairs, bool cut,
			 FILE *stream)
{
	for (size_t i = 0; i < n; i++) {
		if (i)
			fputs(pairs && i % 2 ? ": " : ", ", stream);
		kb_audit_text__value(&values[i], stream);
	}
	if (cut)
		fputs(n ? ", ..." : "...", stream);
}

static void write_container(const struct kb_audit_value *value, FILE *stream)
{
	const char *brackets = value->kind == KB_VALUE_TUPLE  ? "()"
			       : value->kind == KB_VALUE_LIST ? "[]"
							      : "{}";

	putc(brackets[0], stream);
	write_values(value->items, value->n_items, value->kind == KB_VALUE_DICT, value->cut,
		     stream);
	if (value->kind == KB_VALUE_TUPLE && value->n_items == 1 && !value->cut)
		putc(',', stream);
	putc(brackets[1], stream);
}

static void write_int(const struct kb_audit_value *value, FILE *stream)
{
	if (value->cut)
		fprintf(stream, "<int of about %" PRIu64 " bits>", value->length * 30);
	else
		fputs(value->text, stream);
}

static void write_described(const struct kb_audit_value *value, FILE *stream)
{
	putc('<', stream);
	if (value->kind == KB_VALUE_CODE) {
		fputs("code ", stream);
		kb_text__write(stream, value->text);
		fputs(" at ", stream);
		kb_text__write(stream, value->file);
		fprintf(stream, ":%d", value->line);
	} else {
		kb_text__write(stream, value->text);
		if (value->kind == KB_VALUE_OBJECT)
			fprintf(stream, " at 0x%" PRIx64, value->address);
	}
	putc('>', stream);
}

void kb_audit_text__value(const struct kb_audit_value *value, FILE *stream)
{
	char real[32];

	switch (value->kind) {
	case KB_VALUE_NONE:
		fputs("None", stream);
		break;
	case KB_VALUE_BOOL:
		fputs(value->integer ? "True" : "False", stream);
		break;
	case KB_VALUE_INT:
		write_int(value, stream);
		break;
	case KB_VALUE_FLOAT:
		kb_repr__double(value->real, real);
		fputs(real, stream);
		break;
	case KB_VALUE_STR:
		write_string(value, stream);
		break;
	case KB_VALUE_BYTES:
		write_bytes(value, stream);
		break;
	case KB_VALUE_TUPLE:
	case KB_VALUE_LIST:
	case KB_VALUE_DICT:
		write_container(value, stream);
		break;
	case KB_VALUE_PATH:
		fputs("Path(", stream);
		write_string(value, stream);
		putc(')', stream);
		break;
	default:
		write_described(value, stream);
	}
}

/* ---------------------------------------------------------------- events */

static void write_time(int64_t unix_ns, FILE *stream)
{
	time_t seconds = (time_t)(unix_ns / (int64_t)KB_NS_PER_SECOND);
	char text[16];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	fprintf(stream, "%s.%06d", text, (int)(unix_ns % (int64_t)KB_NS_PER_SECOND / 1000));
}

static void write_stack(const struct kb_audit_event *event, FILE *stream)
{
	const struct kb_stack_node *nodes;
	uint32_t node = event->node;

	nodes = kb_profile__nodes(event->profile);
	while (node != KB_ID_NONE) {
		const struct kb_frame_info *frame =
			kb_profile__frame(event->profile, nodes[node].frame);
		const struct kb_function_info *function =
			kb_profile__function(event->profile, frame->function);

		fputs("    ", stream);
		kb_text__write(stream, function->name);
		if (function->kind == KB_FRAME_PYTHON) {
			fputs(" (", stream);
			kb_text__write(stream, function->file);
			fprintf(stream, ":%d)", frame->line);
		}
		putc('\n', stream);
		node = nodes[node].parent;
	}
}

void kb_audit_event__write_args(const struct kb_audit_event *event, FILE *stream)
{
	write_values(event->args, event->n_args, false, event->n_args < event->n_args_total,
		     stream);
}

void kb_audit_event__write_text(const struct kb_audit_event *event, FILE *stream)
{
	write_time(event->time_unix_ns, stream);
	fprintf(stream, " %d", event->process->pid);
	if (event->tid != event->process->pid)
		fprintf(stream, "/%d", event->tid);
	putc(' ', stream);
	kb_text__write(stream, event->process->comm);
	if (*event->container) {
		fputs(" [", stream);
		kb_text__write(stream, event->container);
		putc(']', stream);
	}
	putc(' ', stream);
	kb_text__write(stream, event->name);
	putc('(', stream);
	kb_audit_event__write_args(event, stream);
	fputs(")\n", stream);
	if (event->node != KB_ID_NONE)
		write_stack(event, stream);
}
