// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From addresses to names, lines and values, while the thread holds still. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/id_map.h"
#include "inspect/dump.h"
#include "python/linetable.h"
#include "python/opcode.h"
#include "python/remote_code.h"
#include "python/remote_locals.h"
#include "python/remote_string.h"

#define LOCALS_MAX    KB_REMOTE_LOCALS_MAX
#define CODES_MAX     65536 /* different code objects of one stack; further ones are not named */
#define NAME_BYTES    512
#define VALUE_BYTES   4000 /* of one value, about */
#define VALUE_BUF_MAX (1u << 20)

void kb_dump_frames__clear(struct kb_dump_frames *stack)
{
	for (uint32_t i = 0; i < stack->n; i++)
		free(stack->frames[i].locals);
	stack->n = 0;
	stack->cut = false;
}

void kb_dump_frames__free(struct kb_dump_frames *stack)
{
	kb_dump_frames__clear(stack);
	free(stack->frames);
	memset(stack, 0, sizeof(*stack));
}

struct kb_dump_frame_data *kb_dump_frames__add(struct kb_dump_frames *stack)
{
	struct kb_dump_frame_data *grown =
		kb_array__grow(stack->frames, &stack->capacity, stack->n + 1, sizeof(*grown),
			       KB_REMOTE_FRAMES_MAX);

	if (!grown)
		return NULL;
	stack->frames = grown;
	return memset(&grown[stack->n++], 0, sizeof(*grown));
}

void kb_dump_frames__trim(struct kb_dump_frames *stack)
{
	for (uint32_t i = 0; i < stack->n; i++) {
		if (!stack->frames[i].beyond)
			continue;
		for (uint32_t j = i; j < stack->n; j++)
			free(stack->frames[j].locals);
		stack->n = i;
		stack->cut = true;
	}
}

/* ---------------------------------------------------------------- names */

/* A code object of the stack at hand. */
struct code {
	struct kb_remote_code code;
	const char *file, *name, *qualname;
};

struct naming {
	struct kb_dump *dump;
	struct kb_remote *remote;
	struct kb_id_map places; /* address → index in codes */
	struct code *codes;
	uint32_t n, capacity;
};

static const char *bare_name(struct naming *naming, uint64_t address)
{
	const char *result = NULL;
	uint64_t string;
	char *text;

	if (!kb_pages__read_u64(naming->remote->pages,
				address + naming->remote->objects->code_bare_name, &string))
		return NULL;
	text = kb_remote_string__read(naming->remote->pages, naming->remote->layout, string,
				      NAME_BYTES);
	if (text)
		result = kb_dump__string(naming->dump, text);
	free(text);
	return result;
}

/* NULL: it cannot be read, or there are too many. */
static const struct code *code_at(struct naming *naming, uint64_t address)
{
	const struct kb_remote *remote = naming->remote;
	uint32_t place = kb_id_map__get(&naming->places, address, 0);
	struct code *grown, *code;

	if (place != KB_ID_MAP_NONE)
		return &naming->codes[place];
	grown = kb_array__grow(naming->codes, &naming->capacity, naming->n + 1, sizeof(*grown),
			       CODES_MAX);
	if (!grown)
		return NULL;
	naming->codes = grown;
	code = &grown[naming->n];
	if (!kb_remote_code__read_pages(remote->pages, remote->layout, remote->code_type, address,
					&code->code))
		return NULL;
	code->file = kb_dump__string(naming->dump, code->code.file);
	code->qualname = kb_dump__string(naming->dump, code->code.name);
	code->name = bare_name(naming, address) ?: code->qualname;
	kb_id_map__set(&naming->places, address, 0, naming->n++);
	return code;
}

static void free_naming(struct naming *naming)
{
	for (uint32_t i = 0; i < naming->n; i++)
		kb_remote_code__free(&naming->codes[i].code);
	free(naming->codes);
	kb_id_map__free(&naming->places);
}

static const char *opcode(struct kb_remote *remote, const struct kb_remote_frame *frame)
{
	int number = kb_remote_frames__opcode(remote, frame);
	const char *name =
		number < 0 ? NULL : kb_opcode__name(remote->layout->version_minor, number);

	return name ? name : "";
}

