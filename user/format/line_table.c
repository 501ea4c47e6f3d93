// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Two passes over the profile's stack tree. The first numbers what is counted: files,
 * lines, calls. The second goes through the tree in depth, and for each line, file and
 * call a counter says how often it is on the current stack: a node's samples are
 * added where the counter was 0.
 */
#include <stdlib.h>
#include <string.h>
#include "format/line_table.h"
#include "format/pair_index.h"

struct builder {
	const struct kb_profile *profile;
	struct kb_line_table *table;
	const struct kb_stack_node *nodes;
	uint32_t n_nodes, n_frames, n_functions;
	uint64_t *self, *total; /* by node */
	uint32_t *python;	/* by node: it, or the nearest caller that is Python; KB_ID_NONE */
	uint32_t *file_of;	/* by function; KB_ID_NONE for what is no Python */
	uint32_t *row_of;	/* by frame; KB_ID_NONE */
	uint32_t *call_of;	/* by node; KB_ID_NONE */
	uint32_t *opcode_of;	/* by frame; KB_ID_NONE */
	uint32_t *rows_on, *files_on, *calls_on; /* on the current stack */
	uint32_t *child, *sibling;		 /* by node: the first child, the next sibling */
};

static void *alloc_array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

/* ---------------------------------------------------------------- files and rows */

static int compare_functions(const void *a, const void *b, void *profile)
{
	return strcmp(kb_profile__function(profile, *(const uint32_t *)a)->file,
		      kb_profile__function(profile, *(const uint32_t *)b)->file);
}

static struct kb_error *number_files(struct builder *b)
{
	uint32_t *sorted = alloc_array(b->n_functions, sizeof(*sorted)), n = 0;
	struct kb_line_table *table = b->table;

	b->file_of = alloc_array(b->n_functions, sizeof(*b->file_of));
	table->files = alloc_array(b->n_functions, sizeof(*table->files));
	if (!sorted || !b->file_of || !table->files) {
		free(sorted);
		return kb_error__no_memory();
	}
	for (uint32_t i = 0; i < b->n_functions; i++) {
		b->file_of[i] = KB_ID_NONE;
		if (kb_profile__function(b->profile, i)->kind == KB_FRAME_PYTHON)
			sorted[n++] = i;
	}
	qsort_r(sorted, n, sizeof(*sorted), compare_functions, (void *)b->profile);
	for (uint32_t i = 0; i < n; i++) {
		const char *name = kb_profile__function(b->profile, sorted[i])->file;

		if (!i || strcmp(name, table->files[table->n_files - 1].name))
			table->files[table->n_files++].name = name;
		b->file_of[sorted[i]] = table->n_files - 1;
	}
	free(sorted);
	return NULL;
}

struct place {
	uint32_t file, frame;
	int32_t line;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return (x->frame > y->frame) - (x->frame < y->frame);
}

static void number_rows_of(struct builder *b, const struct place *places, uint32_t n)
{
	struct kb_line_table *table = b->table;

	for (uint32_t i = 0; i < n; i++) {
		const struct place *place = &places[i];
		struct kb_line_file *file = &table->files[place->file];

		if (!i || place->file != place[-1].file || place->line != place[-1].line) {
			if (!file->n_rows++)
				file->first_row = table->n_rows;
			table->rows[table->n_rows++] = (struct kb_line_row){
				.file = place->file,
				.function = kb_profile__frame(b->profile, place->frame)->function,
				.line = place->line,
			};
		}
		b->row_of[place->frame] = table->n_rows - 1;
	}
}

static struct kb_error *number_rows(struct builder *b)
{
	struct place *places = alloc_array(b->n_frames, sizeof(*places));
	struct kb_line_table *table = b->table;
	uint32_t n = 0;

