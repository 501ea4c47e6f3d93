// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/error.h"
#include "base/options.h"
#include "format/format_table.h"
#include "format/calls_restriction.h"
#include "format/calls_writers.h"
#include "format/ledger_text.h"
#include "format/writers.h"
#include "model/calls_recording.h"

static const struct row {
	struct kb_format format;
	kb_calls_format_writer *write;
} table[] = {
	{ { "pstats", "text table, as Python's pstats prints it", ".txt", false },
	  kb_calls_text__write },
	{ { "pstats-file", "file for Python's pstats module", ".pstats .prof", true },
	  kb_calls_pstats_file__write },
	{ { "callgrind", "file for KCachegrind and callgrind_annotate",
	    ".callgrind callgrind.out.*", false },
	  kb_calls_callgrind__write },
	{ { "pprof", "file for pprof, callers and callees", ".pb.gz", true },
	  kb_calls_pprof__write },
	{ { "json", "JSON, like pstats' get_stats_profile()", ".json", false },
	  kb_calls_json__write },
	{ { "recording", "everything, to be converted later", ".kb", true },
	  kb_calls_recording__write },
};

static const struct kb_format_table formats = KB_FORMAT_TABLE(table);

const struct kb_format *kb_calls_format__at(size_t index)
{
	return kb_format_table__at(&formats, index);
}

const struct kb_format *kb_calls_format__by_name(const char *name)
{
	return kb_format_table__by_name(&formats, name);
}

const struct kb_format *kb_calls_format__by_path(const char *path)
{
	return kb_format_table__by_path(&formats, path);
}

struct kb_error *kb_calls_format__write(const struct kb_format *format,
					const struct kb_calls *calls,
					const struct kb_calls_format_opts *given, FILE *stream)
{
	struct kb_calls_format_opts opts = { .size = sizeof(opts), .summary = true };
	const struct row *row = kb_format_table__row(&formats, format);

	if (!row)
		return kb_usage("no such format");
	if (given)
		KB_TRY(KB_COPY_OPTIONS(&opts, given));
	if (opts.sort)
		KB_TRY(kb_calls_sort__check(opts.sort));
	KB_TRY(row->write(calls, &opts, stream));
	return kb_writers__check_stream(stream);
}

struct kb_error *kb_calls_format__write_ledger(const struct kb_calls *calls, FILE *stream)
{
	kb_ledger_text__write_calls(calls, stream);
	return kb_writers__check_stream(stream);
}

/* The recording itself is written by model/calls_recording.h. */
struct kb_error *kb_calls_recording__write(const struct kb_calls *calls,
					   const struct kb_calls_format_opts *opts, FILE *stream)
{
	struct kb_calls_writer *writer;
	struct kb_error *err;

	KB_TRY(kb_calls_writer__create(stream, &writer));
	err = kb_calls_writer__finish(writer, calls);
	kb_calls_writer__destroy(writer);
	return err;
}
