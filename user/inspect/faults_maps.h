/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_INSPECT_FAULTS_MAPS_H
#define KB_INSPECT_FAULTS_MAPS_H

#include "kernel/mmap_events.h"
#include "symbols/native_stack.h"

/*
 * The executable mappings of the machine's processes, kept until a moment after a process has
 * ended: when its death is told, it has none any more. They come from the kernel's events; what
 * ran before is read once. Files of Python processes are opened while the process is there.
 */
struct kb_fault_maps;

/* modules is borrowed. */
struct kb_error *kb_fault_maps__create(struct kb_modules *modules, struct kb_fault_maps **maps);
void kb_fault_maps__destroy(struct kb_fault_maps *maps);

/* Others: all files are looked for anew. NULL: not any more. */
void kb_fault_maps__set_modules(struct kb_fault_maps *maps, struct kb_modules *modules);

/* Takes what the kernel has to tell, and forgets processes that ended some time ago. */
void kb_fault_maps__update(struct kb_fault_maps *maps);
uint64_t kb_fault_maps__lost(const struct kb_fault_maps *maps);
int kb_fault_maps__fd(const struct kb_fault_maps *maps);
/* A Python process: what ran already is read from /proc, and its files are opened. */
void kb_fault_maps__add(struct kb_fault_maps *maps, pid_t pid, bool ran_already);
/* The process's code; without any when nothing is known of it. */
struct kb_error *kb_fault_maps__code(struct kb_fault_maps *maps, pid_t pid,
				     struct kb_code_map **code);

#endif
