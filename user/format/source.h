/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_SOURCE_H
#define KB_FORMAT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "keelback/profile.h"

/*
 * The source text of a file that the target executed. Its name is the target's,
 * and so may be what it holds, so nothing but Python is shown: what its name or its
 * first line says is Python, and what the process's user may read.
 */
#define KB_SOURCE_BYTES_MAX (2u << 20) /* the longest modules have a few hundred KiB */
#define KB_SOURCE_LINE_MAX  1000       /* characters; what is longer is data, and is cut */

struct kb_source {
	char **lines; /* UTF-8, with tabs expanded, without line ends; NULL: not to be had */
	uint32_t n_lines;
	size_t bytes;	/* of all lines */
	char note[160]; /* why not, or what to mind; "" */
};

/*
 * Looks for a file in those of the processes that still live, then in our own file
 * system. Not having it is no error.
 */
struct kb_error *kb_source__read(const struct kb_profile *profile, const char *name,
				 const uint32_t *processes, uint32_t n_processes,
				 struct kb_source *source);

/* The lines of a file's bytes (a zero follows them), in the encoding that it declares as PEP 263
 * describes. */
struct kb_error *kb_source__decode(const char *bytes, size_t size, struct kb_source *source);

void kb_source__free(struct kb_source *source);

#endif
