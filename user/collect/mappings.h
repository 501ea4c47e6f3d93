/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_MAPPINGS_H
#define KB_COLLECT_MAPPINGS_H

#include "kernel/programs.h"
#include "symbols/module.h"

/*
 * The executable mappings of observed processes, for the unwinder in the kernel and
 * for naming what it found. A forked process shares its parent's list, there and here, until it is
 * seen to run code that is not in it. Processes go by the kernel's ids.
 */
struct kb_mappings;

struct kb_mapping {
	uint64_t start, end;
	uint64_t relative;		/* of start, in the module (symbols/module.h) */
	const struct kb_module *module; /* NULL: no file with code */
	const char *label;		/* of what is no module: "[heap]", "[anonymous]" */
};

/* Both are borrowed. */
struct kb_error *kb_mappings__create(struct kb_programs *programs, struct kb_modules *modules,
				     struct kb_mappings **mappings);
void kb_mappings__destroy(struct kb_mappings *mappings);

/*
 * Reads the mappings of a process that the kernel knows anew and tells it. A process that is
 * gone, or has become another one, keeps what is known. Errors: no memory, no room in the kernel.
 */
struct kb_error *kb_mappings__read(struct kb_mappings *mappings, uint32_t proc, pid_t pid);
/* What is known of the parent holds for the child, if nothing is known of it. */
void kb_mappings__forked(struct kb_mappings *mappings, uint32_t parent, uint32_t proc, pid_t pid);

/* The mapping of an address, or NULL. Valid until the process's mappings are read again. */
const struct kb_mapping *kb_mappings__find(const struct kb_mappings *mappings, uint32_t proc,
					   uint64_t address);
/* By place, to look at each of a process's. NULL past the last. */
const struct kb_mapping *kb_mappings__at(const struct kb_mappings *mappings, uint32_t proc,
					 uint32_t index);
/* 0: not known. */
pid_t kb_mappings__pid(const struct kb_mappings *mappings, uint32_t proc);

#endif
