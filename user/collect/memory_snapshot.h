/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_MEMORY_SNAPSHOT_H
#define KB_COLLECT_MEMORY_SNAPSHOT_H

#include "collect/memory_processes.h"
#include "collect/session.h"

/* The kernel's tables of allocations, as the memory of the session's profile. */
struct kb_memory_snapshot {
	struct kb_session *session; /* these are borrowed */
	const struct kb_memory_processes *processes;
	unsigned frames_max;
	uint64_t paused_ms; /* in which nothing was observed */
	uint64_t freed_unseen;
	uint32_t *entries; /* by the kernel's number of a stack: the entry, KB_ID_NONE: none */
	uint32_t n_entries, capacity;
};

/* Replaces what an earlier one has put there. What the records name must have been read. */
struct kb_error *kb_memory_snapshot__take(struct kb_memory_snapshot *snapshot);
/* The leaf of a stack of the kernel's table, and what the ledger says of it; KB_ID_NONE: no room.
 */
uint32_t kb_memory_stack__node(const struct kb_session *session,
			       const struct kb_memory_stack *stack, unsigned *reason);
void kb_memory_snapshot__free(struct kb_memory_snapshot *snapshot);

#endif