void kb_dump_frames__fill(struct kb_dump *dump, struct kb_remote *remote,
			  const struct kb_remote_stack *from, struct kb_dump_frames *stack)
{
	struct naming naming = { .dump = dump, .remote = remote };
	struct kb_dump_frame_data *frame;
	const struct code *code;

	kb_dump_frames__clear(stack);
	kb_id_map__init(&naming.places, CODES_MAX);
	stack->cut = from->cut;
	for (uint32_t i = 0; i < from->n; i++) {
		bool beyond = i >= dump->opts.frames;

		/* Native frames find their places by all of Python's. */
		if (beyond && !dump->native) {
			stack->cut = true;
			break;
		}
		frame = kb_dump_frames__add(stack);
		if (!frame)
			break;
		frame->entry = from->frames[i].entry;
		frame->beyond = beyond;
		if (beyond)
			continue;
		frame->info.file = frame->info.name = frame->info.qualname = "???";
		/* Callers stand behind their call in 3.11 and 3.12, in what it caches. */
		frame->info.opcode =
			dump->opts.opcodes && !i ? opcode(remote, &from->frames[i]) : "";
		code = code_at(&naming, from->frames[i].code);
		if (!code)
			continue;
		frame->info.file = code->file;
		frame->info.name = code->name;
		frame->info.qualname = code->qualname;
		frame->info.line = kb_linetable__line(remote->layout->linetable_kind,
						      code->code.lines, code->code.lines_bytes,
						      code->code.first_line, from->frames[i].lasti);
		if (dump->opts.locals)
			kb_dump_frame__read_locals(dump, remote, &from->frames[i], frame);
	}
	free_naming(&naming);
}

/* ---------------------------------------------------------------- locals */

struct values {
	struct kb_dump *dump;
	struct kb_remote *remote;
	struct kb_dump_frame_data *frame;
};

static const char *value_text(struct values *values, const struct kb_remote_local *local)
{
	const struct kb_dump_opts *opts = &values->dump->opts;
	struct kb_remote_repr_opts limits = { .depth = opts->depth,
					      .items = opts->items,
					      .characters = opts->characters,
					      .bytes = VALUE_BYTES };
	const char *result;
	struct kb_buf text;
	char integer[32];

	if (local->is_integer) {
		snprintf(integer, sizeof(integer), "%" PRId64, local->integer);
		return kb_dump__string(values->dump, integer);
	}
	kb_buf__init(&text, VALUE_BUF_MAX);
	kb_remote_object__repr(values->remote, local->object, &limits, &text);
	kb_buf__append(&text, "", 1);
	result =
		kb_dump__string(values->dump, text.failed ? "<too long>" : (const char *)text.data);
	kb_buf__free(&text);
	return result;
}

static void add_local(const struct kb_remote_local *local, void *context)
{
	static const enum kb_dump_local_kind kinds[] = {
		[KB_REMOTE_LOCAL] = KB_DUMP_LOCAL,
		[KB_REMOTE_CELL] = KB_DUMP_CELL,
		[KB_REMOTE_FREE] = KB_DUMP_FREE,
	};
	struct values *values = context;
	struct kb_dump_frame_data *frame = values->frame;
	struct kb_dump_local *grown =
		kb_array__grow(frame->locals, &frame->capacity, (uint32_t)frame->info.n_locals + 1,
			       sizeof(*grown), LOCALS_MAX);

	if (!grown)
		return;
	frame->locals = grown;
	grown[frame->info.n_locals++] = (struct kb_dump_local){
		.name = kb_dump__string(values->dump, local->name),
		.value = value_text(values, local),
		.kind = kinds[local->kind],
	};
}

void kb_dump_frame__read_locals(struct kb_dump *dump, struct kb_remote *remote,
				const struct kb_remote_frame *from,
				struct kb_dump_frame_data *frame)
{
	struct values values = { .dump = dump, .remote = remote, .frame = frame };

	frame->info.n_locals = 0;
	kb_remote_locals__each(remote, from, add_local, &values);
}
