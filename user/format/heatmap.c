// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The heat map is a page like the flame graph's. Its data:
 *
 *     meta, ledger, total
 *     files        [name, own cost, total cost, first row, rows, index of the source or -1, note],
 *                  those that cost most first
 *     rowLine, rowSelf, rowTotal, rowFunction
 *                  one value for each line that was executed, by file and line
 *     functions    [kind (enum kb_frame_kind), name, index into files or -1, first line]
 *     callRow, callFunction, callCount
 *                  which line called which function
 *     opcodes      [name, base name]
 *     opRow, opName, opCount
 *     leftOut      rows and calls that were too small for the limits below
 *
 * The sources follow, each in an element of its own, which the page parses when the file
 * is looked at.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "format/line_table.h"
#include "format/page.h"
#include "format/source.h"
#include "format/writers.h"

/* Nobody reads more, and a page that has them still opens at once. The smallest are left out. */
#define HEATMAP_ROWS_MAX  (1u << 18)
#define HEATMAP_CALLS_MAX (1u << 18)
/* All sources together: those of the files with the highest cost. */
#define HEATMAP_SOURCES_MAX (16u << 20)

static const unsigned char template_html[] = {
#include "embed/heatmap.html.h"
	0
};
static const unsigned char style_css[] = {
#include "embed/heatmap.css.h"
	0
};
static const unsigned char index_js[] = {
#include "embed/heat_index.js.h"
	0
};
static const unsigned char file_js[] = {
#include "embed/heat_file.js.h"
	0
};
static const unsigned char script_js[] = {
#include "embed/heatmap.js.h"
	0
};

struct heatmap {
	const struct kb_profile *profile;
	const struct kb_format_opts *opts;
	const struct kb_line_table *table;
	uint32_t *order;       /* files, as they are written */
	uint32_t *place;       /* by file: where it is written */
	uint32_t *row_id;      /* by row of the table; KB_ID_NONE: left out */
	uint32_t *first_row;   /* by file, in ids */
	uint32_t *n_rows;      /* by file */
	uint32_t *function_id; /* by function of the profile; KB_ID_NONE: not written */
	uint32_t *functions;   /* by id */
	uint32_t n_functions;
	uint64_t smallest_row, smallest_call;
	uint32_t rows_left_out, calls_left_out;
	struct kb_source *sources; /* by file */
	FILE *stream;
};

/* ---------------------------------------------------------------- what is written */

static int compare_files(const void *a, const void *b, void *arg)
{
	const struct kb_line_file *files = arg;
	const struct kb_line_file *x = &files[*(const uint32_t *)a];
	const struct kb_line_file *y = &files[*(const uint32_t *)b];

	if (x->self != y->self)
		return x->self > y->self ? -1 : 1;
	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	return strcmp(x->name, y->name);
}

static uint64_t row_count(const struct kb_line_table *table, uint32_t row)
{
	return table->rows[row].total;
}

static uint64_t call_count(const struct kb_line_table *table, uint32_t call)
{
	return table->calls[call].count;
}

/* The least count so that no more than max have as much. */
static uint64_t find_smallest(const struct kb_line_table *table, uint32_t n, uint32_t max,
			      uint64_t (*count)(const struct kb_line_table *, uint32_t))
{
	uint64_t smallest = 1;

	for (; smallest <= UINT64_MAX / 2; smallest *= 2) {
		uint32_t left = 0;

		for (uint32_t i = 0; i < n; i++)
			left += count(table, i) >= smallest;
		if (left <= max)
			break;
	}
	return smallest;
}

static void use_function(struct heatmap *map, uint32_t function)
{
	if (map->function_id[function] != KB_ID_NONE)
		return;
	map->function_id[function] = map->n_functions;
	map->functions[map->n_functions++] = function;
}

static bool shows_call(const struct heatmap *map, const struct kb_line_call *call)
{
	return call->count >= map->smallest_call && map->row_id[call->row] != KB_ID_NONE;
}

