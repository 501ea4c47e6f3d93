// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Objects for people: types, where their objects come and go, and what was observed in all. */
#include <inttypes.h>
#include <stdlib.h>
#include "base/text.h"
#include "format/label.h"
#include "format/ledger_text.h"
#include "format/refs_view.h"
#include "format/writers.h"

static const char *bold(const struct kb_refs_view *view)
{
	return view->opts->color ? "\033[1m" : "";
}

static const char *plain(const struct kb_refs_view *view)
{
	return view->opts->color ? "\033[0m" : "";
}

static void write_heading(const struct kb_refs_view *view, const char *title, const char *last,
			  FILE *stream)
{
	fprintf(stream, "%s%s%s\n%12s", bold(view), title, plain(view), "created");
	if (!view->created_only)
		fprintf(stream, " %12s %12s", "destroyed", "alive");
	fprintf(stream, "  %s\n", last);
}

static void write_counts(const struct kb_refs_view *view, uint64_t created, uint64_t destroyed,
			 uint64_t alive, FILE *stream)
{
	fprintf(stream, "%12" PRIu64, created);
	if (!view->created_only)
		fprintf(stream, " %12" PRIu64 " %12" PRIu64, destroyed, alive);
	fputs("  ", stream);
}

static void write_type(const struct kb_refs_view *view, const struct kb_refs_type *type,
		       FILE *stream)
{
	kb_text__write(stream, type->name);
	if (kb_refs__n_processes(view->refs) > 1)
		fprintf(stream, " (process %d)",
			kb_profile__process(kb_refs__profile(view->refs), type->process)->pid);
}

static void write_frame(const struct kb_profile *profile, uint32_t node, FILE *stream)
{
	const struct kb_frame_info *frame =
		kb_profile__frame(profile, kb_profile__nodes(profile)[node].frame);
	const struct kb_function_info *function = kb_profile__function(profile, frame->function);

	if (*function->file) {
		kb_text__write(stream, function->file);
		fprintf(stream, ":%d (", frame->line);
		kb_text__write(stream, function->name);
		putc(')', stream);
	} else {
		kb_text__write(stream, function->name);
	}
}

/* The most recent call first: the leaf stands in the row. */
static void write_row(const struct kb_refs_view *view, const struct kb_refs_row *row, FILE *stream)
{
	const struct kb_profile *profile = kb_refs__profile(view->refs);
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);

	write_counts(view, row->created, row->destroyed, row->alive, stream);
	write_type(view, kb_refs__type(view->refs, row->type), stream);
	fputs("  ", stream);
	write_frame(profile, row->node, stream);
	putc('\n', stream);
	if (kb_refs__frames_max(view->refs) == 1)
		return;
	for (uint32_t at = nodes[row->node].parent; at != KB_ID_NONE; at = nodes[at].parent) {
		fprintf(stream, "%*s", view->created_only ? 18 : 44, "");
		write_frame(profile, at, stream);
		putc('\n', stream);
	}
}

static void write_process(const struct kb_refs_view *view, const struct kb_refs_process *process,
			  FILE *stream)
{
	const struct kb_process_info *info =
		kb_profile__process(kb_refs__profile(view->refs), process->process);

	fprintf(stream, "Process %d ", info->pid);
	kb_text__write(stream, info->comm);
	fprintf(stream, ", Python %s, %s: %" PRIu64 " objects created", info->python, process->way,
		process->created);
	if (process->created_only)
		fputs("; those that are destroyed are not observed\n", stream);
	else
		fprintf(stream,
			", %" PRIu64 " destroyed, %" PRIu64 " of them created before observation\n",
			process->destroyed, process->before);
	if (process->lost)
		fprintf(stream, "  incomplete: %" PRIu64 " are in no row, for a table was full\n",
			process->lost);
}

static uint32_t at_most(const struct kb_refs_view *view, uint32_t n)
{
	return view->opts->limit && view->opts->limit < n ? view->opts->limit : n;
}

struct kb_error *kb_refs_table__write(const struct kb_refs_view *view, FILE *stream)
{
	uint32_t n = at_most(view, view->n_types);

	write_heading(view, "Objects by type", "type", stream);
	for (uint32_t i = 0; i < n; i++) {
		const struct kb_refs_type *type = kb_refs__type(view->refs, view->types[i]);

		write_counts(view, type->created, type->destroyed, type->alive, stream);
		write_type(view, type, stream);
		putc('\n', stream);
	}
	write_counts(view, view->created, view->destroyed, view->alive, stream);
	fprintf(stream, "in all, of %u types\n\n", view->n_types);
	write_heading(view, "Where, by type and stack", "type, line", stream);
	n = at_most(view, view->n_rows);
	for (uint32_t i = 0; i < n && !ferror(stream); i++)
		write_row(view, kb_refs__row(view->refs, view->rows[i]), stream);
	if (n < view->n_rows)
		fprintf(stream, "%u others\n", view->n_rows - n);
	if (!view->opts->summary)
		return NULL;
	putc('\n', stream);
	for (uint32_t i = 0; i < kb_refs__n_processes(view->refs); i++)
		write_process(view, kb_refs__process(view->refs, i), stream);
	kb_ledger_text__write(kb_refs__profile(view->refs), stream);
	return NULL;
}
