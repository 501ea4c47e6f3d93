// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "format/gecko.h"
#include "format/gecko_rows.h"

enum column { COLUMN_STACK, COLUMN_TIME, COLUMN_WEIGHT, COLUMN_CPU };

static uint32_t stack_shown(const struct kb_gecko *gecko, const struct kb_gecko_row *row)
{
	if (row->stack == KB_ID_NONE || !(row->flags & KB_MOMENT_OFF_CPU))
		return row->stack;
	return gecko->waiting[row->stack];
}

/*
 * CPU time since the sample before: since then, or since the end of the wait that it was, but
 * no more than the sample stands for, because what happened in a longer gap is not known.
 */
static uint64_t cpu_since(const struct kb_gecko *gecko, const struct kb_gecko_row *row,
			  uint64_t *end)
{
	bool off = row->flags & KB_MOMENT_OFF_CPU;
	uint64_t since = row->time_ns > *end ? row->time_ns - *end : 0;
	uint64_t most = off ? gecko->interval_ns : row->ns;

	*end = row->time_ns + (off ? row->ns : 0);
	return since < most ? since : most;
}

static void write_weight(struct kb_gecko *gecko, const struct kb_gecko_row *row)
{
	if (kb_profile__meta(gecko->profile)->unit == KB_UNIT_NS)
		kb_json_out__ms(&gecko->out, NULL, row->count);
	else
		kb_json_out__uint(&gecko->out, NULL, row->count);
}

static void write_column(struct kb_gecko *gecko, uint32_t thread, const char *name,
			 enum column column)
{
	struct kb_gecko_rows rows = kb_gecko_rows__of(gecko, thread);
	struct kb_gecko_row row;
	uint64_t end = 0;

	kb_json_out__open(&gecko->out, name, '[');
	while (kb_gecko_rows__next(&rows, &row) && !ferror(gecko->out.stream)) {
		if (column == COLUMN_STACK)
			kb_json_out__index(&gecko->out, NULL, stack_shown(gecko, &row));
		else if (column == COLUMN_TIME)
			kb_json_out__ms(&gecko->out, NULL, row.time_ns);
		else if (column == COLUMN_WEIGHT)
			write_weight(gecko, &row);
		else
			kb_json_out__uint(&gecko->out, NULL, cpu_since(gecko, &row, &end));
	}
	kb_json_out__close(&gecko->out, ']');
	kb_json_out__line(&gecko->out);
}

void kb_gecko__write_samples(struct kb_gecko *gecko, uint32_t thread)
{
	bool ns = kb_profile__meta(gecko->profile)->unit == KB_UNIT_NS;
	struct kb_json_out *out = &gecko->out;

	kb_json_out__open(out, "samples", '{');
	write_column(gecko, thread, "stack", COLUMN_STACK);
	write_column(gecko, thread, "time", COLUMN_TIME);
	write_column(gecko, thread, "weight", COLUMN_WEIGHT);
	kb_json_out__text(out, "weightType", ns ? "tracing-ms" : "samples");
	if (gecko->timeline && gecko->interval_ns)
		write_column(gecko, thread, "threadCPUDelta", COLUMN_CPU);
	kb_json_out__uint(out, "length", gecko->rows.first[thread + 1] - gecko->rows.first[thread]);
	kb_json_out__close(out, '}');
}