	b->row_of = alloc_array(b->n_frames, sizeof(*b->row_of));
	table->rows = alloc_array(b->n_frames, sizeof(*table->rows));
	if (!places || !b->row_of || !table->rows) {
		free(places);
		return kb_error__no_memory();
	}
	for (uint32_t i = 0; i < b->n_frames; i++) {
		const struct kb_frame_info *frame = kb_profile__frame(b->profile, i);
		uint32_t file = b->file_of[frame->function];

		b->row_of[i] = KB_ID_NONE;
		if (file != KB_ID_NONE)
			places[n++] = (struct place){ file, i, frame->line > 0 ? frame->line : 0 };
	}
	qsort(places, n, sizeof(*places), compare_places);
	number_rows_of(b, places, n);
	free(places);
	return NULL;
}

/* ---------------------------------------------------------------- the tree */

static struct kb_error *link_nodes(struct builder *b)
{
	b->child = alloc_array(b->n_nodes, sizeof(*b->child));
	b->sibling = alloc_array(b->n_nodes, sizeof(*b->sibling));
	b->python = alloc_array(b->n_nodes, sizeof(*b->python));
	b->self = alloc_array(b->n_nodes, sizeof(*b->self));
	b->total = alloc_array(b->n_nodes, sizeof(*b->total));
	if (!b->child || !b->sibling || !b->python || !b->self || !b->total)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < b->n_nodes; i++) {
		uint32_t parent = b->nodes[i].parent;

		b->child[i] = KB_ID_NONE;
		b->python[i] = parent == KB_ID_NONE ? KB_ID_NONE : b->python[parent];
		if (b->row_of[b->nodes[i].frame] != KB_ID_NONE)
			b->python[i] = i;
		b->sibling[i] = KB_ID_NONE;
		if (parent == KB_ID_NONE)
			continue;
		b->sibling[i] = b->child[parent];
		b->child[parent] = i;
	}
	return NULL;
}

static void sum_nodes(struct builder *b)
{
	const struct kb_sample *samples = kb_profile__samples(b->profile);

	for (uint32_t i = 0; i < kb_profile__n_samples(b->profile); i++)
		b->self[samples[i].node] += samples[i].count;
	for (uint32_t i = b->n_nodes; i-- > 0;) {
		b->total[i] += b->self[i];
		if (b->nodes[i].parent != KB_ID_NONE)
			b->total[b->nodes[i].parent] += b->total[i];
	}
}

static void add_process(struct kb_line_file *file, uint32_t process)
{
	for (uint32_t i = 0; i < file->n_processes; i++)
		if (file->processes[i] == process)
			return;
	if (file->n_processes < KB_LINE_PROCESSES_MAX)
		file->processes[file->n_processes++] = process;
}

/* Each node speaks for the first process that has it; so each is visited once. */
static struct kb_error *find_processes(struct builder *b)
{
	const struct kb_sample *samples = kb_profile__samples(b->profile);
	uint8_t *visited = alloc_array(b->n_nodes, sizeof(*visited));

	if (!visited)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < kb_profile__n_samples(b->profile); i++) {
		uint32_t process = kb_profile__thread(b->profile, samples[i].thread)->process;

		for (uint32_t at = samples[i].node; at != KB_ID_NONE && !visited[at];
		     at = b->nodes[at].parent) {
			uint32_t row = b->row_of[b->nodes[at].frame];

			visited[at] = 1;
			if (row != KB_ID_NONE)
				add_process(&b->table->files[b->table->rows[row].file], process);
		}
	}
	free(visited);
	return NULL;
}

/* The node that calls this one, as far as calls are shown; KB_ID_NONE. */
static uint32_t caller_of(const struct builder *b, uint32_t node)
{
	uint32_t parent = b->nodes[node].parent;

	if (parent == KB_ID_NONE)
		return KB_ID_NONE;
	/* Python called by native code is called by the line that called that; native code is
	 * a callee where a line called it. */
	if (b->python[node] != node && b->python[parent] != parent)
		return KB_ID_NONE;
	return b->python[parent];
}

