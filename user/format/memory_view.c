// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "base/options.h"
#include "format/memory_view.h"
#include "model/profile.h"

#define ROWS_MAX      (1u << 22)
#define KEY_BYTES_MAX (1u << 30)
/* A stack as a key: file and line of each frame. */
#define TRACEBACK_MAX (1u << 20)

/* What calls of code that is not the interpreter's stand under, as in sampled stacks. */
#define NATIVE "<native>"

#define NOT_MAPPINGS (~(1u << KB_MEMORY_MMAP | 1u << KB_MEMORY_ARENA))

struct kb_error *kb_memory_view__complete(const struct kb_memory_view_opts *given,
					  struct kb_memory_view_opts *opts)
{
	*opts = (struct kb_memory_view_opts){ .summary = true };
	if (given)
		KB_TRY(KB_COPY_OPTIONS(opts, given));
	opts->size = sizeof(*opts);
	if (!opts->domains)
		opts->domains = NOT_MAPPINGS;
	return NULL;
}

/* ---------------------------------------------------------------- places */

static const struct kb_function_info *function_of(const struct kb_profile *profile, uint32_t node)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);

	return kb_profile__function(profile,
				    kb_profile__frame(profile, nodes[node].frame)->function);
}

static int32_t line_of(const struct kb_profile *profile, uint32_t node)
{
	return kb_profile__frame(profile, kb_profile__nodes(profile)[node].frame)->line;
}

/* Markers have a name only, which stands where the file would. */
static const char *file_of(const struct kb_profile *profile, uint32_t node)
{
	const struct kb_function_info *function = function_of(profile, node);

	return *function->file ? function->file : function->name;
}

uint32_t kb_memory_view__python_leaf(const struct kb_profile *profile, uint32_t node)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);

	for (uint32_t at = node; at != KB_ID_NONE; at = nodes[at].parent)
		if (function_of(profile, at)->kind == KB_FRAME_PYTHON)
			return at;
	return node;
}

/* ---------------------------------------------------------------- filters */

static bool matches_frame(const struct kb_profile *profile, const struct kb_memory_filter *filter,
			  uint32_t node)
{
	return !fnmatch(filter->pattern, file_of(profile, node), 0) &&
	       (!filter->line || filter->line == line_of(profile, node));
}

static bool matches(const struct kb_profile *profile, const struct kb_memory_filter *filter,
		    uint32_t leaf)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);

	if (!filter->all_frames)
		return matches_frame(profile, filter, leaf);
	for (uint32_t at = leaf; at != KB_ID_NONE; at = nodes[at].parent)
		if (matches_frame(profile, filter, at))
			return true;
	return false;
}

bool kb_memory_view__passes(const struct kb_profile *profile,
			    const struct kb_memory_view_opts *opts,
			    const struct kb_memory_entry *entry)
{
	uint32_t leaf = kb_memory_view__python_leaf(profile, entry->node);
	bool any_inclusive = false, included = false;

	if (!(opts->domains & 1u << entry->domain))
		return false;
	for (size_t i = 0; i < opts->n_filters; i++) {
		bool match = matches(profile, &opts->filters[i], leaf);

		if (!opts->filters[i].inclusive && match)
			return false;
		any_inclusive = any_inclusive || opts->filters[i].inclusive;
		included = included || (opts->filters[i].inclusive && match);
	}
	return included || !any_inclusive;
}

void kb_memory_view__amount(const struct kb_memory_view_opts *opts,
			    const struct kb_memory_entry *entry, uint64_t *bytes, uint64_t *blocks)
{
	switch (opts->value) {
	case KB_MEMORY_PEAK:
		*bytes = entry->peak_bytes;
		*blocks = entry->peak_blocks;
		break;
	case KB_MEMORY_TOTAL:
		*bytes = entry->total_bytes;
		*blocks = entry->total_blocks;
		break;
	default:
		*bytes = entry->live_bytes;
		*blocks = entry->live_blocks;
	}
}

