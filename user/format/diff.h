/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_DIFF_H
#define KB_FORMAT_DIFF_H

#include "keelback/diff.h"

/* Inside of a comparison, for its writers. */
struct kb_diff {
	const struct kb_profile *before, *after;
	uint64_t before_total, after_total;
	struct kb_diff_row *rows;
	uint32_t n_rows;
};

/* A count's share of a total, 0 to 1; 0 without a total. */
double kb_diff__share(uint64_t count, uint64_t total);
/* How much a row's shares have changed, -1 to 1. */
double kb_diff__self_change(const struct kb_diff *diff, const struct kb_diff_row *row);
double kb_diff__total_change(const struct kb_diff *diff, const struct kb_diff_row *row);

#endif
