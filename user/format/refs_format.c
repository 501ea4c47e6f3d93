// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/options.h"
#include "format/format_table.h"
#include "format/refs_view.h"
#include "format/writers.h"

static const struct row {
	struct kb_format format;
	kb_refs_writer *write;
} table[] = {
	{ { "table", "text table of types, and of where their objects come and go", ".txt" },
	  kb_refs_table__write },
	{ { "json", "one JSON object: processes, types, rows with their frames, ledger", ".json" },
	  kb_refs_json__write },
	{ { "collapsed", "a stack, its type and its objects on each line", ".folded" },
	  kb_refs_collapsed__write },
};

static const struct kb_format_table formats = KB_FORMAT_TABLE(table);

const struct kb_format *kb_refs_format__at(size_t index)
{
	return kb_format_table__at(&formats, index);
}

const struct kb_format *kb_refs_format__by_name(const char *name)
{
	return kb_format_table__by_name(&formats, name);
}

const struct kb_format *kb_refs_format__by_path(const char *path)
{
	return kb_format_table__by_path(&formats, path);
}

struct kb_error *kb_refs_format__write(const struct kb_format *format, const struct kb_refs *refs,
				       const struct kb_refs_view_opts *given, FILE *stream)
{
	const struct row *row = kb_format_table__row(&formats, format);
	struct kb_refs_view_opts opts = { .summary = true };
	struct kb_refs_view view;
	struct kb_error *err;

	if (!row)
		return kb_usage("no such format");
	if (given)
		KB_TRY(KB_COPY_OPTIONS(&opts, given));
	KB_TRY(kb_refs_view__create(refs, &opts, &view));
	err = row->write(&view, stream);
	kb_refs_view__free(&view);
	return err ? err : kb_writers__check_stream(stream);
}