/* ---------------------------------------------------------------- rows */

/* What one entry adds to each of its rows. */
struct addition {
	bool native;
	uint64_t bytes, blocks, oldest_ns, newest_ns, total_bytes, total_blocks;
};

static struct kb_memory_row *row_of(struct kb_memory_view *view, const char *key, size_t size,
				    bool *fresh)
{
	uint32_t before = kb_strpool__count(view->keys);
	uint32_t id = kb_strpool__add(view->keys, key, size);
	struct kb_memory_row *rows;

	*fresh = false;
	if (id == KB_STRPOOL_NONE)
		return NULL;
	if (id < before)
		return &view->rows[id];
	rows = kb_array__grow(view->rows, &view->capacity, id + 1, sizeof(*rows), ROWS_MAX);
	if (!rows)
		return NULL;
	view->rows = rows;
	view->n = id + 1;
	*fresh = true;
	rows[id] = (struct kb_memory_row){ .key = kb_strpool__at(view->keys, id),
					   .oldest_ns = UINT64_MAX };
	return &rows[id];
}

static void add_to_row(struct kb_memory_view *view, const struct kb_profile *profile, uint32_t node,
		       bool by_file, const char *key, size_t size, const struct addition *more)
{
	bool fresh;
	struct kb_memory_row *row = row_of(view, key, size, &fresh);

	if (!row) {
		view->full = true;
		return;
	}
	if (fresh) {
		row->node = node;
		row->file = file_of(profile, node);
		row->name = by_file ? "" : function_of(profile, node)->name;
		row->line = by_file ? 0 : line_of(profile, node);
		row->native = more->native;
	}
	row->bytes += more->bytes;
	row->blocks += more->blocks;
	row->total_bytes += more->total_bytes;
	row->total_blocks += more->total_blocks;
	if (more->oldest_ns < row->oldest_ns)
		row->oldest_ns = more->oldest_ns;
	if (more->newest_ns > row->newest_ns)
		row->newest_ns = more->newest_ns;
}

static void put_place(FILE *stream, const struct kb_profile *profile, uint32_t node, bool by_file)
{
	fprintf(stream, "%s", file_of(profile, node));
	if (!by_file)
		fprintf(stream, ":%d", line_of(profile, node));
	putc('\n', stream);
}

/* Has a frame nearer to the leaf the same key? */
static bool repeats(const struct kb_profile *profile, uint32_t leaf, uint32_t node, bool by_file)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);

	for (uint32_t at = leaf; at != node; at = nodes[at].parent)
		if (!strcmp(file_of(profile, at), file_of(profile, node)) &&
		    (by_file || line_of(profile, at) == line_of(profile, node)))
			return true;
	return false;
}

static void add_entry(struct kb_memory_view *view, const struct kb_profile *profile,
		      const struct kb_memory_view_opts *opts, uint32_t leaf,
		      const struct addition *more)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);
	bool by_file = opts->group == KB_MEMORY_BY_FILE;
	uint32_t at = leaf;

	do {
		char *key = NULL;
		size_t size = 0;
		FILE *stream = open_memstream(&key, &size);
		bool skip = at != leaf && repeats(profile, leaf, at, by_file);

		if (!stream) {
			view->full = true;
			return;
		}
		if (more->native)
			fputs(NATIVE "\n", stream);
		put_place(stream, profile, at, by_file);
		for (uint32_t up = nodes[at].parent;
		     opts->group == KB_MEMORY_BY_TRACEBACK && up != KB_ID_NONE;
		     up = nodes[up].parent)
			put_place(stream, profile, up, false);
		if (fclose(stream) || size > TRACEBACK_MAX)
			view->full = true;
		else if (!skip)
			add_to_row(view, profile, at, by_file, key, size, more);
		free(key);
		at = nodes[at].parent;
	} while (opts->cumulative && opts->group != KB_MEMORY_BY_TRACEBACK && at != KB_ID_NONE);
}

