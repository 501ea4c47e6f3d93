// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/error.h"
#include "format/format_table.h"
#include "format/memory_view.h"
#include "format/memory_writers.h"
#include "format/writers.h"

/* Without a writer: the format of the same name, with bytes or blocks in place of samples. */
static const struct row {
	struct kb_format format;
	kb_memory_writer *write;
} table[] = {
	{ { "table", "text table of lines, files or stacks", ".txt", false },
	  kb_memory_table__write },
	{ { "flamegraph", "interactive flame graph, one HTML file", ".html", false, true }, NULL },
	{ { "tracemalloc-file", "live blocks, for tracemalloc.Snapshot.load()", ".tracemalloc",
	    true },
	  kb_tracemalloc_file__write },
	{ { "pprof", "file for pprof: alloc_ and inuse_ objects and space", ".pb.gz", true },
	  kb_memory_pprof__write },
	{ { "jsonl", "JSON lines: processes, rows, ledger", ".jsonl", false },
	  kb_memory_jsonl__write },
	{ { "collapsed", "a stack and its bytes on each line", ".folded", false }, NULL },
	{ { "speedscope", "file for speedscope", ".speedscope.json", false }, NULL },
	{ { "recording", "everything, to be converted later", ".kb", true }, NULL },
};

static const struct kb_format_table formats = KB_FORMAT_TABLE(table);

const struct kb_format *kb_memory_format__at(size_t index)
{
	return kb_format_table__at(&formats, index);
}

const struct kb_format *kb_memory_format__by_name(const char *name)
{
	return kb_format_table__by_name(&formats, name);
}

const struct kb_format *kb_memory_format__by_path(const char *path)
{
	return kb_format_table__by_path(&formats, path);
}

struct kb_error *kb_memory_format__check(const struct kb_format *format,
					 const struct kb_memory_view_opts *given)
{
	struct kb_memory_view_opts opts;

	if (!kb_format_table__row(&formats, format))
		return kb_usage("no such format");
	KB_TRY(kb_memory_view__complete(given, &opts));
	if (opts.age_ns && opts.value != KB_MEMORY_LIVE)
		return kb_usage("only live blocks have an age");
	if (!strcmp(format->name, "tracemalloc-file") && opts.value != KB_MEMORY_LIVE)
		return kb_usage("a tracemalloc file has live blocks, nothing else");
	if (opts.cumulative && opts.group == KB_MEMORY_BY_TRACEBACK)
		return kb_usage("whole stacks cannot be cumulative: group by line or file");
	return NULL;
}

static struct kb_error *write_samples(const struct kb_format *format,
				      const struct kb_profile *profile,
				      const struct kb_memory_view_opts *opts, FILE *stream)
{
	struct kb_format_opts format_opts = { .size = sizeof(format_opts),
					      .title = opts->title,
					      .lines = true,
					      .processes = kb_profile__n_processes(profile) > 1 };
	struct kb_profile *samples;
	struct kb_error *err;

	KB_TRY(kb_memory_samples__create(profile, opts, &samples));
	err = kb_format__write(kb_format__by_name(format->name), samples, &format_opts, stream);
	kb_profile__destroy(samples);
	return err;
}

struct kb_error *kb_memory_format__write(const struct kb_format *format,
					 const struct kb_profile *profile,
					 const struct kb_memory_view_opts *given, FILE *stream)
{
	struct kb_memory_view_opts opts;
	const struct row *row;

	KB_TRY(kb_memory_format__check(format, given));
	KB_TRY(kb_memory_view__complete(given, &opts));
	if (!kb_profile__memory(profile))
		return kb_usage("this is no recording of 'keelback memory'");
	row = kb_format_table__row(&formats, format);
	if (row->write)
		KB_TRY(row->write(profile, &opts, stream));
	else if (!strcmp(format->name, "recording"))
		KB_TRY(kb_recording_file__write(profile, NULL, stream));
	else
		KB_TRY(write_samples(format, profile, &opts, stream));
	return kb_writers__check_stream(stream);
}