static struct kb_error *number_calls(struct builder *b, struct kb_pair_index *index)
{
	b->call_of = alloc_array(b->n_nodes, sizeof(*b->call_of));
	if (!b->call_of)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < b->n_nodes; i++) {
		uint32_t caller = caller_of(b, i);
		struct kb_pair pair;

		b->call_of[i] = KB_ID_NONE;
		if (caller == KB_ID_NONE || !b->total[i])
			continue;
		pair.first = b->row_of[b->nodes[caller].frame];
		pair.second = kb_profile__frame(b->profile, b->nodes[i].frame)->function;
		KB_TRY(kb_pair_index__add(index, pair, &b->call_of[i]));
	}
	b->table->n_calls = kb_pair_index__count(index);
	b->table->calls = alloc_array(b->table->n_calls, sizeof(*b->table->calls));
	b->calls_on = alloc_array(b->table->n_calls, sizeof(*b->calls_on));
	if (!b->table->calls || !b->calls_on)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < b->table->n_calls; i++) {
		const struct kb_pair *pair = &kb_pair_index__pairs(index)[i];

		b->table->calls[i] = (struct kb_line_call){ pair->first, pair->second, 0 };
	}
	return NULL;
}

/* ---------------------------------------------------------------- counting */

static void enter(struct builder *b, uint32_t node)
{
	struct kb_line_table *table = b->table;
	uint32_t frame = b->nodes[node].frame, row = b->row_of[frame], call = b->call_of[node];
	uint32_t inner = b->python[node];

	if (call != KB_ID_NONE && b->calls_on[call]++ == 0)
		table->calls[call].count += b->total[node];
	if (row != KB_ID_NONE) {
		if (b->rows_on[row]++ == 0)
			table->rows[row].total += b->total[node];
		if (b->files_on[table->rows[row].file]++ == 0)
			table->files[table->rows[row].file].total += b->total[node];
	}
	if (!b->self[node] || inner == KB_ID_NONE)
		return;
	row = b->row_of[b->nodes[inner].frame];
	table->rows[row].self += b->self[node];
	table->files[table->rows[row].file].self += b->self[node];
	if (b->opcode_of[b->nodes[inner].frame] != KB_ID_NONE)
		table->opcodes[b->opcode_of[b->nodes[inner].frame]].count += b->self[node];
}

static void leave(struct builder *b, uint32_t node)
{
	uint32_t row = b->row_of[b->nodes[node].frame], call = b->call_of[node];

	if (call != KB_ID_NONE)
		b->calls_on[call]--;
	if (row == KB_ID_NONE)
		return;
	b->rows_on[row]--;
	b->files_on[b->table->rows[row].file]--;
}

/* Down to the first child, then along siblings, then back up. */
static void walk(struct builder *b)
{
	for (uint32_t root = 0; root < b->n_nodes; root++) {
		uint32_t at = root;

		if (b->nodes[root].parent != KB_ID_NONE)
			continue;
		enter(b, at);
		for (;;) {
			if (b->child[at] != KB_ID_NONE) {
				at = b->child[at];
				enter(b, at);
				continue;
			}
			while (at != root && b->sibling[at] == KB_ID_NONE) {
				leave(b, at);
				at = b->nodes[at].parent;
			}
			leave(b, at);
			if (at == root)
				break;
			at = b->sibling[at];
			enter(b, at);
		}
	}
}

/* ---------------------------------------------------------------- opcodes */

/* Frames of one line and one instruction, in several functions or at several places, are one. */
static int compare_frames(const void *a, const void *b, void *arg)
{
	const struct builder *builder = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (builder->row_of[x] != builder->row_of[y])
		return builder->row_of[x] < builder->row_of[y] ? -1 : 1;
	return strcmp(kb_profile__frame(builder->profile, x)->opcode,
		      kb_profile__frame(builder->profile, y)->opcode);
}

static struct kb_error *number_opcodes(struct builder *b)
{
	uint32_t *sorted = alloc_array(b->n_frames, sizeof(*sorted)), n = 0;
	struct kb_line_table *table = b->table;

