// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include "base/id_map.h"
#include "collect/code_decoder.h"
#include "collect/interleave.h"
#include "collect/stack_decoder.h"
#include "python/opcode.h"

#define FRAMES_CACHE_MAX (1u << 22)

struct kb_stack_decoder {
	struct kb_stack_decoder_opts opts;
	struct kb_id_map frames;  /* (code, code unit) → frame */
	struct kb_id_map markers; /* (kind of word, value) → frame */
	/* Of the stack at hand. */
	uint32_t native[KB_WORDS_MAX]; /* frames */
	bool eval[KB_WORDS_MAX];
	struct kb_interleaved order[KB_WORDS_MAX];
};

/* ---- taking apart */

/* The sections of tasks are many, and of a form. */
static bool take_task(struct kb_stack_parts *parts, struct kb_words words)
{
	if (words.n < KB_TASK_HEAD || parts->n_tasks > KB_TASKS_MAX)
		return false;
	parts->tasks[parts->n_tasks++] = words;
	return true;
}

/* The words of the tail, from the first that is neither a frame nor a mark between frames. */
static bool split_tail(const kb_u64 *words, uint32_t n, struct kb_stack_parts *parts)
{
	for (uint32_t i = 0; i < n;) {
		kb_u64 word = words[i++];
		uint32_t kind = KB_WORD_KIND(word), value = KB_WORD_VALUE(word);

		/* A word between sections, or a kind that is not known: what follows is not
		 * understood either. */
		if (!KB_WORD_IS(word) || !kind || kind >= KB_WORD_KINDS)
			return false;
		parts->present |= 1u << kind;
		parts->value[kind] = value;
		if (!KB_WORD_COUNTS(kind))
			continue;
		if (value > n - i)
			return false;
		parts->section[kind] = (struct kb_words){ words + i, value };
		if (kind == KB_WORD_TASK && !take_task(parts, parts->section[kind]))
			return false;
		i += value;
	}
	return true;
}

static bool is_between_frames(kb_u64 word)
{
	uint32_t kind = KB_WORD_KIND(word);

	return !KB_WORD_IS(word) || kind == KB_WORD_NATIVE_MARK || kind == KB_WORD_GC;
}

bool kb_stack_parts__split(const kb_u64 *words, uint32_t n, struct kb_stack_parts *parts)
{
	uint32_t frames = 0;

	while (frames < n && is_between_frames(words[frames]))
		frames++;
	/* A collection behind all frames is of the tail. */
	while (frames && KB_WORD_IS(words[frames - 1]) &&
	       KB_WORD_KIND(words[frames - 1]) == KB_WORD_GC)
		frames--;
	*parts = (struct kb_stack_parts){ .python = { words, frames } };
	return split_tail(words + frames, n - frames, parts);
}

/* ---- frames */

struct kb_stack_decoder *kb_stack_decoder__create(const struct kb_stack_decoder_opts *opts)
{
	struct kb_stack_decoder *decoder = calloc(1, sizeof(*decoder));

	if (!decoder)
		return NULL;
	decoder->opts = *opts;
	kb_id_map__init(&decoder->frames, FRAMES_CACHE_MAX);
	kb_id_map__init(&decoder->markers, FRAMES_CACHE_MAX);
	return decoder;
}

void kb_stack_decoder__destroy(struct kb_stack_decoder *decoder)
{
	if (!decoder)
		return;
	kb_id_map__free(&decoder->frames);
	kb_id_map__free(&decoder->markers);
	free(decoder);
}

/* A frame that is only a name. kind and value tell markers apart. */
static uint32_t marker(struct kb_stack_decoder *decoder, uint64_t kind, uint64_t value,
		       const char *name)
{
	struct kb_code_info info = { .kind = KB_FRAME_MARKER, .file = "", .name = name };
	uint32_t frame = kb_id_map__get(&decoder->markers, kind, value);

	if (frame != KB_ID_NONE)
		return frame;
	frame = kb_profile__add_frame(decoder->opts.profile,
				      kb_profile__add_code(decoder->opts.profile, &info), 0);
	kb_id_map__set(&decoder->markers, kind, value, frame);
	return frame;
}

/* KB_CODE_HIDDEN: not shown. */
static uint32_t python_frame(struct kb_stack_decoder *decoder, uint32_t proc, kb_u64 word)
{
	uint32_t code = decoder->opts.code_at(proc, KB_FRAME_CODE(word), decoder->opts.context);
	uint32_t lasti = KB_FRAME_LASTI(word), frame;

	if (code == KB_CODE_HIDDEN || code == KB_ID_NONE)
		return code;
	frame = kb_id_map__get(&decoder->frames, code, lasti);
	if (frame == KB_ID_NONE) {
		frame = kb_profile__add_frame(decoder->opts.profile, code, lasti);
		kb_id_map__set(&decoder->frames, code, lasti, frame);
	}
	return frame;
}

/* ---- putting together */

