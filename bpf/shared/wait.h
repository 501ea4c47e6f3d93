/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_WAIT_H
#define KB_SHARED_WAIT_H

#include "types.h"

/*
 * Waits: what a thread does between leaving a CPU and running again. Only the
 * modes that are about time know them (bpf/offcpu.bpf.c).
 */
#define KB_WAITING_MAX 65536 /* threads; with its bookkeeping 5 MB */

/*
 * In place of a stack's hash: waits whose stack is not known. No stack has such a
 * hash but by a chance of 2^-62.
 */
#define KB_WAIT_NOT_WALKED   1 /* the CPU's time for walking was used up */
#define KB_WAIT_BEFORE_START 2 /* it began before observation did */
#define KB_WAIT_HASHES	     3

/* A thread, by its id, that has left a CPU, until it runs again. Kept until the thread ends. */
struct kb_wait {
	kb_u64 since; /* CLOCK_MONOTONIC, ns; 0: it runs */
	kb_u64 hash;  /* of its stack, or KB_WAIT_* */
	kb_u32 proc;
	kb_u16 reason; /* the ledger's, when its stack could not be taken; else KB_L_GOOD */
	kb_u16 state;  /* KB_STATE_*, when moments are wanted */
};
KB_ASSERT_SIZE(struct kb_wait, 24);

/* The stacks of waits that user space has: it keeps them for good, as a wait may end in a much
 * later generation than it began. */
struct kb_wait_stack_key {
	kb_u64 hash;
	kb_u32 proc;
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_wait_stack_key, 16);

/* The waits of one generation with one struct kb_stack_key. */
struct kb_wait_sum {
	kb_u64 ns;
	kb_u64 n;
};
KB_ASSERT_SIZE(struct kb_wait_sum, 16);

#endif
