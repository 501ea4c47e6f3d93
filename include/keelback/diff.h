/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_DIFF_H
#define KEELBACK_DIFF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "keelback/error.h"
#include "keelback/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Two profiles side by side, function by function. A function is the same in both
 * when its name and file are: it may have moved within its file. Counts are as they
 * are in each profile; shares of its total compare profiles of different length.
 */
struct kb_diff;

struct kb_diff_cost {
	uint64_t self;	/* in the profile's unit, in the function itself */
	uint64_t total; /* with the function anywhere on the stack, once for each stack */
};

struct kb_diff_row {
	enum kb_frame_kind kind;
	const char *name;
	const char *file;   /* "" for markers and the kernel */
	int32_t first_line; /* in the new profile, or in the old one where it has gone; 0: none */
	struct kb_diff_cost before, after; /* {} where a profile does not have it */
};

/* KB_STATUS_USAGE, naming what and both values, when the profiles cannot be compared: they
 * differ in mode, unit or rate. */
KB_API struct kb_error *kb_diff__check(const struct kb_profile *before,
				       const struct kb_profile *after);

/* The profiles must outlive it. Fails as kb_diff__check() does. */
KB_API struct kb_error *kb_diff__create(const struct kb_profile *before,
					const struct kb_profile *after, struct kb_diff **diff);
KB_API void kb_diff__destroy(struct kb_diff *diff);

/* Ordered by how much the share of the function itself has changed, most first. */
KB_API uint32_t kb_diff__n_rows(const struct kb_diff *diff);
KB_API const struct kb_diff_row *kb_diff__row(const struct kb_diff *diff, uint32_t index);

struct kb_diff_opts {
	size_t size;
	const char *sort; /* by change of the share: self, total; by name; NULL: self */
	unsigned limit;	  /* rows, 0: all */
	bool summary;	  /* what the columns mean, and both profiles' totals and ledgers */
	bool color;	  /* ANSI colours */
};

/* A table for people; opts may be NULL for defaults. Output errors are found. */
KB_API struct kb_error *kb_diff__write_table(const struct kb_diff *diff,
					     const struct kb_diff_opts *opts, FILE *stream);
/* All rows and both profiles' facts, as one JSON object. */
KB_API struct kb_error *kb_diff__write_json(const struct kb_diff *diff, FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
