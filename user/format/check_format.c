// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/error.h"
#include "base/options.h"
#include "format/format_table.h"
#include "format/check_writers.h"
#include "format/writers.h"

static const struct row {
	struct kb_format format;
	kb_check_writer *write;
} table[] = {
	{ { "text", "the verdict and who is to blame, for people", ".txt", false },
	  kb_check_text__write },
	{ { "json", "everything, as one JSON object", ".json", false }, kb_check_json__write },
	{ { "diff-flamegraph", "flame graph of what changed, one HTML file", ".html", false, true },
	  kb_check_flamegraph__write },
	{ { "markdown", "comment on a pull request", ".md", false }, kb_check_markdown__write },
	{ { "junit", "test cases for Jenkins, GitLab and others", ".xml", false },
	  kb_check_junit__write },
	{ { "github", "annotations that GitHub shows beside the lines", "", false },
	  kb_check_annotations__write },
};

static const struct kb_format_table formats = KB_FORMAT_TABLE(table);

const struct kb_format *kb_check_format__at(size_t index)
{
	return kb_format_table__at(&formats, index);
}

const struct kb_format *kb_check_format__by_name(const char *name)
{
	return kb_format_table__by_name(&formats, name);
}

const struct kb_format *kb_check_format__by_path(const char *path)
{
	return kb_format_table__by_path(&formats, path);
}

#define LIMIT_DEFAULT 10

struct kb_error *kb_check_flamegraph__write(const struct kb_check *check,
					    const struct kb_check_view_opts *opts, FILE *stream)
{
	const struct kb_profile *head = kb_check__profile(check, KB_CHECK_HEAD);
	struct kb_format_opts format = { .size = sizeof(format),
					 .title = opts->title,
					 .baseline = kb_check__profile(check, KB_CHECK_BASE) };

	if (!head || !format.baseline)
		return kb_failed("there are no samples to make a flame graph of");
	return kb_format__write(kb_format__by_name("diff-flamegraph"), head, &format, stream);
}

struct kb_error *kb_check_format__write(const struct kb_format *format,
					const struct kb_check *check,
					const struct kb_check_view_opts *given, FILE *stream)
{
	struct kb_check_view_opts opts = { .size = sizeof(opts), .limit = LIMIT_DEFAULT };
	const struct row *row = kb_format_table__row(&formats, format);

	if (given)
		KB_TRY(KB_COPY_OPTIONS(&opts, given));
	if (!row || &row->format != format)
		return kb_usage("no such format");
	KB_TRY(row->write(check, &opts, stream));
	return kb_writers__check_stream(stream);
}
