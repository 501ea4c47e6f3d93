// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "collect/memory_snapshot.h"
#include "model/memory.h"
#include "system/process.h"

struct taking {
	struct kb_memory_snapshot *snapshot;
	bool *seen; /* by traced process: the kernel has figures of it */
	struct kb_profile *profile;
	struct kb_memory *memory;
	const struct kb_memory_process *process; /* of the stack at hand */
	uint64_t counts[KB_L_COUNT];		 /* what the ledger is to have */
	bool full;				 /* something had no room */
};

/* ---------------------------------------------------------------- processes */

static void read_present(const struct kb_traced_process *traced,
			 struct kb_memory_process_info *info)
{
	struct kb_process_memory now;

	if (!kb_process__memory(traced->pid, &now))
		return;
	info->rss = now.rss;
	info->rss_peak = now.rss_peak;
	info->minor_faults = now.minor_faults - traced->before.minor_faults;
	info->major_faults = now.major_faults - traced->before.major_faults;
}

static void add_process(uint32_t proc, const struct kb_memory_process *process, void *context)
{
	struct taking *t = context;
	const struct kb_session *session = t->snapshot->session;
	const struct kb_traced_process *traced =
		kb_memory_processes__find(t->snapshot->processes, proc);
	struct kb_memory_process_info info = { .process =
						       kb_ingest__process(session->ingest, proc) };

	if (!traced || info.process == KB_ID_NONE)
		return;
	t->seen[traced - kb_memory_processes__at(t->snapshot->processes, 0)] = true;
	info.way = traced->way;
	for (int i = 0; i < KB_GROUP_IDS; i++)
		info.sums[i] = (struct kb_memory_sum){
			.current = process->sums[i].current,
			.blocks = process->sums[i].blocks,
			.peak = process->sums[i].peak,
			.peak_blocks = process->sums[i].peak_blocks,
			.total = process->sums[i].total,
			.total_blocks = process->sums[i].total_blocks,
		};
	info.frees = process->frees;
	info.frees_before = process->frees_before;
	info.lost_blocks = process->lost_blocks;
	info.lost_bytes = process->lost_bytes;
	info.unfinished = process->unfinished;
	if (traced->attached > session->started)
		info.attached_ns = traced->attached - session->started;
	read_present(traced, &info);
	t->counts[KB_L_STACKS_FULL] += process->no_stack;
	t->counts[KB_L_BLOCKS_FULL] += process->lost_blocks;
	t->counts[KB_L_FREED_BEFORE] += process->frees_before;
	t->counts[KB_L_ALLOC_UNFINISHED] += process->unfinished;
	t->full = !kb_memory__add_process(t->memory, &info) || t->full;
}

/* Those that have done nothing. */
static void add_idle_processes(struct taking *t)
{
	static const struct kb_memory_process nothing;
	const struct kb_memory_processes *processes = t->snapshot->processes;

	for (uint32_t i = 0; i < kb_memory_processes__count(processes); i++) {
		const struct kb_traced_process *traced = kb_memory_processes__at(processes, i);

		if (!t->seen[i] && !traced->ended && traced->proc != KB_ID_NONE)
			add_process(traced->proc, &nothing, t);
	}
}

/* ---------------------------------------------------------------- stacks */

/* tracemalloc's name for where no frame is (Modules/_tracemalloc.c). */
static uint32_t marker(struct kb_profile *profile, const char *name)
{
	struct kb_code_info info = { .kind = KB_FRAME_MARKER, .file = "", .name = name };

	return kb_profile__add_node(
		profile, KB_ID_NONE,
		kb_profile__add_frame(profile, kb_profile__add_code(profile, &info), 0));
}

uint32_t kb_memory_stack__node(const struct kb_session *session,
			       const struct kb_memory_stack *stack, unsigned *reason)
{
	uint32_t node;

	if (stack->key.hash < KB_L_COUNT) {
		*reason = (unsigned)stack->key.hash;
		return marker(session->profile,
			      *reason == KB_L_NO_FRAME || *reason == KB_L_NOT_PYTHON_THREAD
				      ? "<no Python frame>"
				      : "<unreadable stack>");
	}
	node = kb_ingest__kept_node(session->ingest, stack->key.hash, stack->key.proc);
	if (node == KB_ID_NONE) {
		*reason = KB_L_LOST_STACK;
		return marker(session->profile, "<lost stack>");
	}
	*reason = kb_ingest__is_truncated(session->ingest, node) ? KB_L_TRUNCATED : KB_L_GOOD;
	return node;
}

struct peaks {
	uint32_t proc;
	uint32_t peak_at[KB_GROUP_IDS];
	bool found;
};

static void take_peaks(uint32_t proc, const struct kb_memory_process *process, void *context)
{
	struct peaks *peaks = context;

	if (proc != peaks->proc)
		return;
	peaks->found = true;
	for (int i = 0; i < KB_GROUP_IDS; i++)
		peaks->peak_at[i] = process->sums[i].peak_at;
}

static bool reserve(struct kb_memory_snapshot *s, uint32_t id)
{
	uint32_t *entries =
		kb_array__grow(s->entries, &s->capacity, id + 1, sizeof(*entries), UINT32_MAX);

	if (!entries)
		return false;
	s->entries = entries;
	while (s->n_entries <= id)
		entries[s->n_entries++] = KB_ID_NONE;
	return true;
}