static void number_rows(struct heatmap *map)
{
	const struct kb_line_table *table = map->table;
	uint32_t next = 0;

	for (uint32_t i = 0; i < table->n_files; i++) {
		const struct kb_line_file *file = &table->files[map->order[i]];

		map->first_row[map->order[i]] = next;
		for (uint32_t row = file->first_row; row < file->first_row + file->n_rows; row++) {
			bool shown = table->rows[row].total >= map->smallest_row;

			map->row_id[row] = shown ? next++ : KB_ID_NONE;
			map->rows_left_out += !shown && table->rows[row].total;
			if (shown)
				use_function(map, table->rows[row].function);
		}
		map->n_rows[map->order[i]] = next - map->first_row[map->order[i]];
	}
	for (uint32_t i = 0; i < table->n_calls; i++) {
		if (shows_call(map, &table->calls[i]))
			use_function(map, table->calls[i].function);
		else
			map->calls_left_out++;
	}
}

static struct kb_error *choose(struct heatmap *map)
{
	const struct kb_line_table *table = map->table;
	uint32_t n_functions = kb_profile__n_functions(map->profile);

	map->order = calloc(table->n_files + (size_t)1, sizeof(*map->order));
	map->place = calloc(table->n_files + (size_t)1, sizeof(*map->place));
	map->first_row = calloc(table->n_files + (size_t)1, sizeof(*map->first_row));
	map->n_rows = calloc(table->n_files + (size_t)1, sizeof(*map->n_rows));
	map->sources = calloc(table->n_files + (size_t)1, sizeof(*map->sources));
	map->row_id = calloc(table->n_rows + (size_t)1, sizeof(*map->row_id));
	map->function_id = calloc(n_functions + (size_t)1, sizeof(*map->function_id));
	map->functions = calloc(n_functions + (size_t)1, sizeof(*map->functions));
	if (!map->order || !map->place || !map->first_row || !map->n_rows || !map->sources ||
	    !map->row_id || !map->function_id || !map->functions)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < table->n_files; i++)
		map->order[i] = i;
	qsort_r(map->order, table->n_files, sizeof(*map->order), compare_files, table->files);
	for (uint32_t i = 0; i < table->n_files; i++)
		map->place[map->order[i]] = i;
	for (uint32_t i = 0; i < n_functions; i++)
		map->function_id[i] = KB_ID_NONE;
	map->smallest_row = find_smallest(table, table->n_rows, HEATMAP_ROWS_MAX, row_count);
	map->smallest_call = find_smallest(table, table->n_calls, HEATMAP_CALLS_MAX, call_count);
	number_rows(map);
	return NULL;
}

static struct kb_error *read_sources(struct heatmap *map)
{
	const struct kb_line_table *table = map->table;
	size_t room = HEATMAP_SOURCES_MAX;

	for (uint32_t i = 0; i < table->n_files; i++) {
		const struct kb_line_file *file = &table->files[map->order[i]];
		struct kb_source *source = &map->sources[map->order[i]];

		if (!file->total)
			continue;
		KB_TRY(kb_source__read(map->profile, file->name, file->processes, file->n_processes,
				       source));
		if (source->bytes > room) {
			kb_source__free(source);
			strcpy(source->note, "left out: the page has 16 MiB of sources already");
		}
		room -= source->bytes;
	}
	return NULL;
}

/* ---------------------------------------------------------------- writing */

static void write_files(const struct heatmap *map)
{
	const struct kb_line_table *table = map->table;
	int source = 0;

	fputs(",\n\"files\":[", map->stream);
	for (uint32_t i = 0; i < table->n_files; i++) {
		uint32_t id = map->order[i];
		const struct kb_line_file *file = &table->files[id];
		bool has_source = map->sources[id].lines;

		fputs(i ? ",\n[" : "\n[", map->stream);
		kb_text__write_json(map->stream, file->name);
		fprintf(map->stream, ",%" PRIu64 ",%" PRIu64 ",%" PRIu32 ",%" PRIu32 ",%d,",
			file->self, file->total, map->first_row[id], map->n_rows[id],
			has_source ? source : -1);
		kb_text__write_json(map->stream, map->sources[id].note);
		putc(']', map->stream);
		source += has_source;
	}
	putc(']', map->stream);
}

