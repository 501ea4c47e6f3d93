// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include "base/error.h"
#include "format/format_table.h"
#include "format/ledger_text.h"
#include "format/memory_view.h"
#include "format/pstats_sort.h"
#include "format/writers.h"
#include "keelback/format.h"

static const struct row {
	struct kb_format format;
	kb_format_writer *write;
} table[] = {
	{ { "pstats", "text table of functions", "", false }, kb_pstats_text__write },
	{ { "collapsed", "a stack and its count on each line", ".folded .txt", false },
	  kb_collapsed__write },
	{ { "flamegraph", "interactive flame graph, one HTML file", ".html", false, true },
	  kb_flamegraph__write },
	{ { "diff-flamegraph", "flame graph of what changed since --baseline", "", false, true },
	  kb_diff_flamegraph__write },
	{ { "heatmap", "source lines by what they cost, one HTML file", "", false, true },
	  kb_heatmap__write },
	{ { "gecko", "file for the Firefox Profiler", ".gecko.json", false }, kb_gecko__write },
	{ { "speedscope", "file for speedscope, threads one by one", ".speedscope.json", false },
	  kb_speedscope__write },
	{ { "pprof", "file for pprof, with threads as tags", ".pb.gz", true }, kb_pprof__write },
	{ { "callgrind", "file for KCachegrind and callgrind_annotate",
	    ".callgrind callgrind.out.*", false },
	  kb_callgrind__write },
	{ { "jsonl", "JSON lines, like profiling.sampling's", ".jsonl", false }, kb_jsonl__write },
	{ { "pstats-file", "file for Python's pstats module", ".pstats", true },
	  kb_pstats_file__write },
	{ { "recording", "everything, to be converted later", ".kb", true },
	  kb_recording_file__write },
};

static const struct kb_format_table formats = KB_FORMAT_TABLE(table);

const struct kb_format *kb_format__at(size_t index)
{
	return kb_format_table__at(&formats, index);
}

const struct kb_format *kb_format__by_name(const char *name)
{
	return kb_format_table__by_name(&formats, name);
}

const struct kb_format *kb_format__by_path(const char *path)
{
	return kb_format_table__by_path(&formats, path);
}

/*
 * The caller's options may come from an older header (shorter: the rest keeps its
 * default) or a newer one (longer: the rest must be zero, or it asks for something
 * that this library doesn't have).
 */
static struct kb_error *complete_opts(const struct kb_format_opts *given,
				      struct kb_format_opts *opts)
{
	*opts = (struct kb_format_opts){ .size = sizeof(*opts), .summary = true };
	if (!given)
		return NULL;
	if (given->size < sizeof(given->size))
		return kb_usage("format options without their size");
	for (size_t i = sizeof(*opts); i < given->size; i++)
		if (((const char *)given)[i])
			return kb_usage("format option that this version does not know");
	memcpy(opts, given, given->size < sizeof(*opts) ? given->size : sizeof(*opts));
	opts->size = sizeof(*opts);
	return NULL;
}

struct kb_error *kb_format__check(const struct kb_format *format,
				  const struct kb_format_opts *given)
{
	struct kb_format_opts opts;

	if (!kb_format_table__row(&formats, format))
		return kb_usage("no such format");
	KB_TRY(complete_opts(given, &opts));
	if (!strcmp(format->name, "diff-flamegraph") && !opts.baseline)
		return kb_usage("format %s needs a baseline to compare with", format->name);
	return opts.sort ? kb_pstats_sort__check(opts.sort) : NULL;
}

/* Where the buffer could be written at last, but an earlier part could not, errno is gone. */
struct kb_error *kb_writers__check_stream(FILE *stream)
{
	if (fflush(stream))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write the output");
	if (ferror(stream))
		return kb_failed("cannot write the output");
	return NULL;
}

/* Of allocations: their live bytes in place of samples. */
static struct kb_error *write_memory(const struct row *row, const struct kb_profile *profile,
				     const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_memory_view_opts view;
	struct kb_profile *samples;
	struct kb_error *err;

	KB_TRY(kb_memory_view__complete(NULL, &view));
	KB_TRY(kb_memory_samples__create(profile, &view, &samples));
	err = row->write(samples, opts, stream);
	kb_profile__destroy(samples);
	return err;
}

struct kb_error *kb_format__write(const struct kb_format *format, const struct kb_profile *profile,
				  const struct kb_format_opts *given, FILE *stream)
{
	const struct row *row = kb_format_table__row(&formats, format);
	struct kb_format_opts opts;

	KB_TRY(kb_format__check(format, given));
	KB_TRY(complete_opts(given, &opts));
	if (kb_profile__memory(profile) && strcmp(format->name, "recording"))
		KB_TRY(write_memory(row, profile, &opts, stream));
	else
		KB_TRY(row->write(profile, &opts, stream));
	return kb_writers__check_stream(stream);
}

struct kb_error *kb_format__write_ledger(const struct kb_profile *profile, FILE *stream)
{
	kb_ledger_text__write(profile, stream);
	return kb_writers__check_stream(stream);
}
