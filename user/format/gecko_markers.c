// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Markers say from when to when a thread was in a state. A wait is one sample, with its exact
 * times. The other states are known at the moments of samples only: one lasts from the first of a
 * run of samples in it to one interval behind the last, or to the next sample; a gap of several
 * intervals ends a run, because nothing is known of it.
 */
#include <stdlib.h>
#include "base/array.h"
#include "format/gecko_rows.h"

#define GAP_INTERVALS  3 /* the period varies by a fraction of itself; one sample may be missing */
#define PHASE_INTERVAL 1

enum kind {
	KIND_GIL,
	KIND_GC,
	KIND_EXCEPTION,
	KIND_OPCODE,
	KIND_WAIT,
	KIND_GIL_WAIT,
	KINDS,
	RUNS = KIND_OPCODE + 1, /* those that are runs of samples */
};

static const struct {
	const char *type, *name, *description;
	enum kb_gecko_category category;
	uint32_t flag;
} kinds[KINDS] = {
	[KIND_GIL] = { "GIL", "GIL held", "The thread held the GIL at each sample in this time.",
		       KB_GECKO_GIL, KB_MOMENT_GIL },
	[KIND_GC] = { "GC", "GC", "Each sample in this time was within a garbage collection.",
		      KB_GECKO_GC, KB_MOMENT_GC },
	[KIND_EXCEPTION] = { "Exception", "Exception",
			     "At each sample in this time an exception was being handled.",
			     KB_GECKO_EXCEPTION, KB_MOMENT_EXCEPTION },
	[KIND_OPCODE] = { "Opcode", NULL, "Each sample in this time was at this instruction.",
			  KB_GECKO_PYTHON, 0 },
	[KIND_WAIT] = { "OffCpu", "Off CPU",
			"The thread was on no processor; measured, not sampled.", KB_GECKO_IDLE,
			KB_MOMENT_OFF_CPU },
	[KIND_GIL_WAIT] = { "GilWait", "Waiting for the GIL", "Measured, not sampled.",
			    KB_GECKO_GIL_WAIT, KB_MOMENT_OFF_CPU },
};

struct marker {
	uint64_t start_ns, end_ns;
	enum kind kind;
	uint32_t frame; /* of an opcode */
};

struct markers {
	struct kb_gecko *gecko;
	struct marker *at;
	uint32_t n, capacity;
	struct marker runs[RUNS];
	bool open[RUNS];
};

static void add(struct markers *markers, const struct marker *marker)
{
	struct marker *at = kb_array__grow(markers->at, &markers->capacity, markers->n + 1,
					   sizeof(*at), UINT32_MAX);

	if (!at) {
		if (!markers->gecko->err)
			markers->gecko->err = kb_error__no_memory();
		return;
	}
	markers->at = at;
	at[markers->n++] = *marker;
}

/* Times of a recording may be anything: no marker ends before it starts. */
static uint64_t end_of(uint64_t start, uint64_t ns)
{
	return start + ns < start ? UINT64_MAX : start + ns;
}

static bool has_opcode(const struct markers *markers, const struct kb_gecko_row *row)
{
	return *kb_profile__frame(markers->gecko->profile, row->frame)->opcode;
}

/* Whether a row is in the state of this kind, and in the run that is open. */
static bool is_in(const struct markers *markers, enum kind kind, const struct kb_gecko_row *row)
{
	if (kind != KIND_OPCODE)
		return row->flags & kinds[kind].flag;
	return has_opcode(markers, row) && !(row->flags & KB_MOMENT_OFF_CPU);
}

static void follow(struct markers *markers, enum kind kind, const struct kb_gecko_row *row)
{
	uint64_t interval = markers->gecko->interval_ns;
	uint64_t gap = interval ? interval * GAP_INTERVALS : UINT64_MAX / 2;
	bool in = is_in(markers, kind, row), same;
	struct marker *run = &markers->runs[kind];

	same = in && row->time_ns <= end_of(run->end_ns, gap) &&
	       (kind != KIND_OPCODE || run->frame == row->frame);
	if (markers->open[kind] && !same) {
		if (run->end_ns > row->time_ns)
			run->end_ns = row->time_ns;
		add(markers, run);
		markers->open[kind] = false;
	}
	if (!in)
		return;
	if (!markers->open[kind])
		*run = (struct marker){ row->time_ns, 0, kind, row->frame };
	markers->open[kind] = true;
	run->end_ns = end_of(row->time_ns,
			     row->flags & KB_MOMENT_OFF_CPU && row->ns ? row->ns : interval);
}