static void write_functions(const struct heatmap *map)
{
	fputs(",\n\"functions\":[", map->stream);
	for (uint32_t i = 0; i < map->n_functions && !ferror(map->stream); i++) {
		const struct kb_function_info *info =
			kb_profile__function(map->profile, map->functions[i]);
		const struct kb_line_file *file = NULL;

		if (info->kind == KB_FRAME_PYTHON)
			file = kb_line_table__file(map->table, info->file);
		fprintf(map->stream, "%s[%d,", i ? ",\n" : "\n", info->kind);
		kb_text__write_json(map->stream, info->name);
		if (file)
			fprintf(map->stream, ",%" PRIu32, map->place[file - map->table->files]);
		else
			fputs(",-1", map->stream);
		fprintf(map->stream, ",%" PRId32 "]", info->first_line > 0 ? info->first_line : 0);
	}
	putc(']', map->stream);
}

enum column {
	ROW_LINE,
	ROW_SELF,
	ROW_TOTAL,
	ROW_FUNCTION,
	CALL_ROW,
	CALL_FUNCTION,
	CALL_COUNT,
	OP_ROW,
	OP_NAME,
	OP_COUNT,
	N_COLUMNS,
};

static const char *const column_names[N_COLUMNS] = {
	[ROW_LINE] = "rowLine",		[ROW_SELF] = "rowSelf", [ROW_TOTAL] = "rowTotal",
	[ROW_FUNCTION] = "rowFunction", [CALL_ROW] = "callRow", [CALL_FUNCTION] = "callFunction",
	[CALL_COUNT] = "callCount",	[OP_ROW] = "opRow",	[OP_NAME] = "opName",
	[OP_COUNT] = "opCount",
};

static void write_value(const struct heatmap *map, bool *first, uint64_t value)
{
	fprintf(map->stream, *first ? "%" PRIu64 : ",%" PRIu64, value);
	*first = false;
}

static void write_rows(const struct heatmap *map, enum column column)
{
	const struct kb_line_table *table = map->table;
	bool first = true;

	for (uint32_t i = 0; i < table->n_files && !ferror(map->stream); i++) {
		const struct kb_line_file *file = &table->files[map->order[i]];

		for (uint32_t at = file->first_row; at < file->first_row + file->n_rows; at++) {
			const struct kb_line_row *row = &table->rows[at];
			uint64_t values[] = { (uint64_t)row->line, row->self, row->total,
					      map->function_id[row->function] };

			if (map->row_id[at] != KB_ID_NONE)
				write_value(map, &first, values[column - ROW_LINE]);
		}
	}
}

static void write_calls(const struct heatmap *map, enum column column)
{
	bool first = true;

	for (uint32_t i = 0; i < map->table->n_calls && !ferror(map->stream); i++) {
		const struct kb_line_call *call = &map->table->calls[i];
		uint64_t values[] = { map->row_id[call->row], map->function_id[call->function],
				      call->count };

		if (shows_call(map, call))
			write_value(map, &first, values[column - CALL_ROW]);
	}
}

/* name_of: by frame of the profile, the index of its opcode's name. */
static void write_opcodes(const struct heatmap *map, enum column column, const uint32_t *name_of)
{
	bool first = true;

	for (uint32_t i = 0; i < map->table->n_opcodes && !ferror(map->stream); i++) {
		const struct kb_line_opcode *opcode = &map->table->opcodes[i];
		uint64_t values[] = { map->row_id[opcode->row], name_of[opcode->frame],
				      opcode->count };

		if (opcode->count && map->row_id[opcode->row] != KB_ID_NONE)
			write_value(map, &first, values[column - OP_ROW]);
	}
}

static int compare_names(const void *a, const void *b, void *profile)
{
	return strcmp(kb_profile__frame(profile, *(const uint32_t *)a)->opcode,
		      kb_profile__frame(profile, *(const uint32_t *)b)->opcode);
}

/* Each name once, with what it specializes. Fills name_of for the frames of the opcodes. */
static struct kb_error *write_opcode_names(const struct heatmap *map, uint32_t *name_of)
{
	const struct kb_line_table *table = map->table;
	uint32_t *frames = calloc(table->n_opcodes + (size_t)1, sizeof(*frames)), n = 0;

