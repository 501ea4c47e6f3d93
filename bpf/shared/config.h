/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_CONFIG_H
#define KB_SHARED_CONFIG_H

#include "types.h"

/* Which processes are observed. */
enum kb_filter {
	KB_FILTER_PIDS = 0,   /* those in the map of followed thread groups */
	KB_FILTER_CGROUP = 1, /* those in a cgroup or below */
	KB_FILTER_ALL = 2,
};

/* What each sample is asked for beside its Python frames. */
#define KB_WANT_NATIVE_MARKS 1u	   /* where C code called the interpreter */
#define KB_WANT_GC	     2u	   /* whether a collection is running */
#define KB_WANT_OPCODE	     4u	   /* the leaf's instruction */
#define KB_WANT_MOMENTS	     8u	   /* each sample by itself, with its time and the thread's state */
#define KB_WANT_NATIVE	     16u   /* native frames */
#define KB_WANT_KERNEL	     32u   /* kernel frames */
#define KB_WANT_TASKS	     64u   /* asyncio tasks */
#define KB_WANT_PROCESSES    2048u /* a notice of each process that BPF sets up itself */
#define KB_WANT_STATES	     128u /* how many hold the GIL, or handle an exception: in the ledger */
#define KB_WANT_CALL_TIMES   256u /* calls are clocked … */
#define KB_WANT_CALL_CPU     512u /* … by their threads' time on a CPU */
#define KB_WANT_C_FUNCTIONS  4096u /* calls of C functions and methods, too */
#define KB_WANT_CALLS	     1024u /* calls are counted: samples inside their probes are set aside */

/* enum kb_sample_mode of keelback/profile.h, which BPF does not see; the sampler asserts it. */
enum kb_mode {
	KB_MODE_IS_CPU = 0,
	KB_MODE_IS_WALL = 1,
	KB_MODE_IS_GIL = 2,
	KB_MODE_IS_GIL_WAIT = 3,
	KB_MODE_IS_EXCEPTION = 4,
};

/* Constant for a run: set before the programs are loaded, so the verifier drops what is off. */
struct kb_config {
	kb_u64 cgroup_id;
	kb_u32 cgroup_level; /* depth below the root of the hierarchy */
	kb_u32 filter;	     /* enum kb_filter */
	kb_u32 children;     /* with KB_FILTER_PIDS: follow forks */
	kb_u32 tid;	     /* 0, or only this thread */
	kb_u32 self_tgid;    /* keelback itself, never a target */
	kb_u32 tick_min_ns;  /* tick mode: interrupts closer together than this are other timers */
	kb_u32 stacks_high;  /* new stacks in a generation that call for an early drain */
	kb_u32 ring_high;    /* bytes waiting in the data ring that call for an early drain */
	kb_u32 mode;	     /* enum kb_mode */
	kb_u32 want;	     /* KB_WANT_* */
	kb_u64 wait_min_ns;  /* wall: shorter waits are not accounted */
	kb_u32 only_tgid;    /* 0, or no other process can be a target: switches ask this first */
	kb_u32 frames_max;   /* 0, or frames of a stack that are taken, from the leaf */
};
KB_ASSERT_SIZE(struct kb_config, 64);

/* Shared with user space while running. */
struct kb_control {
	kb_u32 generation;	/* parity picks the table of counts; user space flips it */
	kb_u32 next_proc;	/* process ids are taken from here, atomically, by both sides */
	kb_u32 drain_requested; /* a notice asking for a drain is under way */
	kb_u32 new_stacks[2];	/* of each parity */
	kb_u32 watch_births;	/* threads that start are noted */
	kb_u32 hold_tgid;	/* 0, or this process stops when it executes what is unknown */
	kb_u32 holds;		/* how often it has */
};
KB_ASSERT_SIZE(struct kb_control, 32);

/* A thread that was started while births were watched. */
struct kb_birth {
	kb_u64 time;   /* CLOCK_MONOTONIC, ns */
	kb_u32 parent; /* thread */
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_birth, 16);

#endif
