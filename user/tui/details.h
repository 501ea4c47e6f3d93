/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_DETAILS_H
#define KB_TUI_DETAILS_H

#include <stdint.h>
#include "tui/view_model.h"

/* Start with all zero. */

/* What a function consists of: its lines, or the instructions that it executes. */
struct kb_detail {
	int32_t line;	    /* of the source, 0: not known */
	const char *opcode; /* of the profile; NULL in lists of lines */
	uint64_t self, total;
};

struct kb_details {
	struct kb_detail *items; /* those with most samples first */
	uint32_t n;
	uint64_t self;	  /* of all of them */
	uint64_t unknown; /* of that, instructions: executed but not recorded */
	size_t capacity;
	struct kb_id_map ids; /* line and instruction → item */
};

void kb_details__free(struct kb_details *details);
/* Of what was aggregated. By lines a list of the function's lines, all of them. */
struct kb_error *kb_details__lines(struct kb_details *details, const struct kb_view_model *model,
				   uint32_t function);
struct kb_error *kb_details__opcodes(struct kb_details *details, const struct kb_view_model *model,
				     uint32_t function);

#endif
