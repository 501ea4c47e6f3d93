/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_NATIVE_H
#define KB_COLLECT_NATIVE_H

#include "bpf/shared/events.h"
#include "kernel/programs.h"
#include "model/profile.h"

/*
 * Native and kernel frames of a session: gives the unwinder in the kernel its tables and
 * each process's mappings, and turns the addresses that it found into frames of the profile.
 *
 * The interpreter's and the C library's tables are there before a process is sampled that was
 * found running. Others are built when a stack first ends for want of them, one at a time, between
 * two looks at the kernel's rings; such stacks are counted (NATIVE_NOT_READY).
 */
struct kb_native;

struct kb_error *kb_native__create(struct kb_programs *programs, struct kb_profile *profile,
				   struct kb_native **native);
void kb_native__destroy(struct kb_native *native);

/* Makes the tables of a file and of the C library before a process runs them. Failures cost its
 * first stacks. */
void kb_native__expect(struct kb_native *native, const char *path);
/* A process that the kernel was just told of. minor: of its Python's version. */
void kb_native__add_process(struct kb_native *native, uint32_t proc, pid_t pid, int minor);
/* A process that the kernel set up itself, from the process `parent` (0: by executing). */
void kb_native__new_process(struct kb_native *native, uint32_t proc, uint32_t parent, pid_t pid,
			    int minor);
/* A notice of the kinds MAPS and TABLE; others are left alone. */
void kb_native__notice(struct kb_native *native, const struct kb_notice *notice);
/* When all stacks of a generation have been named: gives back what names of processes that ended
 * need. */
void kb_native__end_generation(struct kb_native *native);
/* Builds one of the tables that are wanted. True: there are more. */
bool kb_native__work(struct kb_native *native);

/* Does each Python frame of the process have a native frame of the eval loop (up to 3.10)? */
bool kb_native__one_by_one(const struct kb_native *native, uint32_t proc);
/*
 * Frames of the profile for the addresses of a KB_WORD_NATIVE section; KB_ID_NONE
 * where the profile has no room. eval: which of them are the interpreter's eval loop.
 */
void kb_native__frames(struct kb_native *native, uint32_t proc, const kb_u64 *addresses, uint32_t n,
		       uint32_t *frames, bool *eval);
/* The same for a KB_WORD_KERNEL section, without what the sample itself made the kernel do. Returns
 * the number of frames, which are n at most. */
uint32_t kb_native__kernel_frames(struct kb_native *native, const kb_u64 *addresses, uint32_t n,
				  uint32_t *frames);

#endif
