/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_MEMORY_PROGRAMS_H
#define KB_KERNEL_MEMORY_PROGRAMS_H

#include "bpf/shared/memory.h"
#include "kernel/programs.h"

/* The allocation traces' part of kernel/programs.h: bpf/memory.bpf.c has what happens there. */

/* Sizes the maps; for kb_programs__create(). */
struct kb_error *kb_memory_programs__configure(struct kb_programs *programs,
					       const struct kb_programs_opts *opts);

/* The probes of one process, which go with it. */
struct kb_memory_probes;

/* A function to probe: its file offset, and the cookie that KB_COOKIE() makes. */
struct kb_memory_probe {
	uint64_t offset;
	uint64_t cookie;
};

/*
 * Puts probes on functions of a file, for a process (see struct kb_uprobe_opts). May be called
 * again for further files with the same *probes, which is NULL at first.
 */
struct kb_error *kb_memory_programs__attach(struct kb_programs *programs, pid_t pid,
					    const char *path,
					    const struct kb_memory_probe *functions, uint32_t n,
					    struct kb_memory_probes **probes);
/* NULL is allowed. Takes some 10 ms. */
void kb_memory_probes__destroy(struct kb_memory_probes *probes);

/* malloc called from elsewhere than here is native: KB_DOMAIN_NATIVE. */
void kb_memory_programs__set_text(struct kb_programs *programs, uint32_t proc,
				  const struct kb_memory_text *text);

/* Forgets everything, and counts from here on. */
void kb_memory_programs__clear(struct kb_programs *programs);
/* The peak is what is alive now. */
void kb_memory_programs__reset_peak(struct kb_programs *programs);
/* Calls that are under way will end unseen, or have begun so. */
void kb_memory_programs__reattached(struct kb_programs *programs);

typedef void (*kb_memory_stack_fn)(uint32_t id, const struct kb_memory_stack *stack, void *context);
typedef void (*kb_memory_block_fn)(const struct kb_block_key *key, const struct kb_block *block,
				   void *context);
typedef void (*kb_memory_process_fn)(uint32_t proc, const struct kb_memory_process *process,
				     void *context);

/*
 * What is there in the present window. Programs go on meanwhile, so tables that are read one after
 * the other need not agree to the byte unless the target is at rest. Peaks are as of the last
 * kb_memory_programs__reset_peak(), also of processes that have done nothing since.
 */
struct kb_error *kb_memory_programs__each_process(struct kb_programs *programs,
						  kb_memory_process_fn fn, void *context);
struct kb_error *kb_memory_programs__each_stack(struct kb_programs *programs, kb_memory_stack_fn fn,
						void *context);
struct kb_error *kb_memory_programs__each_block(struct kb_programs *programs, kb_memory_block_fn fn,
						void *context);

/* How far the table of blocks has been gone through; 0s to begin. */
struct kb_memory_blocks_cursor {
	uint32_t at;
	bool begun;
};
/* Goes on until at least `max` blocks have been had, or to the end: then `begun` is false, and the
 * next call begins anew. */
struct kb_error *kb_memory_programs__some_blocks(struct kb_programs *programs,
						 struct kb_memory_blocks_cursor *cursor,
						 uint32_t max, kb_memory_block_fn fn,
						 void *context);

/* Takes out those that are still the same: *dropped of them. */
struct kb_error *kb_memory_programs__drop(struct kb_programs *programs,
					  const struct kb_memory_drop *blocks, size_t n,
					  uint64_t *dropped);

#endif