/* Live blocks of the entries, by age. */
static void add_blocks(struct addition *additions, const struct kb_memory *memory,
		       const struct kb_memory_view_opts *opts)
{
	const struct kb_memory_blocks *blocks = kb_memory__blocks(memory);
	uint64_t now = kb_memory__taken_ns(memory);

	for (uint32_t i = 0; i < kb_memory__n_blocks(memory); i++) {
		struct addition *more = &additions[blocks[i].entry];

		if (now - blocks[i].newest_ns < opts->age_ns)
			continue;
		if (opts->age_ns) {
			more->bytes += blocks[i].size * blocks[i].count;
			more->blocks += blocks[i].count;
		}
		if (blocks[i].oldest_ns < more->oldest_ns)
			more->oldest_ns = blocks[i].oldest_ns;
		if (blocks[i].newest_ns > more->newest_ns)
			more->newest_ns = blocks[i].newest_ns;
	}
}

static int compare_text(const struct kb_memory_row *a, const struct kb_memory_row *b)
{
	int files = strcmp(a->file, b->file);

	if (files)
		return files;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->native != b->native)
		return a->native ? 1 : -1;
	return (a->node > b->node) - (a->node < b->node);
}

static int by_bytes(const void *left, const void *right)
{
	const struct kb_memory_row *a = left, *b = right;

	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	if (a->blocks != b->blocks)
		return a->blocks > b->blocks ? -1 : 1;
	return compare_text(a, b);
}

static int by_blocks(const void *left, const void *right)
{
	const struct kb_memory_row *a = left, *b = right;

	return a->blocks != b->blocks ? (a->blocks > b->blocks ? -1 : 1) : by_bytes(left, right);
}

/* What each entry has of the value, all zero where the filters do not let it pass. */
static struct addition *amounts(const struct kb_profile *profile,
				const struct kb_memory_view_opts *opts)
{
	const struct kb_memory *memory = kb_profile__memory(profile);
	const struct kb_memory_entry *entries = kb_memory__entries(memory);
	uint32_t n = kb_memory__n_entries(memory);
	struct addition *additions = calloc(n + 1, sizeof(*additions));

	for (uint32_t i = 0; additions && i < n; i++) {
		additions[i].native = entries[i].domain == KB_MEMORY_BY_NATIVE;
		additions[i].oldest_ns = UINT64_MAX;
		additions[i].total_bytes = entries[i].total_bytes;
		additions[i].total_blocks = entries[i].total_blocks;
		if (!opts->age_ns)
			kb_memory_view__amount(opts, &entries[i], &additions[i].bytes,
					       &additions[i].blocks);
	}
	if (additions && opts->value == KB_MEMORY_LIVE)
		add_blocks(additions, memory, opts);
	for (uint32_t i = 0; additions && i < n; i++)
		if (!kb_memory_view__passes(profile, opts, &entries[i]))
			additions[i] = (struct addition){};
	return additions;
}

struct kb_error *kb_memory_view__create(const struct kb_profile *profile,
					const struct kb_memory_view_opts *opts,
					struct kb_memory_view **result)
{
	const struct kb_memory *memory = kb_profile__memory(profile);
	struct kb_memory_view *view = calloc(1, sizeof(*view));
	struct addition *additions = amounts(profile, opts);

	if (view)
		view->keys = kb_strpool__create(KEY_BYTES_MAX, ROWS_MAX);
	if (!view || !additions || !view->keys) {
		kb_memory_view__destroy(view);
		free(additions);
		return kb_error__no_memory();
	}
	for (uint32_t i = 0; i < kb_memory__n_entries(memory); i++) {
		const struct kb_memory_entry *entry = &kb_memory__entries(memory)[i];

		if (!additions[i].blocks)
			continue;
		view->bytes += additions[i].bytes;
		view->blocks += additions[i].blocks;
		add_entry(view, profile, opts,
			  opts->group == KB_MEMORY_BY_TRACEBACK
				  ? entry->node
				  : kb_memory_view__python_leaf(profile, entry->node),
			  &additions[i]);
	}
	free(additions);
	if (view->full) {
		kb_memory_view__destroy(view);
		return kb_failed("more lines or stacks than can be shown");
	}
	if (view->n)
		qsort(view->rows, view->n, sizeof(*view->rows),
		      opts->blocks ? by_blocks : by_bytes);
	*result = view;
	return NULL;
}

