/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_MEMORY_PLAN_H
#define KB_COLLECT_MEMORY_PLAN_H

#include <sys/types.h>
#include "keelback/memory.h"
#include "kernel/memory_programs.h"
#include "python/allocator.h"
#include "python/image.h"

/*
 * How the allocations of one process are observed: by which way, and which functions of which files
 * are probed for it.
 */
#define KB_MEMORY_FUNCTIONS_MAX 32

struct kb_memory_plan_opts {
	enum kb_memory_want want;
	bool libc; /* with the functions of Python's allocator: malloc beside it */
};

/* What decides it, beside the image. */
struct kb_memory_facts {
	const struct kb_image_info *image;
	const struct kb_allocator *allocator;
	bool uses_malloc; /* Python uses malloc for everything (PYTHONMALLOC=malloc) */
	bool debug;	  /* its debug hooks are on: blocks have other addresses within */
	bool replaced;	  /* malloc is not libc's: jemalloc and the like */
};

/* KB_STATUS_UNSUPPORTED: this cannot be had for this process; the text says why and what can. */
struct kb_error *kb_memory_plan__choose(const struct kb_memory_plan_opts *opts,
					const struct kb_memory_facts *facts,
					enum kb_memory_way *way);

/* The functions to probe in the file of the interpreter (fd: open), and in libc's. */
struct kb_error *kb_memory_plan__interpreter(int fd, const struct kb_memory_facts *facts,
					     enum kb_memory_way way,
					     struct kb_memory_probe *functions, uint32_t *n);
struct kb_error *kb_memory_plan__libc(int fd, const struct kb_memory_plan_opts *opts,
				      const struct kb_memory_facts *facts, enum kb_memory_way way,
				      struct kb_memory_probe *functions, uint32_t *n);

/* What a running process's allocator is set to. */
void kb_memory_facts__of_process(struct kb_memory_facts *facts, pid_t pid, uint64_t bias);
/* What an environment says of it: the value of PYTHONMALLOC, or NULL. */
void kb_memory_facts__of_setting(struct kb_memory_facts *facts, const char *python_malloc);

#endif
