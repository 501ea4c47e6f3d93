/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CALLS_ORDER_H
#define KB_FORMAT_CALLS_ORDER_H

#include "keelback/calls_format.h"

/* Which functions are shown, and in which order: pstats' sort_stats() and get_print_list(). */
struct kb_calls_order {
	uint32_t *ids;
	uint32_t n;
	char **names; /* by function id, as kb_pstats_name(); NULL where not listed */
	uint32_t n_names;
	char *message; /* how the list came about: the lines that pstats prints above it */
};

struct kb_error *kb_calls_order__create(const struct kb_calls *calls,
					const struct kb_calls_format_opts *opts,
					struct kb_calls_order *order);
/* One that is all zero may be freed. */
void kb_calls_order__free(struct kb_calls_order *order);

#endif
