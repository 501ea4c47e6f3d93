/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_CHOSEN_H
#define KB_SHARED_CHOSEN_H

#include "types.h"

/*
 * Functions and lines that were chosen by name and are counted at hardware breakpoints
 * (bpf/breakpoints.bpf.c): what both sides know of the places and of the counts.
 */
#define KB_CHOSEN_MAX	     4	   /* x86-64 has four debug registers for each thread */
#define KB_CHOSEN_PLACES_MAX 16384 /* four in each of 4,096 processes, as many as `procs` holds */

enum kb_chosen_role {
	KB_CHOSEN_ENTRY = 1, /* the first instruction of a function's body */
	KB_CHOSEN_LINE = 2,  /* the first one of a line */
	KB_CHOSEN_EXIT = 3,  /* one that ends a function */
};

struct kb_chosen_key {
	kb_u64 address; /* of an instruction's argument, 1 byte: see bpf/breakpoints.bpf.c */
	kb_u32 tgid;
	/* Counts from 0: up to 3.10 functions with the same instructions share one object of them
	 * (merge_const_one() in Python/compile.c of 3.10). */
	kb_u32 turn;
};
KB_ASSERT_SIZE(struct kb_chosen_key, 16);

struct kb_chosen_place {
	kb_u64 code; /* address of the code object that it lies in */
	/*
	 * 3.11+: a frame that points to this address executes the instruction already, and the
	 * interpreter looks at it again. 0: frames do not tell.
	 */
	kb_u64 executing;
	/*
	 * 3.11+, of a function's very first instruction: what its frame points to then. A frame
	 * that points elsewhere is the caller's: compilers read the instruction before they make
	 * the new frame the current one. 0: it is always the function's.
	 */
	kb_u64 starting;
	kb_s32 lasti;	/* up to 3.10: f_lasti of a frame that executes the instruction */
	kb_u32 number;	/* what it counts for, from 1: KB_CHOSEN_NUMBERS_MAX */
	kb_u8 role;	/* enum kb_chosen_role */
	kb_u8 timed;	/* an entry whose function's exits are places, too */
	kb_u8 argument; /* as it was at the last look, … */
	kb_u8 looked;	/* … if there was one */
	kb_u8 more;	/* the next turn has a place, too */
	kb_u8 reserved[3];
};
KB_ASSERT_SIZE(struct kb_chosen_place, 40);

/* Where the interpreter's loop lies, as linked: who else reads an instruction does not execute it.
 */
#define KB_CHOSEN_RANGES_MAX 8 /* as KB_EVAL_RANGES_MAX */
struct kb_chosen_image {
	struct {
		kb_u64 start, end;
	} ranges[KB_CHOSEN_RANGES_MAX];
	kb_u32 n_ranges;
	kb_u32 init_check; /* as in struct kb_call_image */
};
KB_ASSERT_SIZE(struct kb_chosen_image, 136);

/* What is counted apart: functions and lines by file, line and name. Callers have the numbers
 * behind. */
#define KB_CHOSEN_NUMBERS_MAX	256
#define KB_CHOSEN_FUNCTIONS_MAX 8192  /* these and their callers */
#define KB_CHOSEN_EDGES_MAX	16384 /* 1 MB */
#define KB_CHOSEN_LIVE_MAX	16384 /* timed calls that have not ended: 1.5 MB */

/* A histogram of latencies: four buckets for each power of two of ns, see kb_chosen__bucket(). */
#define KB_CHOSEN_OCTAVES    44 /* up to 4.9 hours */
#define KB_CHOSEN_PER_OCTAVE 4
#define KB_CHOSEN_BUCKETS    (KB_CHOSEN_OCTAVES * KB_CHOSEN_PER_OCTAVE)
struct kb_chosen_times {
	kb_u64 n;
	kb_u64 sum_ns;
	kb_u64 buckets[KB_CHOSEN_BUCKETS];
};
KB_ASSERT_SIZE(struct kb_chosen_times, 1424);

static inline kb_u32 kb_chosen__bucket(kb_u64 ns)
{
	kb_u32 octave = 0, step;
	kb_u64 rest = ns;

	/* No loop, for the verifier. */
	for (step = 32; step; step /= 2) {
		if (rest >> step) {
			rest >>= step;
			octave += step;
		}
	}
	if (octave >= KB_CHOSEN_OCTAVES)
		return KB_CHOSEN_BUCKETS - 1;
	/* The two bits below the highest one. */
	rest = octave >= 2 ? ns >> (octave - 2) & 3 : ns << (2 - octave) & 3;
	return octave * KB_CHOSEN_PER_OCTAVE + rest;
}

/* Shared with user space while running. */
struct kb_chosen_control {
	kb_u32 n_edges;	    /* used so far, 0 is none */
	kb_u32 n_functions; /* likewise, of callers */
	kb_u64 trap_ns; /* measured: from the end of one run of the program to the next one's start
			   where nothing lies between but the trap */
	/* While that is measured, in the process of user space: */
	kb_u64 last_end_ns, least_ns;
};
KB_ASSERT_SIZE(struct kb_chosen_control, 32);

#endif
