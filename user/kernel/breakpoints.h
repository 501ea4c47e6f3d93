/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_BREAKPOINTS_H
#define KB_KERNEL_BREAKPOINTS_H

#include "kernel/programs.h"

/*
 * Hardware breakpoints on the bytecode of chosen functions, in a session whose programs were
 * loaded with KB_RUN_CHOSEN: see bpf/breakpoints.bpf.c.
 */
struct kb_breakpoints;

/* programs is borrowed, and outlives it. */
struct kb_error *kb_breakpoints__create(struct kb_programs *programs,
					struct kb_breakpoints **breakpoints);
void kb_breakpoints__destroy(struct kb_breakpoints *breakpoints);

/* Before the first place in a process of the image. */
struct kb_error *kb_breakpoints__add_image(struct kb_breakpoints *breakpoints, uint32_t image,
					   const struct kb_chosen_image *info);
/* Before its events. *shared: there is another place at the address, with events. */
struct kb_error *kb_breakpoints__add_place(struct kb_breakpoints *breakpoints, pid_t pid,
					   uint64_t address, const struct kb_chosen_place *place,
					   bool *shared);

/* Of a process that has ended. */
void kb_breakpoints__remove_place(struct kb_breakpoints *breakpoints, pid_t pid, uint64_t address);

/*
 * Watches a byte in a thread and in those that it starts; processes: in child processes as
 * well. A thread that is gone is no error. KB_STATUS_UNSUPPORTED: all of the thread's breakpoints
 * are in use, or the processor has none.
 */
struct kb_error *kb_breakpoints__watch(struct kb_breakpoints *breakpoints, pid_t tid,
				       uint64_t address, bool processes);
/* Removes all of them; when it returns no program runs any more. */
void kb_breakpoints__remove(struct kb_breakpoints *breakpoints);

/* What a breakpoint costs a thread beside its program, ns: measured in this process, and from
 * then on subtracted from times. 0: it could not be measured. */
uint64_t kb_breakpoints__measure_trap(struct kb_breakpoints *breakpoints);

/* The edges so far, from index 1 on, and the latencies by number, as the kernel writes them. */
const struct kb_call_edge *kb_breakpoints__edges(const struct kb_breakpoints *breakpoints,
						 uint32_t *n);
const struct kb_chosen_times *kb_breakpoints__times(const struct kb_breakpoints *breakpoints);

#endif
