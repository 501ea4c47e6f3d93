/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_HOST_BPF_WALKER_H
#define KB_HOST_BPF_WALKER_H

#include "host_bpf/env.h"
#include "bpf/shared/events.h"
#include "bpf/shared/layout.h"
#include "bpf/shared/process.h"

/*
 * The BPF walker with what user space does to its records, as one function: from a
 * thread pointer to names and lines. walker.c includes the BPF sources; it and
 * env.c are included by the one file that a test consists of.
 */

/* The ways to a thread state, see bpf/python/thread.bpf.c. */
#define WAY_TLS	     1u
#define WAY_CURRENT  2u
#define WAY_GILSTATE 4u
#define WAY_LIST     8u
#define WAYS_ALL     15u

/* A code object as its records tell; owned by the walker until the next walk. */
struct walked_code {
	kb_u64 address;
	kb_u32 flags; /* KB_CODE_* */
	kb_s32 first_line;
	char *file, *name;
	kb_u8 *lines;
	kb_u32 lines_bytes, lines_received;
	kb_u8 linetable_kind;
};

struct walked_frame {
	const struct walked_code *code; /* NULL: no record of it arrived */
	kb_s32 line;
};

struct walked {
	int status;	 /* enum kb_walk_status */
	int code_status; /* enum kb_code_status: of the first code object that was not OK */
	unsigned n;
	struct walked_frame frames[KB_FRAMES_MAX];
};

/* Leaves only the given ways in a process's description. */
void walker__restrict(struct kb_proc *proc, unsigned ways);

/* One sample of the thread, with empty maps. proc may be changed as in the kernel. */
void walker__sample(struct kb_proc *proc, const struct kb_layout *layout, kb_u64 tp, kb_u32 tid,
		    struct walked *walked);

/* `name|base name of the file|line`; false when it does not fit. */
bool walker__format(const struct walked_frame *frame, char *text, size_t size);

/* Releases all that the last sample left. */
void walker__clear(void);

#endif
