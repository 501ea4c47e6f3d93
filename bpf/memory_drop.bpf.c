// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Blocks that were freed while nobody watched: user space has found out which
 * (collect/memory_look.h) and has them taken out here, by the same code as when their being freed
 * is seen.
 */
#include "memory_sums.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct kb_memory_drops);
} memory_drops SEC(".maps");

struct dropping {
	struct kb_memory_drops *drops;
	kb_u32 dropped;
};

static long drop_block(kb_u64 index, struct dropping *dropping)
{
	struct kb_memory_process *process;
	struct kb_block *known, block;
	struct kb_memory_drop *drop;

	if (index >= KB_MEMORY_DROPS)
		return 1;
	drop = &dropping->drops->blocks[index];
	known = bpf_map_lookup_elem(&memory_blocks, &drop->key);
	/* Another one may be there by now. */
	if (!known || known->time != drop->time || known->size != drop->size)
		return 0;
	process = sums_of(drop->key.proc);
	if (!process || !take_block(&drop->key, &block))
		return 0;
	subtract(sums_for(process, drop->key.group, &block), &block);
	dropping->dropped++;
	return 0;
}

/* Run by user space with BPF_PROG_TEST_RUN. Returns how many it has taken out. */
SEC("raw_tp")
int on_drop_blocks(void *ctx)
{
	kb_u32 zero = 0;
	struct dropping dropping = { .drops = bpf_map_lookup_elem(&memory_drops, &zero) };

	if (!dropping.drops)
		return 0;
	bpf_loop(dropping.drops->n, drop_block, &dropping, 0);
	return dropping.dropped;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
