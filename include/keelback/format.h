/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_FORMAT_H
#define KEELBACK_FORMAT_H

#include <stdbool.h>
#include <stdio.h>
#include "keelback/error.h"
#include "keelback/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One row of the table of writers. */
struct kb_format {
	const char *name;	 /* as given to --format */
	const char *description; /* one line */
	const char *endings;	 /* file name endings that choose it, separated by spaces, or "";
				    with * behind it, the name's beginning */
	bool binary;		 /* not for a terminal */
	bool html;		 /* a page for a browser */
};

/* The first is the default. NULL past the end. */
KB_API const struct kb_format *kb_format__at(size_t index);
/* NULL when there is none. */
KB_API const struct kb_format *kb_format__by_name(const char *name);
KB_API const struct kb_format *kb_format__by_path(const char *path);

enum kb_color { KB_COLOR_AUTO, KB_COLOR_ALWAYS, KB_COLOR_NEVER };

struct kb_format_opts {
	size_t size;
	bool lines;	   /* the executing line instead of the function's first */
	bool threads;	   /* a root frame for each thread */
	bool processes;	   /* a root frame for each process */
	const char *sort;  /* text table: nsamples, tottime, cumtime, sample-pct, cumul-pct,
			      nsamples-cumul, name; NULL: nsamples */
	unsigned limit;	   /* text table: rows, 0: all */
	bool summary;	   /* text table: the summary after the rows */
	bool color;	   /* text table: ANSI colours */
	const char *title; /* HTML pages; NULL: the profile's target */
	const struct kb_profile *baseline; /* differential flame graph: what to compare with */
	bool opcodes; /* text table: a row for each instruction of each line; collapsed: behind
			 leaves */
};

/* The error that kb_format__write() would have for these options, to be known before hours of
 * sampling. */
KB_API struct kb_error *kb_format__check(const struct kb_format *format,
					 const struct kb_format_opts *opts);

/* Writes the whole profile; opts may be NULL for defaults. Output errors are found: the stream is
 * flushed and checked. */
KB_API struct kb_error *kb_format__write(const struct kb_format *format,
					 const struct kb_profile *profile,
					 const struct kb_format_opts *opts, FILE *stream);

/* The ledger as text for people: formats without a place for it (collapsed, pstats-file) leave it
 * to their caller. */
KB_API struct kb_error *kb_format__write_ledger(const struct kb_profile *profile, FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
