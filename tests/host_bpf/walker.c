// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The functions of walker.h, for inclusion, and the BPF sources as they are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/unicode.h"
#include "host_bpf/walker.h"
#include "python/linetable.h"

#include "../../bpf/common/maps.bpf.c"
#include "../../bpf/python/thread.bpf.c"
#include "../../bpf/python/walk.bpf.c"
#include "../../bpf/python/state.bpf.c"
#include "../../bpf/python/code.bpf.c"
#include "../../bpf/python/task_name.bpf.c"
#include "../../bpf/python/task_waiter.bpf.c"
#include "../../bpf/python/tasks.bpf.c"

#define WALKED_CODES_MAX KB_FRAMES_MAX

static struct walked_code walked_codes[WALKED_CODES_MAX];
static unsigned n_walked_codes;

void walker__restrict(struct kb_proc *proc, unsigned ways)
{
	if (!(ways & WAY_TLS))
		proc->tstate_tls.kind = KB_TLS_NONE;
	if (!(ways & WAY_CURRENT))
		proc->tstate_current = 0;
	if (!(ways & WAY_GILSTATE)) {
		proc->gilstate_tls.kind = KB_TLS_NONE;
		proc->tss_key = 0;
	}
	if (!(ways & WAY_LIST))
		proc->interp_head = 0;
}

void walker__clear(void)
{
	for (unsigned i = 0; i < n_walked_codes; i++) {
		free(walked_codes[i].file);
		free(walked_codes[i].name);
		free(walked_codes[i].lines);
	}
	n_walked_codes = 0;
	kb_host__clear();
}

static char *decode_string(const kb_u8 *bytes, kb_u32 n, kb_u32 flags, int kind_shift, kb_u32 cut)
{
	kb_u32 width = KB_CODE_KIND(flags, kind_shift);
	char *text =
		width ? kb_unicode__to_utf8(bytes, n / width, width, flags & cut) : strdup("?");

	if (!text)
		abort();
	return text;
}

static void take_code(const struct kb_data_code *record, size_t size,
		      const struct kb_layout *layout)
{
	const kb_u8 *strings = (const kb_u8 *)(record + 1);
	struct walked_code *code = &walked_codes[n_walked_codes];

	if (size != sizeof(*record) + record->filename_bytes + record->name_bytes ||
	    record->filename_bytes > KB_FILENAME_MAX || record->name_bytes > KB_QUALNAME_MAX ||
	    record->lines_bytes > KB_LINES_CHUNK * KB_LINES_CHUNKS ||
	    n_walked_codes == WALKED_CODES_MAX) {
		fprintf(stderr, "record of a code object breaks its own limits\n");
		abort();
	}
	memset(code, 0, sizeof(*code));
	code->address = record->address;
	code->flags = record->flags;
	code->first_line = record->first_line;
	code->file = decode_string(strings, record->filename_bytes, record->flags,
				   KB_CODE_FILENAME_KIND, KB_CODE_FILENAME_CUT);
	code->name = decode_string(strings + record->filename_bytes, record->name_bytes,
				   record->flags, KB_CODE_NAME_KIND, KB_CODE_NAME_CUT);
	code->lines = malloc(record->lines_bytes + 1);
	code->lines_bytes = record->lines_bytes;
	code->linetable_kind = layout->linetable_kind;
	n_walked_codes++;
}

static void take_lines(const struct kb_data_lines *record, size_t size)
{
	struct walked_code *code = n_walked_codes ? &walked_codes[n_walked_codes - 1] : NULL;

	if (!code || code->address != record->address || size != sizeof(*record) + record->bytes ||
	    record->offset != code->lines_received ||
	    record->bytes > code->lines_bytes - code->lines_received) {
		fprintf(stderr, "chunk of a line table breaks its own limits\n");
		abort();
	}
	memcpy(code->lines + record->offset, record + 1, record->bytes);
	code->lines_received += record->bytes;
}

static void take_records(const struct kb_layout *layout)
{
	void *cursor = NULL;
	const void *record;
	size_t size;

	while ((record = kb_host__next_record(&data, &cursor, &size))) {
		if (*(const kb_u32 *)record == KB_DATA_CODE)
			take_code(record, size, layout);
		else if (*(const kb_u32 *)record == KB_DATA_LINES)
			take_lines(record, size);
	}
}

/* The newest record of an address counts. */
static const struct walked_code *find_code(kb_u64 address)
{
	for (unsigned i = n_walked_codes; i > 0; i--)
		if (walked_codes[i - 1].address == address)
			return &walked_codes[i - 1];
	return NULL;
}

static struct walked_frame resolve(kb_u64 word)
{
	struct walked_frame frame = { .code = find_code(KB_FRAME_CODE(word)) };

	if (frame.code && frame.code->lines_received == frame.code->lines_bytes)
		frame.line = kb_linetable__line(frame.code->linetable_kind, frame.code->lines,
						frame.code->lines_bytes, frame.code->first_line,
						KB_FRAME_LASTI(word));
	return frame;
}

void walker__sample(struct kb_proc *proc, const struct kb_layout *layout, kb_u64 tp, kb_u32 tid,
		    struct walked *walked)
{
	struct kb_walk *walk = malloc(sizeof(*walk));

	if (!walk)
		abort();
	walker__clear();
	memset(walk, 0xa5, sizeof(*walk)); /* what an earlier sample left behind must not matter */
	walked->n = 0;
	walked->code_status = KB_CODE_OK;
	walked->status = kb_find_thread(walk, proc, layout, tp, tid);
	if (walked->status == KB_WALK_OK)
		walked->status = kb_walk_frames(walk, layout, proc->id);
	if (walked->status == KB_WALK_FRAME_UNREADABLE && kb_find_caller(walk, layout))
		walked->status = kb_walk_frames(walk, layout, proc->id);
	if (walked->status <= KB_WALK_TRUNCATED) {
		walked->n = walk->n_frames;
		for (unsigned i = 0; i < walked->n && walked->code_status == KB_CODE_OK; i++)
			walked->code_status =
				kb_code_seen(proc, layout, KB_FRAME_CODE(walk->words[i]));
		take_records(layout);
		for (unsigned i = 0; i < walked->n; i++)
			walked->frames[i] = resolve(walk->words[i]);
	}
	free(walk);
}

bool walker__format(const struct walked_frame *frame, char *text, size_t size)
{
	const char *file = frame->code ? frame->code->file : "?", *slash = strrchr(file, '/');
	int n = snprintf(text, size, "%s|%s|%" PRId32, frame->code ? frame->code->name : "?",
			 slash ? slash + 1 : file, frame->line);

	return n >= 0 && (size_t)n < size;
}