struct stacks {
	struct taking *taking;
	struct peaks peaks; /* of the process of the last stack */
};

static void add_stack(uint32_t id, const struct kb_memory_stack *stack, void *context)
{
	struct stacks *stacks = context;
	struct taking *t = stacks->taking;
	const struct kb_session *session = t->snapshot->session;
	const struct kb_traced_process *traced =
		kb_memory_processes__find(t->snapshot->processes, stack->key.proc);
	struct kb_memory_entry entry = { .process = kb_ingest__process(session->ingest,
								       stack->key.proc),
					 .domain = stack->key.domain,
					 .live_bytes = stack->live_bytes,
					 .live_blocks = stack->live_blocks,
					 .total_bytes = stack->total_bytes,
					 .total_blocks = stack->total_blocks };
	unsigned reason = KB_L_GOOD, group;
	bool changed;

	if (!traced || entry.process == KB_ID_NONE || !stack->key.proc || !stack->total_blocks ||
	    entry.domain >= KB_MEMORY_DOMAINS)
		return;
	if (!stacks->peaks.found || stacks->peaks.proc != stack->key.proc) {
		stacks->peaks = (struct peaks){ .proc = stack->key.proc };
		kb_error__destroy(kb_memory_programs__each_process(session->programs, take_peaks,
								   &stacks->peaks));
	}
	/* See struct kb_memory_stack in bpf/shared/memory.h. */
	group = kb_memory__group_of(traced->way, entry.domain);
	changed = stacks->peaks.found && stack->peak_at == stacks->peaks.peak_at[group];
	entry.peak_bytes = changed ? stack->peak_bytes : stack->live_bytes;
	entry.peak_blocks = changed ? stack->peak_blocks : stack->live_blocks;
	entry.node = kb_memory_stack__node(session, stack, &reason);
	t->counts[reason] += stack->total_blocks;
	if (entry.node == KB_ID_NONE || !reserve(t->snapshot, id)) {
		t->full = true;
		return;
	}
	t->snapshot->entries[id] = kb_memory__add_entry(t->memory, &entry);
	t->full = t->full || t->snapshot->entries[id] == KB_ID_NONE;
}

static void add_block(const struct kb_block_key *key, const struct kb_block *block, void *context)
{
	struct taking *t = context;
	const struct kb_session *session = t->snapshot->session;
	struct kb_memory_blocks blocks = { .size = block->size, .count = 1 };

	if (!block->stack || block->stack >= t->snapshot->n_entries)
		return;
	blocks.entry = t->snapshot->entries[block->stack];
	if (block->time > session->started)
		blocks.oldest_ns = block->time - session->started;
	blocks.newest_ns = blocks.oldest_ns;
	if (blocks.entry != KB_ID_NONE)
		t->full = !kb_memory__add_blocks(t->memory, &blocks) || t->full;
}

/* ---------------------------------------------------------------- taking it */

static void set_ledger(const struct taking *t)
{
	static const enum kb_ledger_reason ours[] = {
		KB_L_GOOD,
		KB_L_TRUNCATED,
		KB_L_NO_FRAME,
		KB_L_NOT_PYTHON_THREAD,
		KB_L_TSTATE_UNREADABLE,
		KB_L_FRAME_UNREADABLE,
		KB_L_STACKS_FULL,
		KB_L_LOST_STACK,
		KB_L_BLOCKS_FULL,
		KB_L_FREED_BEFORE,
		KB_L_ALLOC_UNFINISHED,
		KB_L_PAUSED_MS,
		KB_L_FREED_UNSEEN,
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		kb_profile__ledger_set(t->profile, ours[i], t->counts[ours[i]]);
}

static struct kb_error *take_tables(struct taking *t)
{
	struct kb_programs *programs = t->snapshot->session->programs;
	struct stacks stacks = { .taking = t };

	KB_TRY(kb_memory_programs__each_process(programs, add_process, t));
	add_idle_processes(t);
	KB_TRY(kb_memory_programs__each_stack(programs, add_stack, &stacks));
	return kb_memory_programs__each_block(programs, add_block, t);
}

struct kb_error *kb_memory_snapshot__take(struct kb_memory_snapshot *s)
{
	struct kb_error *err;
	struct taking t = { .snapshot = s, .profile = s->session->profile };
	struct kb_memory_head head = {
		.frames_max = s->frames_max,
		.taken_ns = kb_now(CLOCK_MONOTONIC) - s->session->started,
	};

	t.memory = kb_memory__begin(t.profile, &head);
	if (!t.memory)
		return kb_error__no_memory();
	s->n_entries = 0;
	t.counts[KB_L_PAUSED_MS] = s->paused_ms;
	t.counts[KB_L_FREED_UNSEEN] = s->freed_unseen;
	t.seen = calloc(kb_memory_processes__count(s->processes) + 1, sizeof(*t.seen));
	err = t.seen ? take_tables(&t) : kb_error__no_memory();
	free(t.seen);
	KB_TRY(err);
	set_ledger(&t);
	return t.full ? kb_failed("more allocating stacks or sizes of blocks than can be shown")
		      : NULL;
}

void kb_memory_snapshot__free(struct kb_memory_snapshot *s)
{
	free(s->entries);
}