/* A stack under construction, from its root on. */
struct build {
	struct kb_stack_decoder *decoder;
	const struct kb_data_stack *record;
	struct kb_stack_parts parts;
	uint32_t depth; /* words of the Python stack that are shown: with a task, its own */
	uint32_t node;	/* KB_ID_NONE: nothing yet */
	bool full;	/* a limit was reached */
};

#define TRUNCATED 0 /* these are no kinds of words */
#define RUNNING	  KB_WORD_KINDS

static void push(struct build *b, uint32_t frame)
{
	if (b->full || frame == KB_CODE_HIDDEN)
		return;
	b->node = kb_profile__add_node(b->decoder->opts.profile, b->node, frame);
	b->full = b->node == KB_ID_NONE;
}

static void push_marker(struct build *b, uint32_t kind, uint32_t value, const char *name)
{
	push(b, marker(b->decoder, kind, value, name));
}

/* Index of the first word that is a frame. */
static uint32_t innermost(const struct kb_words *python)
{
	uint32_t i = 0;

	while (i < python->n && KB_WORD_IS(python->words[i]))
		i++;
	return i;
}

/* The frame with the instruction that the innermost Python frame is at. */
static uint32_t with_opcode(struct build *b, uint32_t frame)
{
	const struct kb_stack_decoder_opts *opts = &b->decoder->opts;
	uint32_t opcode = b->parts.value[KB_WORD_OPCODE];
	const char *name = kb_opcode__name(opts->minor_of(b->record->proc, opts->context), opcode);
	char number[16];

	if (!name) {
		snprintf(number, sizeof(number), "<%u>", opcode); /* as module opcode has it */
		name = number;
	}
	return kb_profile__add_opcode(opts->profile, frame, name);
}

/* The frame of a word of the record; KB_CODE_HIDDEN: not shown. */
static uint32_t frame_of(struct build *b, const kb_u64 *word)
{
	const struct kb_words *python = &b->parts.python;
	uint32_t frame = python_frame(b->decoder, b->record->proc, *word);

	if (frame == KB_CODE_HIDDEN || !kb_stack_parts__has(&b->parts, KB_WORD_OPCODE) ||
	    word != python->words + innermost(python))
		return frame;
	return with_opcode(b, frame);
}

/* What stands above every frame of the stack. */
static void push_root(struct build *b)
{
	char name[32];

	if (kb_stack_parts__has(&b->parts, KB_WORD_INTERPRETER)) {
		uint32_t id = b->parts.value[KB_WORD_INTERPRETER];

		snprintf(name, sizeof(name), "<interpreter %u%s>", id,
			 id == KB_WORD_VALUE(~0ULL) ? "+" : "");
		push_marker(b, KB_WORD_INTERPRETER, id, name);
	}
	if (b->record->flags & KB_STACK_TRUNCATED)
		push_marker(b, TRUNCATED, 0, "<truncated>");
}

static uint32_t task_marker(struct build *b, kb_u64 key, uint32_t waiters)
{
	struct kb_stack_decoder *decoder = b->decoder;
	uint64_t kind = KB_WORD_TASK | (uint64_t)waiters << 32;
	uint32_t frame = kb_id_map__get(&decoder->markers, kind, key);
	char text[KB_TASK_LABEL_MAX];

	if (frame != KB_ID_NONE)
		return frame;
	kb_task_names__label(decoder->opts.task_names, key, waiters, text);
	return marker(decoder, kind, key, text);
}

/*
 * In place of the event loop's frames: from the task that nobody waits for down to the one that
 * runs, each with the coroutines in which it waits.
 */
static void push_tasks(struct build *b)
{
	for (uint32_t i = b->parts.n_tasks; i-- > 0;) {
		const struct kb_words *task = &b->parts.tasks[i];

		push(b, task_marker(b, task->words[0], KB_TASK_WAITERS(task->words[1])));
		for (uint32_t j = KB_TASK_HEAD; j < task->n; j++)
			push(b, python_frame(b->decoder, b->record->proc, task->words[j]));
	}
	b->depth = b->parts.python.n;
	if (b->parts.n_tasks && KB_TASK_DEPTH(b->parts.tasks[0].words[1]) < b->depth)
		b->depth = KB_TASK_DEPTH(b->parts.tasks[0].words[1]);
}

/*
 * Marks at the root say nothing: every thread was started by C. So do those beside a collection,
 * which is C code itself. What is hidden may leave two side by side, and at the leaf stands one for
 * the moment in which the interpreter returns to C code.
 */
