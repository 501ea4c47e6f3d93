// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Input: a file of call statistics. What can be read must be writable in every format and every
 * order, and read the same again from the file that pstats loads and from a recording.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/pstats_read.h"
#include "keelback/calls_format.h"
#include "model/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(struct kb_error *err)
{
	if (err)
		abort();
}

static void check_same(const struct kb_calls *a, const struct kb_calls *b)
{
	if (kb_calls__n_listed(a) != kb_calls__n_listed(b) ||
	    kb_calls__n_edges(a) != kb_calls__n_edges(b) ||
	    kb_calls__total(a).ncalls != kb_calls__total(b).ncalls)
		abort();
}

static char *write_as(const struct kb_calls *calls, const char *format, size_t *size)
{
	char *bytes = NULL;
	FILE *stream = open_memstream(&bytes, size);

	must(kb_calls_format__write(kb_calls_format__by_name(format), calls, NULL, stream));
	fclose(stream);
	return bytes;
}

static void check_rewritten(const struct kb_calls *calls)
{
	struct kb_recorded recorded;
	struct kb_calls *again;
	size_t size;
	char *bytes = write_as(calls, "pstats-file", &size);

	must(kb_pstats__read(bytes, size, &again));
	check_same(calls, again);
	kb_calls__destroy(again);
	free(bytes);
	bytes = write_as(calls, "recording", &size);
	must(kb_recording__read_any(bytes, size, "rewritten", false, &recorded));
	check_same(calls, recorded.calls);
	kb_calls__destroy(recorded.calls);
	free(bytes);
}

static void check_formats(const struct kb_calls *calls)
{
	static const char *const restrictions[] = { "(a|.)*[^b]", "0.9", "100" };
	struct kb_calls_format_opts opts = { .size = sizeof(opts),
					     .restrictions = restrictions,
					     .n_restrictions = 3,
					     .summary = true };
	const struct kb_calls_sort_key *key;
	const struct kb_format *format;
	FILE *stream = fopen("/dev/null", "w");

	if (!stream)
		abort();
	for (size_t i = 0; (format = kb_calls_format__at(i)); i++)
		must(kb_calls_format__write(format, calls, NULL, stream));
	for (size_t i = 0; (key = kb_calls_sort__at(i)); i++) {
		opts.sort = key->name;
		opts.view = i % 3;
		opts.reverse = i % 2;
		/* A long name may be too much for the expression. */
		kb_error__destroy(
			kb_calls_format__write(kb_calls_format__at(0), calls, &opts, stream));
	}
	fclose(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kb_calls *calls, *stripped;
	struct kb_error *err = kb_pstats__read(data, size, &calls);

	if (err) {
		if (strchr(kb_error__text(err), '\n'))
			abort();
		kb_error__destroy(err);
		return 0;
	}
	check_rewritten(calls);
	check_formats(calls);
	must(kb_calls__strip_dirs(calls, &stripped));
	must(kb_calls__add(stripped, calls));
	check_formats(stripped);
	kb_calls__destroy(stripped);
	kb_calls__destroy(calls);
	return 0;
}
