/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_CENSUS_PRINT_H
#define KB_CLI_CENSUS_PRINT_H

#include <stdbool.h>
#include <stdio.h>
#include "keelback/census.h"

/* How a census is shown. */
struct kb_census_view {
	size_t limit; /* types */
	bool by_objects;
	bool classes;	  /* the table of block sizes */
	const char *type; /* growth: only types whose names match this pattern; NULL: all */
};

struct kb_error *kb_census_print__text(const struct kb_census *census,
				       const struct kb_census_view *view, FILE *stream);
/* All there is, in one line. */
struct kb_error *kb_census_print__json(const struct kb_census *census, FILE *stream);

/* What became of each process since `first` and since `last`, which may be one. */
struct kb_error *kb_census_print__growth(const struct kb_census *first,
					 const struct kb_census *last, const struct kb_census *now,
					 const struct kb_census_view *view, FILE *stream);

#endif
