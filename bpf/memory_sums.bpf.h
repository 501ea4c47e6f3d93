/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MEMORY_SUMS_BPF_H
#define KB_MEMORY_SUMS_BPF_H

#include "memory.bpf.h"

/*
 * The live blocks, and the sums that they are in.
 *
 * Uprobes may be preempted, by one of another thread on the same CPU, too: counters are added to
 * atomically.
 */
#define MEMORY_PROCESSES_MAX 4096
#define PEAK_TRIES	     8 /* CPUs that raise the same peak at the same time */

/* memory.bpf.c defines them. */
#ifdef KB_DEFINE_MEMORY_SUMS
#define KB_MEMORY_SUMS_MAP
#else
#define KB_MEMORY_SUMS_MAP extern
#endif

/* Sizes are set by user space. */
KB_MEMORY_SUMS_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kb_block_key);
	__type(value, struct kb_block);
} memory_blocks SEC(".maps");

KB_MEMORY_SUMS_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MEMORY_PROCESSES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_memory_process);
} memory_processes SEC(".maps");

/* ---------------------------------------------------------------- sums */

/* The process's sums in the present window. */
static __noinline struct kb_memory_process *sums_of(kb_u32 proc)
{
	struct kb_memory_process *process = bpf_map_lookup_elem(&memory_processes, &proc);
	kb_u32 window = memory_control.window, epoch = memory_control.peak_epoch;

	if (!process || process->window != window) {
		struct kb_memory_process fresh = { .window = window, .peak_epoch = epoch };

		bpf_map_update_elem(&memory_processes, &proc, &fresh,
				    process ? BPF_ANY : BPF_NOEXIST);
		return bpf_map_lookup_elem(&memory_processes, &proc);
	}
	if (process->peak_epoch != epoch) {
		process->peak_epoch = epoch;
#pragma unroll
		for (int i = 0; i < KB_GROUP_IDS; i++) {
			process->sums[i].peak = process->sums[i].current;
			process->sums[i].peak_blocks = process->sums[i].blocks;
			process->sums[i].peak_at++;
		}
	}
	return process;
}

/* Before a stack's live blocks change. */
static __always_inline void keep_peak(struct kb_memory_stack *stack, kb_u32 peak_at)
{
	if (stack->peak_at == peak_at)
		return;
	stack->peak_bytes = stack->live_bytes;
	stack->peak_blocks = stack->live_blocks;
	stack->peak_at = peak_at;
}

static __always_inline struct kb_memory_stack *stack_at(kb_u32 id, kb_u32 peak_at)
{
	struct kb_memory_stack *stack = bpf_map_lookup_elem(&memory_stacks, &id);

	if (!stack)
		return NULL;
	if (stack->window != memory_control.window) {
		stack->window = memory_control.window;
		stack->live_bytes = stack->live_blocks = 0;
		stack->total_bytes = stack->total_blocks = 0;
		stack->peak_bytes = stack->peak_blocks = 0;
		stack->peak_at = peak_at;
	}
	keep_peak(stack, peak_at);
	return stack;
}

static __always_inline void raise_peak(struct kb_memory_sums *sums, kb_u64 current, kb_u64 blocks)
{
	for (int i = 0; i < PEAK_TRIES; i++) {
		kb_u64 peak = *(volatile kb_u64 *)&sums->peak;

		if (current <= peak)
			return;
		if (__sync_val_compare_and_swap(&sums->peak, peak, current) != peak)
			continue;
		sums->peak_blocks = blocks;
		__sync_fetch_and_add(&sums->peak_at, 1);
		return;
	}
}

/* Counts a block as allocated, alive or not. */
static __always_inline void add_total(struct kb_memory_sums *sums, const struct kb_block *block)
{
	kb_u32 id = block->stack;
	struct kb_memory_stack *stack = bpf_map_lookup_elem(&memory_stacks, &id);

	if (stack) {
		__sync_fetch_and_add(&stack->total_bytes, block->size);
		__sync_fetch_and_add(&stack->total_blocks, 1);
	}
	__sync_fetch_and_add(&sums->total, block->size);
	__sync_fetch_and_add(&sums->total_blocks, 1);
}

static __always_inline void add(struct kb_memory_sums *sums, const struct kb_block *block)
{
	struct kb_memory_stack *stack = stack_at(block->stack, sums->peak_at);
	kb_u64 current, blocks, size = block->size;

	if (stack) {
		__sync_fetch_and_add(&stack->live_bytes, size);
		__sync_fetch_and_add(&stack->live_blocks, 1);
	}
	current = __sync_fetch_and_add(&sums->current, size) + size;
	blocks = __sync_fetch_and_add(&sums->blocks, 1) + 1;
	raise_peak(sums, current, blocks);
}

static __always_inline void subtract(struct kb_memory_sums *sums, const struct kb_block *block)
{
	struct kb_memory_stack *stack = stack_at(block->stack, sums->peak_at);

	if (stack) {
		__sync_fetch_and_add(&stack->live_bytes, -block->size);
		__sync_fetch_and_add(&stack->live_blocks, -1ULL);
	}
	__sync_fetch_and_add(&sums->current, -block->size);
	__sync_fetch_and_add(&sums->blocks, -1ULL);
}

/* ---------------------------------------------------------------- blocks */

/* Whose sums a block is in. Blocks of code that is not the interpreter's are freed by the same
 * functions, so they are found by the same key. */
static __always_inline struct kb_memory_sums *sums_for(struct kb_memory_process *process,
						       kb_u32 group, const struct kb_block *block)
{
	if (block->domain == KB_DOMAIN_NATIVE)
		group = KB_GROUP_NATIVE;
	return &process->sums[group < KB_GROUP_IDS ? group : 0];
}

/* Takes a block out. False: it is not known, or of a window before. */
static __noinline int take_block(const struct kb_block_key *key, struct kb_block *block)
{
	struct kb_block *known = bpf_map_lookup_elem(&memory_blocks, key);

	if (!known)
		return 0;
	*block = *known;
	/* Of two that free it one has it. */
	if (bpf_map_delete_elem(&memory_blocks, key))
		return 0;
	return block->window == (kb_u16)memory_control.window;
}

#endif
