/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_CALLS_FORMAT_H
#define KEELBACK_CALLS_FORMAT_H

#include "keelback/calls.h"
#include "keelback/format.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The table of writers of call statistics. The first is the default. NULL past the end. */
KB_API const struct kb_format *kb_calls_format__at(size_t index);
/* NULL when there is none. */
KB_API const struct kb_format *kb_calls_format__by_name(const char *name);
KB_API const struct kb_format *kb_calls_format__by_path(const char *path);

enum kb_calls_view {
	KB_CALLS_STATS = 0,   /* as pstats' print_stats() */
	KB_CALLS_CALLERS = 1, /* print_callers() */
	KB_CALLS_CALLEES = 2, /* print_callees() */
};

struct kb_calls_format_opts {
	size_t size;
	enum kb_calls_view view; /* text table */
	const char *sort; /* keys of kb_calls_sort__at(), separated by commas; NULL: as listed */
	bool reverse;	  /* with sort: the other way round */
	/* Text table and JSON: numbers, fractions and regular expressions as pstats has them, each
	 * applied to what the one before it left. */
	const char *const *restrictions;
	size_t n_restrictions;
	bool summary; /* text table: the ledger after the rows, where there is one */
};

/* Sort keys as pstats has them, for lists of them. NULL past the end. */
struct kb_calls_sort_key {
	const char *name;
	const char *description;
};
KB_API const struct kb_calls_sort_key *kb_calls_sort__at(size_t index);
/* An error when a key, or what one may abbreviate, is not there. */
KB_API struct kb_error *kb_calls_sort__check(const char *keys);
/* An error for fractions that are not from 0 to 1 and for what is no regular expression; writing
 * says so in the table, as pstats does. */
KB_API struct kb_error *kb_calls_restriction__check(const char *restriction);

/* opts may be NULL for defaults. Output errors are found: the stream is flushed and checked. */
KB_API struct kb_error *kb_calls_format__write(const struct kb_format *format,
					       const struct kb_calls *calls,
					       const struct kb_calls_format_opts *opts,
					       FILE *stream);

/* The ledger as text for people: formats without a place for it leave it to their caller. */
KB_API struct kb_error *kb_calls_format__write_ledger(const struct kb_calls *calls, FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
