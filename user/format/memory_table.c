// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Memory for people: the rows of a view, with source lines where they can be had, and what was
 * observed in all.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "format/ledger_text.h"
#include "format/memory_view.h"
#include "format/memory_writers.h"
#include "format/source.h"
#include "format/stack_list.h"

#define SOURCES_MAX 64 /* files that source lines are taken from; a table has some 10 rows */

struct sources {
	const struct kb_profile *profile;
	struct {
		const char *file;
		struct kb_source source;
	} known[SOURCES_MAX];
	uint32_t n;
};

struct table {
	const struct kb_profile *profile;
	const struct kb_memory_view_opts *opts;
	struct sources sources;
	FILE *stream;
};

static const char *bold(const struct table *table)
{
	return table->opts->color ? "\033[1m" : "";
}

static const char *plain(const struct table *table)
{
	return table->opts->color ? "\033[0m" : "";
}

const char *kb_memory_size__text(uint64_t bytes, char text[KB_MEMORY_SIZE_TEXT])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double size = bytes;
	size_t unit = 0;

	while (size >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		size /= 1024;
		unit++;
	}
	snprintf(text, KB_MEMORY_SIZE_TEXT, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
	return text;
}

const char *kb_memory_size__signed_text(int64_t bytes, char text[KB_MEMORY_SIZE_TEXT])
{
	char size[KB_MEMORY_SIZE_TEXT];

	kb_memory_size__text(bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes, size);
	snprintf(text, KB_MEMORY_SIZE_TEXT, "%c%.30s", bytes < 0 ? '-' : '+', size);
	return text;
}

/* ---------------------------------------------------------------- places */

/* A line of source without its indentation; NULL: not to be had. */
static const char *source_line(struct sources *sources, const char *file, int32_t line)
{
	uint32_t processes[16], n = 0, i = 0;
	const struct kb_source *source;
	const char *text;

	while (i < sources->n && sources->known[i].file != file)
		i++;
	if (i == SOURCES_MAX || *file == '<')
		return NULL;
	if (i == sources->n) {
		while (n < kb_profile__n_processes(sources->profile) && n < 16) {
			processes[n] = n;
			n++;
		}
		sources->known[i].file = file;
		sources->n++;
		kb_error__destroy(kb_source__read(sources->profile, file, processes, n,
						  &sources->known[i].source));
	}
	source = &sources->known[i].source;
	if (!source->lines || line < 1 || (uint32_t)line > source->n_lines)
		return NULL;
	text = source->lines[line - 1];
	return text + strspn(text, " \t");
}

static void free_sources(struct sources *sources)
{
	for (uint32_t i = 0; i < sources->n; i++)
		kb_source__free(&sources->known[i].source);
}

static void write_place(struct table *table, const char *file, int32_t line, const char *name)
{
	kb_text__write(table->stream, file);
	if (line > 0)
		fprintf(table->stream, ":%d", line);
	if (*name && *name != '<' && strcmp(name, file)) {
		fputs(" (", table->stream);
		kb_text__write(table->stream, name);
		putc(')', table->stream);
	}
	putc('\n', table->stream);
}

static void write_source(struct table *table, const char *file, int32_t line, const char *indent)
{
	const char *text = source_line(&table->sources, file, line);

	if (!text || !*text)
		return;
	fputs(indent, table->stream);
	kb_text__write(table->stream, text);
	putc('\n', table->stream);
}

/* As Python prints one: the most recent call last. */
static void write_traceback(struct table *table, uint32_t leaf, const char *indent)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(table->profile);
	uint32_t depth, *path = kb_stack_path(table->profile, leaf, &depth);
	char source_indent[64];

	if (!path)
		return;
	snprintf(source_indent, sizeof(source_indent), "%s  ", indent);
	for (uint32_t i = 0; i < depth; i++) {
		const struct kb_frame_info *frame =
			kb_profile__frame(table->profile, nodes[path[i]].frame);
		const struct kb_function_info *function =
			kb_profile__function(table->profile, frame->function);

		fputs(indent, table->stream);
		write_place(table, *function->file ? function->file : function->name, frame->line,
			    function->name);
		write_source(table, function->file, frame->line, source_indent);
	}
	free(path);
}

