/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_TASK_RECORDS_H
#define KB_COLLECT_TASK_RECORDS_H

#include "collect/ingest.h"
#include "python/remote_asyncio.h"

/*
 * Tasks that were read from outside, as the records that the kernel would send of them (bpf/shared/
 * tasks.h): a stack begins with the task that nobody waits for and ends with one that waits for no
 * task.
 */
struct kb_task_records;

/* Borrows both. NULL: out of memory. */
struct kb_task_records *kb_task_records__create(struct kb_ingest *ingest,
						struct kb_profile *profile);
void kb_task_records__destroy(struct kb_task_records *records);

/* A process whose tasks were read just now: its pages hold what was read. */
struct kb_task_process {
	struct kb_remote *remote;
	uint32_t proc; /* the kernel's id of it */
	const struct kb_remote_threads *threads;
	uint32_t generation;
	uint64_t time; /* CLOCK_MONOTONIC, ns */
	bool moments;  /* a timeline is wanted */
};

/* Counts one sample of the stack that `chain` is: tasks from the leaf to the root, each awaited by
 * the next. cut: the root is not the last. */
void kb_task_records__add(struct kb_task_records *records, const struct kb_task_process *process,
			  const struct kb_remote_task *const *chain, uint32_t n, bool cut);

#endif