void kb_memory_view__destroy(struct kb_memory_view *view)
{
	if (!view)
		return;
	kb_strpool__destroy(view->keys);
	free(view->rows);
	free(view);
}

/* ---------------------------------------------------------------- as samples */

static uint32_t copy_node(const struct kb_profile *from, struct kb_profile *to, uint32_t node,
			  uint32_t *copies)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(from);
	uint32_t parent = nodes[node].parent;

	/* Parents come before their children, so theirs are copied. */
	return kb_profile__add_node(
		to, parent == KB_ID_NONE ? parent : copies[parent],
		kb_profile__add_place(to, function_of(from, node), line_of(from, node)));
}

static uint32_t copy_process(const struct kb_profile *from, struct kb_profile *to, uint32_t process)
{
	const struct kb_process_info *info = kb_profile__process(from, process);
	struct kb_thread_info thread = { .size = sizeof(thread),
					 .process = kb_profile__add_process(to, info),
					 .tid = info->pid,
					 .ns_tid = info->ns_pid,
					 .name = info->comm,
					 .python_name = "" };

	return kb_profile__add_thread(to, &thread);
}

static uint32_t leaf_of(struct kb_profile *to, uint32_t node, bool native)
{
	struct kb_code_info info = { .kind = KB_FRAME_MARKER, .file = "", .name = NATIVE };

	return native ? kb_profile__add_node(
				to, node,
				kb_profile__add_frame(to, kb_profile__add_code(to, &info), 0))
		      : node;
}

static bool copy_samples(const struct kb_profile *from, struct kb_profile *to,
			 const struct kb_memory_view_opts *opts, uint32_t *nodes)
{
	const struct kb_memory *memory = kb_profile__memory(from);
	struct addition *additions = amounts(from, opts);
	bool done = additions != NULL;

	for (uint32_t i = 0; i < kb_profile__n_nodes(from) && done; i++) {
		nodes[i] = copy_node(from, to, i, nodes);
		done = nodes[i] != KB_ID_NONE;
	}
	for (uint32_t i = 0; i < kb_memory__n_entries(memory) && done; i++) {
		const struct kb_memory_entry *entry = &kb_memory__entries(memory)[i];
		uint64_t count = opts->blocks ? additions[i].blocks : additions[i].bytes;

		if (count)
			done = kb_profile__add_samples(
				to, copy_process(from, to, entry->process),
				leaf_of(to, nodes[entry->node],
					entry->domain == KB_MEMORY_BY_NATIVE),
				count);
	}
	free(additions);
	return done;
}

struct kb_error *kb_memory_samples__create(const struct kb_profile *profile,
					   const struct kb_memory_view_opts *opts,
					   struct kb_profile **result)
{
	struct kb_profile_meta meta = *kb_profile__meta(profile);
	uint32_t *nodes = calloc(kb_profile__n_nodes(profile) + 1, sizeof(*nodes));
	struct kb_profile *samples = NULL;
	struct kb_error *err;

	meta.unit = opts->blocks ? KB_UNIT_BLOCKS : KB_UNIT_BYTES;
	meta.rate_hz = 0;
	err = nodes ? kb_profile__create(&meta, &samples) : kb_error__no_memory();
	if (!err && !copy_samples(profile, samples, opts, nodes)) {
		kb_profile__destroy(samples);
		err = kb_error__no_memory();
	}
	free(nodes);
	if (err)
		return err;
	for (int reason = 0; reason < KB_L_COUNT; reason++)
		kb_profile__ledger_set(samples, reason, kb_profile__ledger_get(profile, reason));
	*result = samples;
	return NULL;
}