/* ---------------------------------------------------------------- the table */

static const char *value_text(const struct kb_memory_view_opts *opts)
{
	if (opts->leaks)
		return "allocated while observed and still alive";
	switch (opts->value) {
	case KB_MEMORY_PEAK:
		return "alive at the peak";
	case KB_MEMORY_TOTAL:
		return "allocated, freed or not";
	default:
		return "alive";
	}
}

static void write_title(const struct table *table)
{
	const struct kb_memory *memory = kb_profile__memory(table->profile);
	static const char *const groups[] = { "lines", "files", "stacks" };
	bool estimate = false;
	char age[64] = "";

	for (uint32_t i = 0; i < kb_memory__n_processes(memory); i++)
		estimate = estimate || kb_memory__process(memory, i)->way == KB_MEMORY_WAY_GROWTH;
	if (table->opts->age_ns)
		snprintf(age, sizeof(age), ", for %.1f s or longer",
			 (double)table->opts->age_ns / 1e9);
	fprintf(table->stream, "%sMemory by %s%s: %s%s%s%s\n", bold(table),
		groups[table->opts->group], table->opts->cumulative ? ", cumulative" : "",
		value_text(table->opts), age, estimate ? " (an estimate of growth)" : "",
		plain(table));
	if (table->opts->leaks)
		fprintf(table->stream, "%12s %10s %7s %10s %10s  %s\n", "size", "blocks", "alive",
			"oldest", "newest", "location");
	else
		fprintf(table->stream, "%12s %10s %12s  %s\n", "size", "blocks", "average",
			"location");
}

static double age_of(const struct table *table, uint64_t time_ns)
{
	uint64_t now = kb_memory__taken_ns(kb_profile__memory(table->profile));

	return now > time_ns ? (double)(now - time_ns) / 1e9 : 0;
}

static void write_row(struct table *table, const struct kb_memory_row *row)
{
	char size[KB_MEMORY_SIZE_TEXT], average[KB_MEMORY_SIZE_TEXT];
	bool traceback = table->opts->group == KB_MEMORY_BY_TRACEBACK;

	kb_memory_size__text(row->bytes, size);
	kb_memory_size__text(row->blocks ? row->bytes / row->blocks : 0, average);
	if (table->opts->leaks)
		fprintf(table->stream, "%12s %10" PRIu64 " %6.1f%% %8.1f s %8.1f s  ", size,
			row->blocks,
			row->total_blocks ? 100.0 * row->blocks / row->total_blocks : 0.0,
			age_of(table, row->oldest_ns), age_of(table, row->newest_ns));
	else
		fprintf(table->stream, "%12s %10" PRIu64 " %12s  ", size, row->blocks, average);
	if (traceback) {
		fputs(row->native ? "[native]\n" : "\n", table->stream);
		write_traceback(table, row->node, "      ");
		return;
	}
	if (row->native)
		fputs("[native] ", table->stream);
	write_place(table, row->file, row->line, row->name);
	write_source(table, row->file, row->line, "                                      ");
}