	b->opcode_of = alloc_array(b->n_frames, sizeof(*b->opcode_of));
	table->opcodes = alloc_array(b->n_frames, sizeof(*table->opcodes));
	if (!sorted || !b->opcode_of || !table->opcodes) {
		free(sorted);
		return kb_error__no_memory();
	}
	for (uint32_t i = 0; i < b->n_frames; i++) {
		b->opcode_of[i] = KB_ID_NONE;
		if (b->row_of[i] != KB_ID_NONE && *kb_profile__frame(b->profile, i)->opcode)
			sorted[n++] = i;
	}
	qsort_r(sorted, n, sizeof(*sorted), compare_frames, b);
	for (uint32_t i = 0; i < n; i++) {
		if (!i || compare_frames(&sorted[i], &sorted[i - 1], b))
			table->opcodes[table->n_opcodes++] =
				(struct kb_line_opcode){ b->row_of[sorted[i]], sorted[i], 0 };
		b->opcode_of[sorted[i]] = table->n_opcodes - 1;
	}
	free(sorted);
	return NULL;
}

/* ---------------------------------------------------------------- all of it */

static int compare_calls(const void *a, const void *b)
{
	const struct kb_line_call *x = a, *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return (x->function > y->function) - (x->function < y->function);
}

static int compare_opcodes(const void *a, const void *b)
{
	const struct kb_line_opcode *x = a, *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return (x->frame > y->frame) - (x->frame < y->frame);
}

static struct kb_error *fill(struct builder *b)
{
	struct kb_line_table *table = b->table;
	struct kb_pair_index *calls;
	struct kb_error *err;

	KB_TRY(number_files(b));
	KB_TRY(number_rows(b));
	KB_TRY(number_opcodes(b));
	KB_TRY(link_nodes(b));
	sum_nodes(b);
	KB_TRY(find_processes(b));
	KB_TRY(kb_pair_index__create(&calls));
	err = number_calls(b, calls);
	kb_pair_index__destroy(calls);
	if (err)
		return err;
	b->rows_on = alloc_array(table->n_rows, sizeof(*b->rows_on));
	b->files_on = alloc_array(table->n_files, sizeof(*b->files_on));
	if (!b->rows_on || !b->files_on)
		return kb_error__no_memory();
	walk(b);
	qsort(table->calls, table->n_calls, sizeof(*table->calls), compare_calls);
	qsort(table->opcodes, table->n_opcodes, sizeof(*table->opcodes), compare_opcodes);
	table->total = kb_profile__total(b->profile);
	return NULL;
}

static void free_builder(struct builder *b)
{
	free(b->self);
	free(b->total);
	free(b->python);
	free(b->file_of);
	free(b->row_of);
	free(b->call_of);
	free(b->opcode_of);
	free(b->rows_on);
	free(b->files_on);
	free(b->calls_on);
	free(b->child);
	free(b->sibling);
}

struct kb_error *kb_line_table__create(const struct kb_profile *profile,
				       struct kb_line_table **table)
{
	struct builder b = {
		.profile = profile,
		.nodes = kb_profile__nodes(profile),
		.n_nodes = kb_profile__n_nodes(profile),
		.n_frames = kb_profile__n_frames(profile),
		.n_functions = kb_profile__n_functions(profile),
		.table = calloc(1, sizeof(*b.table)),
	};
	struct kb_error *err;

	if (!b.table)
		return kb_error__no_memory();
	err = fill(&b);
	free_builder(&b);
	if (err)
		kb_line_table__destroy(b.table);
	else
		*table = b.table;
	return err;
}

static int compare_name(const void *name, const void *file)
{
	return strcmp(name, ((const struct kb_line_file *)file)->name);
}

const struct kb_line_file *kb_line_table__file(const struct kb_line_table *table, const char *name)
{
	return bsearch(name, table->files, table->n_files, sizeof(*table->files), compare_name);
}

void kb_line_table__destroy(struct kb_line_table *table)
{
	if (!table)
		return;
	free(table->files);
	free(table->rows);
	free(table->calls);
	free(table->opcodes);
	free(table);
}
