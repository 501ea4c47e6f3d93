/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_CALL_PROGRAMS_H
#define KB_KERNEL_CALL_PROGRAMS_H

#include "bpf/shared/calls.h"
#include "kernel/programs.h"

/* The BPF side of counting calls, in a session whose programs were loaded with KB_RUN_CALLS. */
struct kb_call_programs;

/* programs is borrowed, and outlives it. */
struct kb_error *kb_call_programs__create(struct kb_programs *programs,
					  struct kb_call_programs **calls);
void kb_call_programs__destroy(struct kb_call_programs *calls);

/* Before the first probe of the image. */
struct kb_error *kb_call_programs__add_image(struct kb_call_programs *calls, uint32_t image,
					     const struct kb_call_image *info);
/* An address, as linked, at which a sample is set aside. */
struct kb_error *kb_call_programs__set_aside(struct kb_call_programs *calls, uint32_t image,
					     uint64_t address);

/*
 * Probes at file offsets, with KB_POINT_COOKIE()s, of one process or, pid 0, of all. They add to
 * those that are there until kb_call_programs__detach(), which removes all.
 */
struct kb_error *kb_call_programs__attach(struct kb_call_programs *calls, const char *path,
					  const uint64_t *offsets, const uint64_t *cookies,
					  uint32_t n, pid_t pid);
/* When it returns no program runs any more. */
void kb_call_programs__detach(struct kb_call_programs *calls);
/* Time on the CPU is known of threads from here on: only with KB_RUN_CALL_CLOCK. */
struct kb_error *kb_call_programs__attach_clock(struct kb_call_programs *calls);

/* Counting begins, threads with empty stacks; or it ends at once, while probes are still there. At
 * first it is open. */
void kb_call_programs__open(struct kb_call_programs *calls, bool open);

/*
 * What a probe costs a program beside what its BPF program does, ns: measured on a probe in this
 * process, some 20 ms. 0: it could not be measured.
 */
uint64_t kb_call_programs__measure_trap(struct kb_call_programs *calls);

/* What counting has cost so far: runs of the program, and the time in it. */
struct kb_call_cost {
	uint64_t runs, ns;
};
/* The kernel keeps these only from measure true to false; it costs each run some 50 ns. */
void kb_call_programs__cost(struct kb_call_programs *calls, bool measure,
			    struct kb_call_cost *cost);

/* The edges so far, from index 1 on, as the kernel writes them: counts may move while they are
 * read. */
const struct kb_call_edge *kb_call_programs__edges(const struct kb_call_programs *calls,
						   uint32_t *n);

#endif
