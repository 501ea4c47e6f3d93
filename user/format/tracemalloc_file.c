// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A file that tracemalloc.Snapshot.load() opens: a pickle of a Snapshot (Lib/tracemalloc.py), with
 * a trace for each live block.
 *
 * A trace is (domain, size, frames) up to 3.8 and has the number of all frames behind them from 3.9
 * on, and each of these unpacks exactly what it knows. So that one file does for all, the pickle
 * has its reader cut the traces to the length that its own Traceback class goes with: 2 and the
 * number of that class's slots, which became two in 3.9. What it evaluates are builtins and
 * operator, as
 *
 *     tuple(map(itemgetter(slice(0, add(2, len(Traceback.__slots__)))), traces))
 *
 * Blocks of one stack and size are one object many times. The protocol is 3, which every Python 3
 * reads (pickletools has the opcodes).
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "format/memory_view.h"
#include "format/memory_writers.h"

struct pickle {
	FILE *stream;
	uint32_t n_memos;
};

enum { NONE = UINT32_MAX };

static void put_u32(struct pickle *p, uint32_t value)
{
	uint32_t little = htole32(value);

	fwrite(&little, sizeof(little), 1, p->stream);
}

static void put_op(struct pickle *p, char op)
{
	putc(op, p->stream);
}

static void put_int(struct pickle *p, uint64_t value)
{
	if (value <= INT32_MAX) {
		put_op(p, 'J'); /* BININT */
		put_u32(p, (uint32_t)value);
		return;
	}
	/* LONG1 with 9 bytes, the last for the sign. */
	uint64_t little = htole64(value);

	fputs("\x8a\x09", p->stream);
	fwrite(&little, sizeof(little), 1, p->stream);
	putc(0, p->stream);
}

static void put_text(struct pickle *p, const char *text)
{
	put_op(p, 'X'); /* BINUNICODE */
	put_u32(p, kb_text__utf8_size(text));
	kb_text__write_utf8(p->stream, text);
}

static void put_global(struct pickle *p, const char *module, const char *name)
{
	fprintf(p->stream, "c%s\n%s\n", module, name);
}

/* Keeps what is on top of the stack; the number to get it by. */
static uint32_t keep(struct pickle *p)
{
	put_op(p, 'r'); /* LONG_BINPUT */
	put_u32(p, p->n_memos);
	return p->n_memos++;
}

static void get(struct pickle *p, uint32_t memo)
{
	put_op(p, 'j'); /* LONG_BINGET */
	put_u32(p, memo);
}

/* ---------------------------------------------------------------- traces */

struct writing {
	struct pickle p;
	const struct kb_profile *profile;
	const struct kb_memory_view_opts *opts;
	uint32_t *files;  /* by function: the memo of its file's name */
	uint32_t *frames; /* by frame: of (file, line) */
	uint32_t *stacks; /* by node: of its frames */
	unsigned longest; /* stack */
};

static void put_file(struct writing *w, uint32_t function)
{
	const struct kb_function_info *info = kb_profile__function(w->profile, function);

	if (w->files[function] != NONE) {
		get(&w->p, w->files[function]);
		return;
	}
	/* "<unknown>" is tracemalloc's name for where no Python code runs. */
	put_text(&w->p, *info->file ? info->file : "<unknown>");
	w->files[function] = keep(&w->p);
}

static void put_frame(struct writing *w, uint32_t frame)
{
	const struct kb_frame_info *info = kb_profile__frame(w->profile, frame);

	if (w->frames[frame] != NONE) {
		get(&w->p, w->frames[frame]);
		return;
	}
	put_file(w, info->function);
	put_int(&w->p, info->line > 0 ? info->line : 0);
	put_op(&w->p, '\x86'); /* TUPLE2 */
	w->frames[frame] = keep(&w->p);
}

static bool is_shown(const struct writing *w, uint32_t frame)
{
	enum kb_frame_kind kind =
		kb_profile__function(w->profile, kb_profile__frame(w->profile, frame)->function)
			->kind;

	return kind == KB_FRAME_PYTHON || kind == KB_FRAME_MARKER;
}

/* The frames, the most recent first. Returns how many there are. */
static unsigned put_stack(struct writing *w, uint32_t leaf)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(w->profile);
	unsigned n = 0;

	for (uint32_t at = leaf; at != KB_ID_NONE; at = nodes[at].parent)
		n += is_shown(w, nodes[at].frame);
	if (n > w->longest)
		w->longest = n;
	if (w->stacks[leaf] != NONE) {
		get(&w->p, w->stacks[leaf]);
		return n;
	}
	put_op(&w->p, '('); /* MARK */
	for (uint32_t at = leaf; at != KB_ID_NONE; at = nodes[at].parent)
		if (is_shown(w, nodes[at].frame))
			put_frame(w, nodes[at].frame);
	put_op(&w->p, 't'); /* TUPLE */
	w->stacks[leaf] = keep(&w->p);
	return n;
}

