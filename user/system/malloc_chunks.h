/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_MALLOC_CHUNKS_H
#define KB_SYSTEM_MALLOC_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"
#include "system/maps.h"

/*
 * Which blocks of glibc's malloc are still allocated, from what lies around them in the memory of a
 * process that goes on meanwhile. Only what cannot be so for a block that is allocated counts
 * against it; the rest is taken for allocated.
 */
struct kb_malloc_chunk {
	uint64_t address; /* as malloc returned it */
	uint64_t size;	  /* that was asked for */
	bool freed;
};

/* Has the process a heap, and does that begin as glibc's malloc makes one? Otherwise nothing can be
 * judged. */
bool kb_malloc_chunks__are_there(pid_t pid, const struct kb_maps *maps);

/*
 * Sets `freed` of those that are not allocated any more. maps: the process's, read before.
 * Ascending addresses make it cheap. The answers hold if the process has executed no other program
 * and not ended until afterwards, which the caller looks at.
 */
struct kb_error *kb_malloc_chunks__judge(pid_t pid, const struct kb_maps *maps,
					 struct kb_malloc_chunk *chunks, size_t n);

#endif