	if (!frames)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < table->n_opcodes; i++)
		frames[i] = table->opcodes[i].frame;
	qsort_r(frames, table->n_opcodes, sizeof(*frames), compare_names, (void *)map->profile);
	fputs(",\n\"opcodes\":[", map->stream);
	for (uint32_t i = 0; i < table->n_opcodes; i++) {
		const char *name = kb_profile__frame(map->profile, frames[i])->opcode;

		if (!i || compare_names(&frames[i], &frames[i - 1], (void *)map->profile)) {
			fputs(n++ ? ",[" : "[", map->stream);
			kb_text__write_json(map->stream, name);
			putc(',', map->stream);
			kb_text__write_json(map->stream, kb_opcode__base_of(name));
			putc(']', map->stream);
		}
		name_of[frames[i]] = n - 1;
	}
	putc(']', map->stream);
	free(frames);
	return NULL;
}

static struct kb_error *write_columns(const struct heatmap *map)
{
	uint32_t *name_of =
		calloc(kb_profile__n_frames(map->profile) + (size_t)1, sizeof(*name_of));
	struct kb_error *err;

	if (!name_of)
		return kb_error__no_memory();
	err = write_opcode_names(map, name_of);
	for (enum column column = 0; !err && column < N_COLUMNS; column++) {
		fprintf(map->stream, ",\n\"%s\":[", column_names[column]);
		if (column < CALL_ROW)
			write_rows(map, column);
		else if (column < OP_ROW)
			write_calls(map, column);
		else
			write_opcodes(map, column, name_of);
		putc(']', map->stream);
	}
	free(name_of);
	return err;
}

/* The template's element of data ends, and one for each source follows; the last is ended by the
 * template. */
static void write_sources(const struct heatmap *map)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < map->table->n_files && !ferror(map->stream); i++) {
		const struct kb_source *source = &map->sources[map->order[i]];

		if (!source->lines)
			continue;
		fprintf(map->stream,
			"</script>\n<script id=\"source-%" PRIu32 "\" type=\"application/json\">[",
			n++);
		for (uint32_t line = 0; line < source->n_lines; line++) {
			fputs(line ? ",\n" : "", map->stream);
			kb_text__write_json(map->stream, source->lines[line]);
		}
		putc(']', map->stream);
	}
}

static struct kb_error *write_data(void *context, FILE *stream)
{
	struct heatmap *map = context;

	KB_TRY(choose(map));
	KB_TRY(read_sources(map));
	kb_page__begin_profile(map->profile, map->opts->title, stream);
	fprintf(stream, ",\n\"total\":%" PRIu64 ",\"leftOut\":[%" PRIu32 ",%" PRIu32 "]",
		map->table->total, map->rows_left_out, map->calls_left_out);
	write_files(map);
	write_functions(map);
	KB_TRY(write_columns(map));
	putc('}', stream);
	write_sources(map);
	return NULL;
}

static void free_map(struct heatmap *map)
{
	for (uint32_t i = 0; map->sources && i < map->table->n_files; i++)
		kb_source__free(&map->sources[i]);
	free(map->sources);
	free(map->order);
	free(map->place);
	free(map->row_id);
	free(map->first_row);
	free(map->n_rows);
	free(map->function_id);
	free(map->functions);
}

struct kb_error *kb_heatmap__write(const struct kb_profile *profile,
				   const struct kb_format_opts *opts, FILE *stream)
{
	static const char *const styles[] = { (const char *)style_css, NULL };
	static const char *const scripts[] = { (const char *)index_js, (const char *)file_js,
					       (const char *)script_js, NULL };
	struct heatmap map = { .profile = profile, .opts = opts, .stream = stream };
	struct kb_page page = { (const char *)template_html, styles, scripts, write_data, &map };
	struct kb_line_table *table;
	struct kb_error *err;

	KB_TRY(kb_line_table__create(profile, &table));
	map.table = table;
	err = kb_page__write(&page, stream);
	free_map(&map);
	kb_line_table__destroy(table);
	return err;
}