static void push_python(struct build *b, const struct kb_words *words)
{
	bool callable = false, mark = false;

	for (uint32_t i = words->n; i-- > 0;) {
		kb_u64 word = words->words[i];
		uint32_t frame;

		if (KB_WORD_IS(word) && KB_WORD_KIND(word) == KB_WORD_GC) {
			push_marker(b, KB_WORD_GC, 0, "<GC>");
			callable = mark = false;
			continue;
		}
		if (KB_WORD_IS(word)) {
			mark = callable;
			continue;
		}
		frame = frame_of(b, &words->words[i]);
		if (frame == KB_CODE_HIDDEN)
			continue;
		if (mark)
			push_marker(b, KB_WORD_NATIVE_MARK, 0, "<native>");
		mark = false;
		callable = true;
		push(b, frame);
	}
}

/* What the leaf was doing beneath Python. */
static void push_leaf(struct build *b)
{
	if (kb_stack_parts__has(&b->parts, KB_WORD_GC))
		push_marker(b, KB_WORD_GC, 0, "<GC>");
}

static void push_word(struct build *b, const kb_u64 *word)
{
	if (!KB_WORD_IS(*word))
		push(b, frame_of(b, word));
	else if (KB_WORD_KIND(*word) == KB_WORD_GC)
		push_marker(b, KB_WORD_GC, 0, "<GC>");
}

/* Native frames among Python's. */
static void push_mixed(struct build *b)
{
	struct kb_stack_decoder *decoder = b->decoder;
	struct kb_words native = b->parts.section[KB_WORD_NATIVE];
	const struct kb_native_source *source = &decoder->opts.native;
	bool cut = native.n && !native.words[native.n - 1], matched;
	struct kb_interleave stacks = {
		.python = b->parts.python.words,
		.n_python = b->parts.python.n,
		.eval = decoder->eval,
		.n_native = native.n - cut,
		.python_cut = b->record->flags & KB_STACK_TRUNCATED,
		.native_cut = cut,
		.one_by_one = source->one_by_one(b->record->proc, decoder->opts.context),
	};
	uint32_t python_leaf, n, i = 0;

	source->frames(b->record->proc, native.words, stacks.n_native, decoder->native,
		       decoder->eval, decoder->opts.context);
	n = kb_interleave__order(&stacks, decoder->order, &python_leaf, &matched);
	if (!matched)
		kb_profile__ledger_add(decoder->opts.profile, KB_L_NATIVE_UNMATCHED, 1);
	/* The event loop, and what C code called it. */
	while (b->parts.n_tasks && i < n &&
	       (decoder->order[i].native || decoder->order[i].index >= b->depth))
		i++;
	for (; i < n; i++) {
		uint32_t index = decoder->order[i].index;

		if (i && i == python_leaf)
			push_leaf(b);
		if (decoder->order[i].native)
			push(b, decoder->native[index]);
		else
			push_word(b, &b->parts.python.words[index]);
	}
	if (!python_leaf || python_leaf == n)
		push_leaf(b);
	/* Nothing but the eval loop. */
	if (b->node == KB_ID_NONE)
		push_marker(b, KB_WORD_NATIVE, 0, "<unknown>");
}

static void push_kernel(struct build *b)
{
	struct kb_stack_decoder *decoder = b->decoder;
	struct kb_words kernel = b->parts.section[KB_WORD_KERNEL];
	uint32_t n = decoder->opts.native.kernel_frames(kernel.words, kernel.n, decoder->native,
							decoder->opts.context);

	while (n)
		push(b, decoder->native[--n]);
}

/* Beneath the leaf of who waits for the GIL, the stack of who held it then. */
static void push_holder(struct build *b)
{
	const struct kb_words *holder = &b->parts.section[KB_WORD_HOLDER];

	if (!kb_stack_parts__has(&b->parts, KB_WORD_HOLDER))
		return;
	push_marker(b, KB_WORD_HOLDER, 0, "<GIL held by>");
	if (holder->n)
		push_python(b, holder);
	else
		push_marker(b, KB_WORD_HOLDER, 1, "<unknown>");
}

uint32_t kb_stack_decoder__add(struct kb_stack_decoder *decoder, const struct kb_data_stack *record,
			       size_t size)
{
	const kb_u64 *words = (const kb_u64 *)(record + 1);
	struct build b = { .decoder = decoder, .record = record, .node = KB_ID_NONE };

	if (record->n_words > KB_WORDS_MAX || size < sizeof(*record) + record->n_words * 8 ||
	    !kb_stack_parts__split(words, record->n_words, &b.parts))
		return KB_ID_NONE;
	push_root(&b);
	push_tasks(&b);
	if (kb_stack_parts__has(&b.parts, KB_WORD_NATIVE) && decoder->opts.native.frames) {
		push_mixed(&b);
	} else {
		push_python(&b, &(struct kb_words){ b.parts.python.words, b.depth });
		push_leaf(&b);
	}
	if (kb_stack_parts__has(&b.parts, KB_WORD_KERNEL) && decoder->opts.native.kernel_frames)
		push_kernel(&b);
	if (record->flags & KB_STACK_RUNNING)
		push_marker(&b, RUNNING, 0, "<running>");
	push_holder(&b);
	return b.full ? KB_ID_NONE : b.node;
}
