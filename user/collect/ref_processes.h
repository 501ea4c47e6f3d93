/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_REF_PROCESSES_H
#define KB_COLLECT_REF_PROCESSES_H

#include <sys/types.h>
#include "collect/identify.h"
#include "kernel/ref_programs.h"

/*
 * The processes whose objects are counted, each with its own probes: other processes that run the
 * same files pay nothing.
 */
struct kb_ref_processes;

struct kb_ref_traced {
	pid_t pid;
	uint32_t proc; /* the kernel's id; of a command before its execution: KB_ID_NONE */
	uint32_t image;
	const char *way;
	uint64_t attached;	    /* CLOCK_MONOTONIC, ns */
	struct kb_uprobes *uprobes; /* NULL: none any more */
	bool ended;
};

struct kb_error *kb_ref_processes__create(struct kb_programs *programs, bool created_only,
					  struct kb_ref_processes **processes);
void kb_ref_processes__destroy(struct kb_ref_processes *processes);

/* For kb_identifier__on_image(): finds where a file's interpreter creates and destroys objects.
 * KB_STATUS_UNSUPPORTED: not all of it can be seen; the text says why and what can. */
struct kb_error *kb_ref_processes__add_image(uint32_t image, const struct kb_image_info *info,
					     const char *path, void *processes);
/* A process that is identified, that has executed another program, or was a command that was held.
 */
struct kb_error *kb_ref_processes__add(struct kb_ref_processes *processes, pid_t pid, uint32_t proc,
				       uint32_t image);
/* A command before its execution: of the interpreter that was added last, if there is one. */
struct kb_error *kb_ref_processes__add_command(struct kb_ref_processes *processes, pid_t pid);

/* Lets go of what has ended. */
void kb_ref_processes__look(struct kb_ref_processes *processes);
/* Takes all probes away. */
void kb_ref_processes__detach(struct kb_ref_processes *processes);

/* NULL: the process is not counted. */
const struct kb_ref_traced *kb_ref_processes__find(const struct kb_ref_processes *processes,
						   uint32_t proc);

#endif