static void collect(struct markers *markers, uint32_t thread)
{
	struct kb_gecko *gecko = markers->gecko;
	struct kb_gecko_rows rows = kb_gecko_rows__of(gecko, thread);
	bool gil_wait = kb_profile__meta(gecko->profile)->mode == KB_MODE_GIL_WAIT;
	struct kb_gecko_row row;

	while (kb_gecko_rows__next(&rows, &row)) {
		for (enum kind kind = 0; kind < RUNS; kind++)
			follow(markers, kind, &row);
		if (row.flags & KB_MOMENT_OFF_CPU)
			add(markers,
			    &(struct marker){ row.time_ns, end_of(row.time_ns, row.ns),
					      gil_wait ? KIND_GIL_WAIT : KIND_WAIT, row.frame });
	}
	for (enum kind kind = 0; kind < RUNS; kind++)
		if (markers->open[kind])
			add(markers, &markers->runs[kind]);
}

static int compare_markers(const void *a, const void *b)
{
	const struct marker *x = a, *y = b;

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

static void write_data(struct kb_gecko *gecko, const struct marker *marker)
{
	const struct kb_frame_info *frame = kb_profile__frame(gecko->profile, marker->frame);
	struct kb_json_out *out = &gecko->out;

	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "type", kinds[marker->kind].type);
	if (marker->kind == KIND_OPCODE) {
		kb_json_out__text(out, "function",
				  kb_profile__function(gecko->profile, frame->function)->name);
		kb_json_out__int(out, "line", frame->line);
	}
	kb_json_out__close(out, '}');
}

static uint32_t name_of(struct kb_gecko *gecko, const struct marker *marker)
{
	const struct kb_frame_info *frame = kb_profile__frame(gecko->profile, marker->frame);

	if (marker->kind == KIND_OPCODE)
		return kb_gecko__string(gecko, frame->opcode);
	return kb_gecko__string(gecko, kinds[marker->kind].name);
}

enum column { COLUMN_DATA, COLUMN_NAME, COLUMN_START, COLUMN_END, COLUMN_PHASE, COLUMN_CATEGORY };

static void write_column(const struct markers *markers, enum column column)
{
	static const char *const names[] = { "data",	"name",	 "startTime",
					     "endTime", "phase", "category" };
	struct kb_gecko *gecko = markers->gecko;

	kb_json_out__open(&gecko->out, names[column], '[');
	for (uint32_t i = 0; i < markers->n && !ferror(gecko->out.stream); i++) {
		const struct marker *marker = &markers->at[i];

		if (column == COLUMN_DATA)
			write_data(gecko, marker);
		else if (column == COLUMN_NAME)
			kb_json_out__uint(&gecko->out, NULL, name_of(gecko, marker));
		else if (column == COLUMN_START)
			kb_json_out__ms(&gecko->out, NULL, marker->start_ns);
		else if (column == COLUMN_END)
			kb_json_out__ms(&gecko->out, NULL, marker->end_ns);
		else
			kb_json_out__uint(&gecko->out, NULL,
					  column == COLUMN_PHASE ? PHASE_INTERVAL
								 : kinds[marker->kind].category);
	}
	kb_json_out__close(&gecko->out, ']');
	kb_json_out__line(&gecko->out);
}

void kb_gecko__write_markers(struct kb_gecko *gecko, uint32_t thread)
{
	struct markers markers = { .gecko = gecko };

	if (gecko->timeline)
		collect(&markers, thread);
	if (markers.n)
		qsort(markers.at, markers.n, sizeof(*markers.at), compare_markers);
	kb_json_out__open(&gecko->out, "markers", '{');
	for (enum column column = COLUMN_DATA; column <= COLUMN_CATEGORY; column++)
		write_column(&markers, column);
	kb_json_out__uint(&gecko->out, "length", markers.n);
	kb_json_out__close(&gecko->out, '}');
	free(markers.at);
}

static void write_field(struct kb_json_out *out, const char *key, const char *label,
			const char *format)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "key", key);
	kb_json_out__text(out, "label", label);
	kb_json_out__text(out, "format", format);
	kb_json_out__close(out, '}');
}

void kb_gecko__write_schema(struct kb_gecko *gecko)
{
	struct kb_json_out *out = &gecko->out;

	kb_json_out__open(out, "markerSchema", '[');
	for (enum kind kind = 0; kind < KINDS; kind++) {
		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "name", kinds[kind].type);
		kb_json_out__text(out, "description", kinds[kind].description);
		kb_json_out__open(out, "display", '[');
		kb_json_out__text(out, NULL, "marker-chart");
		kb_json_out__text(out, NULL, "marker-table");
		kb_json_out__close(out, ']');
		if (kind == KIND_OPCODE)
			kb_json_out__text(out, "tableLabel",
					  "{marker.data.function}, line {marker.data.line}");
		kb_json_out__open(out, "fields", '[');
		if (kind == KIND_OPCODE) {
			write_field(out, "function", "Function", "string");
			write_field(out, "line", "Line", "integer");
		}
		kb_json_out__close(out, ']');
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}
