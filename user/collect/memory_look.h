/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_MEMORY_LOOK_H
#define KB_COLLECT_MEMORY_LOOK_H

#include "collect/memory_processes.h"

/*
 * What was freed while observation paused: which of the blocks that are followed are still
 * allocated, by what lies in the memory of their processes. The others are taken out of the table
 * and of the sums. What cannot be judged stays.
 */
struct kb_memory_look;

/* Both are borrowed. */
struct kb_error *kb_memory_look__create(struct kb_programs *programs,
					const struct kb_memory_processes *processes,
					struct kb_memory_look **look);
void kb_memory_look__destroy(struct kb_memory_look *look);

/* While probes are away. Looks at a bounded part of the blocks, and goes on with the others the
 * next time; or at all of them. */
struct kb_error *kb_memory_look__take(struct kb_memory_look *look, bool all);
/* Blocks that were taken out so far. */
uint64_t kb_memory_look__freed(const struct kb_memory_look *look);

#endif
