// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * {"old": PROFILE, "new": PROFILE, "functions": [FUNCTION…]}, functions in the
 * order of the comparison. PROFILE is meta and ledger as on the pages, and its total
 * count; counts are in meta.unit. A function that one of the two does not have says so with
 * its status.
 */
#include <inttypes.h>
#include "base/text.h"
#include "format/diff.h"
#include "format/page.h"
#include "format/writers.h"

static void write_profile(const struct kb_profile *profile, uint64_t total, FILE *stream)
{
	kb_page__begin_profile(profile, NULL, stream);
	fprintf(stream, ",\n\"total\":%" PRIu64 ",\"seconds\":%.9g}", total,
		kb_profile__seconds(profile, total));
}

static void write_cost(const struct kb_profile *profile, struct kb_diff_cost cost, uint64_t total,
		       FILE *stream)
{
	fprintf(stream,
		"{\"self\":%" PRIu64 ",\"self_seconds\":%.9g,\"self_share\":%.9g,\"total\":%" PRIu64
		",\"total_seconds\":%.9g,\"total_share\":%.9g}",
		cost.self, kb_profile__seconds(profile, cost.self),
		kb_diff__share(cost.self, total), cost.total,
		kb_profile__seconds(profile, cost.total), kb_diff__share(cost.total, total));
}

static void write_row(const struct kb_diff *diff, const struct kb_diff_row *row, FILE *stream)
{
	static const char *const kinds[] = {
		[KB_FRAME_PYTHON] = "python",
		[KB_FRAME_MARKER] = "marker",
		[KB_FRAME_NATIVE] = "native",
		[KB_FRAME_KERNEL] = "kernel",
	};
	const char *status = !row->before.total ? "new" : !row->after.total ? "gone" : "both";

	fputs("{\"name\":", stream);
	kb_text__write_json(stream, row->name);
	kb_page__write_member("file", row->file, stream);
	fprintf(stream,
		",\"line\":%" PRId32 ",\"kind\":\"%s\",\"status\":\"%s\",\"old\":", row->first_line,
		kinds[row->kind], status);
	write_cost(diff->before, row->before, diff->before_total, stream);
	fputs(",\"new\":", stream);
	write_cost(diff->after, row->after, diff->after_total, stream);
	fprintf(stream, ",\"self_change\":%.9g,\"total_change\":%.9g}",
		kb_diff__self_change(diff, row), kb_diff__total_change(diff, row));
}

struct kb_error *kb_diff__write_json(const struct kb_diff *diff, FILE *stream)
{
	fputs("{\"old\":", stream);
	write_profile(diff->before, diff->before_total, stream);
	fputs(",\n\"new\":", stream);
	write_profile(diff->after, diff->after_total, stream);
	fputs(",\n\"functions\":[", stream);
	for (uint32_t i = 0; i < diff->n_rows && !ferror(stream); i++) {
		fputs(i ? ",\n" : "\n", stream);
		write_row(diff, &diff->rows[i], stream);
	}
	fputs("\n]}\n", stream);
	return kb_writers__check_stream(stream);
}
