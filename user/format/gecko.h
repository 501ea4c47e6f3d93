/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_GECKO_H
#define KB_FORMAT_GECKO_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/json_out.h"
#include "base/strpool.h"
#include "format/stack_list.h"
#include "format/timeline.h"
#include "keelback/profile.h"

/* What the files of the format gecko share; gecko.c says what the format is. */

/* In the order of meta.categories. */
enum kb_gecko_category {
	KB_GECKO_OTHER,
	KB_GECKO_PYTHON,
	KB_GECKO_NATIVE,
	KB_GECKO_KERNEL,
	KB_GECKO_GC,
	KB_GECKO_GIL,
	KB_GECKO_GIL_WAIT,
	KB_GECKO_IDLE,
	KB_GECKO_EXCEPTION,
	KB_GECKO_CATEGORIES,
};

struct kb_gecko {
	const struct kb_profile *profile;
	bool timeline; /* single samples with their times, else sums one behind the other */
	struct kb_timeline rows; /* without a timeline, of samples and by stack */
	struct kb_stack_list *stacks;
	/* Of a stack: the same with the frame "waiting" on it, numbered behind stacks; KB_ID_NONE:
	 * nothing waits there. */
	uint32_t *waiting;
	uint32_t n_waiting;
	struct kb_strpool *strings;
	uint64_t interval_ns; /* mean, of one thread; 0: not known */
	struct kb_json_out out;
	struct kb_error *err; /* the first; what is written after it is of no use */
};

/* The index of a text in shared.stringArray. */
uint32_t kb_gecko__string(struct kb_gecko *gecko, const char *text);

/* The members samples and markers of a thread. */
void kb_gecko__write_samples(struct kb_gecko *gecko, uint32_t thread);
void kb_gecko__write_markers(struct kb_gecko *gecko, uint32_t thread);
/* The member markerSchema. */
void kb_gecko__write_schema(struct kb_gecko *gecko);
/* The members shared and libs, last: shared has the strings of all before it. */
void kb_gecko__write_tables(struct kb_gecko *gecko);

#endif
