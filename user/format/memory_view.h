/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_MEMORY_VIEW_H
#define KB_FORMAT_MEMORY_VIEW_H

#include "base/strpool.h"
#include "keelback/memory.h"

/* The memory of a profile as it is asked for: filtered, grouped, in order. */
struct kb_memory_row {
	const char *key; /* what the row is of, the same in every profile */
	uint32_t node;	 /* whose frame, or whole stack, the row is */
	const char *file;
	const char *name; /* of the function of a leaf; "" in groups of files */
	int32_t line;
	bool native; /* of KB_MEMORY_BY_NATIVE, which has rows of its own */
	uint64_t bytes, blocks;
	uint64_t oldest_ns, newest_ns;	    /* of live blocks: when they were allocated */
	uint64_t total_bytes, total_blocks; /* allocated */
};

struct kb_memory_view {
	struct kb_memory_row *rows; /* most first */
	uint32_t n, capacity;
	struct kb_strpool *keys;
	uint64_t bytes, blocks; /* of all entries that the filters let pass */
	bool full;
};

/* Options with what was left out put in. */
struct kb_error *kb_memory_view__complete(const struct kb_memory_view_opts *given,
					  struct kb_memory_view_opts *opts);

struct kb_error *kb_memory_view__create(const struct kb_profile *profile,
					const struct kb_memory_view_opts *opts,
					struct kb_memory_view **view);
void kb_memory_view__destroy(struct kb_memory_view *view);

/* What an entry has of the value that is asked for; false when the filters do not let it pass or it
 * has nothing. blocks: of the entry's live blocks, for the ages. */
bool kb_memory_view__passes(const struct kb_profile *profile,
			    const struct kb_memory_view_opts *opts,
			    const struct kb_memory_entry *entry);
void kb_memory_view__amount(const struct kb_memory_view_opts *opts,
			    const struct kb_memory_entry *entry, uint64_t *bytes, uint64_t *blocks);

/* The most recent frame of Python on a stack; the leaf where there is none. */
uint32_t kb_memory_view__python_leaf(const struct kb_profile *profile, uint32_t node);

/*
 * A profile of samples, whose counts are the view's bytes or blocks, for formats that show stacks.
 * kb_profile__destroy() it.
 */
struct kb_error *kb_memory_samples__create(const struct kb_profile *profile,
					   const struct kb_memory_view_opts *opts,
					   struct kb_profile **samples);

#endif
