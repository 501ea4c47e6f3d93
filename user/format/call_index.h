/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CALL_INDEX_H
#define KB_FORMAT_CALL_INDEX_H

#include "keelback/calls.h"

/* The edges of call statistics by one of their ends, in the order of the edges. */
struct kb_call_index {
	uint32_t *first; /* by function, and one more: where its edges begin in `edges` */
	uint32_t *edges; /* ids */
};

enum kb_call_end { KB_BY_CALLEE, KB_BY_CALLER };

struct kb_error *kb_call_index__create(const struct kb_calls *calls, enum kb_call_end end,
				       struct kb_call_index *index);
/* One that is all zero may be freed. */
void kb_call_index__free(struct kb_call_index *index);

#endif
