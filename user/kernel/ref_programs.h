/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_REF_PROGRAMS_H
#define KB_KERNEL_REF_PROGRAMS_H

#include "bpf/shared/refs.h"
#include "kernel/programs.h"
#include "kernel/uprobe.h"

/* The object counts' part of kernel/programs.h: bpf/refs.bpf.c has what happens there. */

/* Sizes the maps; for kb_programs__create(). */
struct kb_error *kb_ref_programs__configure(struct kb_programs *programs,
					    const struct kb_programs_opts *opts);

struct kb_error *kb_ref_programs__add_image(struct kb_programs *programs, uint32_t image,
					    const struct kb_ref_image *info);
/* Puts probes into a file, for a process (see struct kb_uprobe_opts). */
struct kb_error *kb_ref_programs__attach(struct kb_programs *programs, struct kb_uprobes *uprobes,
					 pid_t pid, const char *path, const uint64_t *offsets,
					 const uint64_t *cookies, uint32_t n);
/* Counts from here on, or no more. */
void kb_ref_programs__count(struct kb_programs *programs, bool on);

typedef void (*kb_ref_count_fn)(const struct kb_ref_key *key, const struct kb_ref_count *count,
				void *context);
typedef void (*kb_ref_process_fn)(uint32_t proc, const struct kb_ref_process *process,
				  void *context);

/* What there is; programs go on meanwhile. */
struct kb_error *kb_ref_programs__each_count(struct kb_programs *programs, kb_ref_count_fn fn,
					     void *context);
void kb_ref_programs__each_process(struct kb_programs *programs, kb_ref_process_fn fn,
				   void *context);
/* Types have the numbers from 1 to this. */
uint32_t kb_ref_programs__n_types(const struct kb_programs *programs);
bool kb_ref_programs__type(const struct kb_programs *programs, uint32_t number,
			   struct kb_ref_type *type);

#endif
