/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_STRING_H
#define KB_PYTHON_REMOTE_STRING_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/layout.h"
#include "system/pages.h"

#define KB_REMOTE_STRING_BYTES_MAX 65536

/* The characters of a str object, as it stores them. */
struct kb_remote_string {
	uint64_t data;	 /* address of the characters */
	uint64_t length; /* of the string, in characters */
	uint32_t width;	 /* bytes per character: 1, 2 or 4 */
	bool ascii;
};

/* False: nothing readable there, or no string of known form. Does not look at the object's type. */
bool kb_remote_string__open(struct kb_pages *pages, const struct kb_layout *layout,
			    uint64_t address, struct kb_remote_string *string);

/*
 * As UTF-8, at most max_bytes (<= KB_REMOTE_STRING_BYTES_MAX) of what the process stores; a longer
 * one ends with an ellipsis. free() it; NULL: not readable.
 */
char *kb_remote_string__read(struct kb_pages *pages, const struct kb_layout *layout,
			     uint64_t address, uint32_t max_bytes);

/* Is it this ASCII text? */
bool kb_remote_string__is(struct kb_pages *pages, const struct kb_layout *layout, uint64_t address,
			  const char *text);

#endif
