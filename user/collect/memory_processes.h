/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_MEMORY_PROCESSES_H
#define KB_COLLECT_MEMORY_PROCESSES_H

#include "collect/identify.h"
#include "collect/memory_plan.h"
#include "kernel/memory_programs.h"
#include "system/maps.h"
#include "system/process.h"

/*
 * The processes whose allocations are traced, each with its own probes: other processes that run
 * the same files pay nothing.
 */
struct kb_memory_processes;

struct kb_traced_process {
	pid_t pid;
	uint32_t proc; /* the kernel's id; of a command before its execution: KB_ID_NONE */
	enum kb_memory_way way;
	uint64_t attached;		 /* CLOCK_MONOTONIC, ns */
	struct kb_process_memory before; /* when it was attached to */
	struct kb_memory_probes *probes; /* NULL: none now */
	bool ended;			 /* the process, or the program that it ran then */
	uint32_t image;
	char libc[64]; /* its libc's file, as device:inode */
	uint64_t
		wait_until; /* CLOCK_MONOTONIC, ns: its libc may be mapped until then; 0: no more */
	struct kb_memory_facts facts;
};

struct kb_error *kb_memory_processes__create(struct kb_programs *programs,
					     const struct kb_memory_plan_opts *opts,
					     struct kb_memory_processes **processes);
void kb_memory_processes__destroy(struct kb_memory_processes *processes);

/* For kb_identifier__on_image(): remembers the file, and its functions. */
struct kb_error *kb_memory_processes__add_image(uint32_t image, const struct kb_image_info *info,
						const char *path, void *processes);
/*
 * A process that runs an interpreter; one that is known under its PID has executed another program,
 * or was a command that was held. KB_STATUS_UNSUPPORTED: it cannot be traced as was asked.
 */
struct kb_error *kb_memory_processes__add(struct kb_memory_processes *processes, pid_t pid,
					  uint32_t proc, const struct kb_interpreter *interp);
/* A process that is held before the first instruction of an interpreter of this image. */
struct kb_error *kb_memory_processes__add_executed(struct kb_memory_processes *processes, pid_t pid,
						   uint32_t image);
/* A command before its execution: of an interpreter that was added last, if there is one. */
struct kb_error *kb_memory_processes__add_command(struct kb_memory_processes *processes, pid_t pid,
						  const char *python_malloc);
/* Would a command of the interpreter that was added last see every block by itself? True also where
 * it is not known. */
bool kb_memory_processes__is_exact(const struct kb_memory_processes *processes);

/* Takes the probes of those whose growth is traced away, or puts them back. */
struct kb_error *kb_memory_processes__pause(struct kb_memory_processes *processes, bool pause);
/* Is there any? */
bool kb_memory_processes__may_pause(const struct kb_memory_processes *processes);
/* Probes the libc of those that had not mapped it yet; true: some still have not. */
bool kb_memory_processes__retry(struct kb_memory_processes *processes);
/* Lets go of what has ended. */
void kb_memory_processes__look(struct kb_memory_processes *processes);

/* The mapping of a process's libc, or NULL; *glibc: it is glibc's. */
const struct kb_map *kb_memory_processes__libc(const struct kb_maps *maps, bool *glibc);

/* NULL: the process is not traced. */
const struct kb_traced_process *
kb_memory_processes__find(const struct kb_memory_processes *processes, uint32_t proc);
uint32_t kb_memory_processes__count(const struct kb_memory_processes *processes);
const struct kb_traced_process *kb_memory_processes__at(const struct kb_memory_processes *processes,
							uint32_t index);

#endif