/* tracemalloc's own domain is 0; others are for what is not Python's allocator (its documentation
 * of PyTraceMalloc_Track()). */
static unsigned domain_of(enum kb_memory_domain domain)
{
	return domain <= KB_MEMORY_LIBC ? 0 : domain;
}

#define BATCH 1000 /* items between MARK and APPENDS, as Python's own pickler */

static void put_traces(struct writing *w, const struct kb_memory_blocks *blocks)
{
	const struct kb_memory_entry *entry =
		&kb_memory__entries(kb_profile__memory(w->profile))[blocks->entry];
	uint64_t left = blocks->count;
	uint32_t memo;
	unsigned n;

	put_op(&w->p, '('); /* MARK */
	put_op(&w->p, '(');
	put_int(&w->p, domain_of(entry->domain));
	put_int(&w->p, blocks->size);
	n = put_stack(w, entry->node);
	put_int(&w->p, n);
	put_op(&w->p, 't'); /* TUPLE */
	memo = keep(&w->p);
	for (uint64_t in_batch = 1; --left; in_batch++) {
		if (in_batch == BATCH) {
			put_op(&w->p, 'e'); /* APPENDS */
			put_op(&w->p, '(');
			in_batch = 0;
		}
		get(&w->p, memo);
	}
	put_op(&w->p, 'e');
}

/* itemgetter(slice(0, add(2, len(getattr(Traceback, "__slots__"))))) */
static void put_cutter(struct pickle *p)
{
	put_global(p, "operator", "itemgetter");
	put_global(p, "builtins", "slice");
	put_int(p, 0);
	put_global(p, "operator", "add");
	put_int(p, 2);
	put_global(p, "builtins", "len");
	put_global(p, "builtins", "getattr");
	put_global(p, "tracemalloc", "Traceback");
	put_text(p, "__slots__");
	fputs("\x86R", p->stream); /* TUPLE2 REDUCE: getattr */
	fputs("\x85R", p->stream); /* TUPLE1 REDUCE: len */
	fputs("\x86R", p->stream); /* add */
	fputs("\x86R", p->stream); /* slice */
	fputs("\x85R", p->stream); /* itemgetter */
}

/* An object of a class of tracemalloc; its state follows as a dictionary. */
static void put_object(struct pickle *p, const char *name)
{
	put_global(p, "tracemalloc", name);
	fputs(")\x81}(", p->stream); /* EMPTY_TUPLE NEWOBJ EMPTY_DICT MARK */
}

static void put_state(struct pickle *p)
{
	fputs("ub", p->stream); /* SETITEMS BUILD */
}

static void put_blocks(struct writing *w)
{
	const struct kb_memory *memory = kb_profile__memory(w->profile);
	const struct kb_memory_blocks *blocks = kb_memory__blocks(memory);
	const struct kb_memory_entry *entries = kb_memory__entries(memory);

	for (uint32_t i = 0; i < kb_memory__n_blocks(memory) && !ferror(w->p.stream); i++)
		if (kb_memory_view__passes(w->profile, w->opts, &entries[blocks[i].entry]))
			put_traces(w, &blocks[i]);
}

static void write_pickle(struct writing *w)
{
	const struct kb_memory *memory = kb_profile__memory(w->profile);
	struct pickle *p = &w->p;

	fputs("\x80\x03", p->stream); /* PROTO 3 */
	put_object(p, "Snapshot");
	put_text(p, "traces");
	put_object(p, "_Traces");
	put_text(p, "_traces");
	put_global(p, "builtins", "tuple");
	put_global(p, "builtins", "map");
	put_cutter(p);
	put_op(p, ']'); /* EMPTY_LIST */
	put_blocks(w);
	fputs("\x86R", p->stream); /* map */
	fputs("\x85R", p->stream); /* tuple */
	put_state(p);
	put_text(p, "traceback_limit");
	put_int(p, kb_memory__frames_max(memory) ? kb_memory__frames_max(memory)
		   : w->longest			 ? w->longest
						 : 1);
	put_state(p);
	put_op(p, '.'); /* STOP */
}

/* No memo yet for any of n. */
static uint32_t *make_memos(uint32_t n)
{
	uint32_t *memos = malloc(((size_t)n + 1) * sizeof(*memos));

	if (memos)
		memset(memos, 0xff, ((size_t)n + 1) * sizeof(*memos));
	return memos;
}

struct kb_error *kb_tracemalloc_file__write(const struct kb_profile *profile,
					    const struct kb_memory_view_opts *opts, FILE *stream)
{
	struct writing w = { .p = { .stream = stream },
			     .profile = profile,
			     .opts = opts,
			     .files = make_memos(kb_profile__n_functions(profile)),
			     .frames = make_memos(kb_profile__n_frames(profile)),
			     .stacks = make_memos(kb_profile__n_nodes(profile)) };
	bool whole = w.files && w.frames && w.stacks;

	if (whole)
		write_pickle(&w);
	free(w.files);
	free(w.frames);
	free(w.stacks);
	return whole ? NULL : kb_error__no_memory();
}
