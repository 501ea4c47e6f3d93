/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_PROGRAMS_OBJECT_H
#define KB_KERNEL_PROGRAMS_OBJECT_H

#include "kernel/programs.h"
#include "kernel/uprobe.h"
#include "gen/collect.skel.h" /* needs the shared types from the headers above */

/*
 * What is behind kernel/programs.h, for the files of this directory alone: programs.c has what all
 * runs share, and each capability with maps of its own a file beside it.
 */
struct kb_programs {
	struct kb_collect_bpf *bpf;
	uint32_t runs; /* KB_RUN_* */
	struct ring_buffer *data;
	struct ring_buffer *notices;
	struct bpf_link *tick;
	struct bpf_link *on_switch;
	struct kb_uprobes *uprobes;
	struct kb_uprobes *audit_uprobes; /* NULL without */
	uint32_t draining;		  /* parity of the generation that was ended last */
	uint64_t *cpu_values;
	struct kb_stack_key *keys;
	uint64_t *counts;
	struct kb_wait_sum *sums; /* these are NULL without waits */
	uint32_t *tids;
	struct kb_wait *waiting;
	kb_notice_fn notice_fn;
	kb_record_fn record_fn;
	void *context;
};

/* Before loading, for runs that have it. */
void kb_audit_programs__configure(struct kb_programs *programs,
				  const struct kb_audit_config *config);

#endif