static void write_process(const struct table *table, const struct kb_memory_process_info *info)
{
	static const char *const names[] = { "heap", "mapped", "native" };
	const struct kb_process_info *process = kb_profile__process(table->profile, info->process);
	char a[KB_MEMORY_SIZE_TEXT], b[KB_MEMORY_SIZE_TEXT];
	FILE *stream = table->stream;

	fprintf(stream, "Process %d ", process->pid);
	kb_text__write(stream, process->comm);
	fprintf(stream, ", Python %s, %s\n", process->python, kb_memory_way__text(info->way));
	for (int i = 0; i < KB_MEMORY_GROUPS; i++) {
		const struct kb_memory_sum *sum = &info->sums[i];

		if (!sum->total_blocks && i != KB_MEMORY_HEAP)
			continue;
		fprintf(stream,
			"  %-6s current %" PRIu64 " bytes (%s) in %" PRIu64 " blocks, peak %" PRIu64
			" bytes (%s) in %" PRIu64 " blocks; allocated %" PRIu64 " bytes in %" PRIu64
			" blocks\n",
			names[i], sum->current, kb_memory_size__text(sum->current, a), sum->blocks,
			sum->peak, kb_memory_size__text(sum->peak, b), sum->peak_blocks, sum->total,
			sum->total_blocks);
	}
	if (info->attached_ns)
		fprintf(stream,
			"  observed from %.3f s on: what it had allocated by then is in no "
			"figure\n",
			(double)info->attached_ns / 1e9);
	if (info->lost_blocks)
		fprintf(stream,
			"  incomplete: %" PRIu64 " blocks of %" PRIu64
			" bytes are in no figure but the total, for the table of live blocks was "
			"full\n",
			info->lost_blocks, info->lost_bytes);
	if (info->unfinished)
		fprintf(stream,
			"  incomplete: the end of %" PRIu64
			" allocations was not seen: what came within them is in no figure\n",
			info->unfinished);
	if (info->rss)
		fprintf(stream,
			"  resident %s, at most %s; page faults %" PRIu64 " minor, %" PRIu64
			" major\n",
			kb_memory_size__text(info->rss, a), kb_memory_size__text(info->rss_peak, b),
			info->minor_faults, info->major_faults);
}

static void write_summary(struct table *table, const struct kb_memory_view *view, uint32_t shown)
{
	const struct kb_memory *memory = kb_profile__memory(table->profile);
	char size[KB_MEMORY_SIZE_TEXT];

	if (shown < view->n)
		fprintf(table->stream, "%u other %s\n", view->n - shown,
			table->opts->group == KB_MEMORY_BY_LINE	  ? "lines"
			: table->opts->group == KB_MEMORY_BY_FILE ? "files"
								  : "stacks");
	fprintf(table->stream, "All that is selected: %s in %" PRIu64 " blocks\n\n",
		kb_memory_size__text(view->bytes, size), view->blocks);
	for (uint32_t i = 0; i < kb_memory__n_processes(memory); i++)
		write_process(table, kb_memory__process(memory, i));
	if (kb_memory__frames_max(memory))
		fprintf(table->stream, "Stacks are cut to %u frames.\n",
			kb_memory__frames_max(memory));
	kb_ledger_text__write(table->profile, table->stream);
}

struct kb_error *kb_memory_table__write(const struct kb_profile *profile,
					const struct kb_memory_view_opts *opts, FILE *stream)
{
	struct table table = { .profile = profile,
			       .opts = opts,
			       .sources = { .profile = profile },
			       .stream = stream };
	struct kb_memory_view *view;
	uint32_t shown;

	KB_TRY(kb_memory_view__create(profile, opts, &view));
	shown = opts->limit && opts->limit < view->n ? opts->limit : view->n;
	write_title(&table);
	for (uint32_t i = 0; i < shown; i++)
		write_row(&table, &view->rows[i]);
	if (opts->summary)
		write_summary(&table, view, shown);
	free_sources(&table.sources);
	kb_memory_view__destroy(view);
	return NULL;
}

struct kb_error *kb_memory_traceback__write(const struct kb_profile *profile, uint32_t entry,
					    FILE *stream)
{
	const struct kb_memory *memory = kb_profile__memory(profile);
	struct kb_memory_view_opts opts = {};
	struct table table = { .profile = profile,
			       .opts = &opts,
			       .sources = { .profile = profile },
			       .stream = stream };

	if (!memory || entry >= kb_memory__n_entries(memory))
		return kb_usage("there is no such entry");
	write_traceback(&table, kb_memory__entries(memory)[entry].node, "  ");
	free_sources(&table.sources);
	return NULL;
}
