// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * JSON lines for programs. Each line is an object with type, v (0) and run_id; the types
 *
 *     meta, string_table, frame_table, agg, end
 *
 * are those of `profiling.sampling --jsonl` (3.15, profiling/sampling/jsonl_collector.py),
 * so what reads its files reads these: a frame is a line of a function, `self` counts the
 * stacks that it is the leaf of, `cumulative` those that it is in. That schema tells
 * readers to pass over types and keys that they do not know; these are ours:
 *
 *     meta            unit, rate_hz, clock, start_unix_ns, duration_ns, target, host, keelback
 *     process         one line for each
 *     thread          one line for each
 *     frame_table     kind: python, marker, native, kernel; func_line: the function's first line
 *     stack_table     the tree of stacks: stack_id, parent_id (none: a root), frame_id,
 *                     opcode if it was recorded
 *     stack_agg       thread_id, stack_id of the leaf, count
 *     timeline        single samples, if there are: t_ns since the start, thread_id, stack_id,
 * count, state ledger          what became of every sample
 *
 * Counts are in meta's unit: samples (what 3.15 always has) or nanoseconds. The order of the lines
 * is the one above with `end` last; ids are defined before they are used.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/json_out.h"
#include "base/strpool.h"
#include "format/function_table.h"
#include "format/json_parts.h"
#include "format/sample_time.h"
#include "format/stack_list.h"
#include "format/writers.h"

#define SCHEMA_VERSION 0
#define CHUNK_ENTRIES  256 /* of a table in one line, so that readers can go line by line */
#define NO_FILE	       "~" /* what 3.15 writes for frames without one */
#define KERNEL_FILE    "[kernel]"
#define STRING_BYTES   (512u << 20) /* of all names; the profile holds half of it */
#define STRINGS	       (1u << 23)

struct jsonl {
	const struct kb_profile *profile;
	const struct kb_function_table *table; /* a row is a frame of the file */
	uint32_t *row_of_frame;		       /* frame of the profile; KB_ID_NONE: in no sample */
	uint32_t *function_of_row;
	struct kb_stack_list *stacks;
	struct kb_strpool *strings;
	uint32_t *path_id, *name_id; /* of each row */
	char run_id[33];
	struct kb_json_out out;
};

/* A record that has a table's entries, in chunks. */
struct chunked {
	const char *type, *key;
	uint32_t n;
	void (*write_head)(struct jsonl *jsonl); /* or NULL */
	void (*write_entry)(struct jsonl *jsonl, uint32_t index);
};

static void open_record(struct jsonl *jsonl, const char *type)
{
	struct kb_json_out *out = &jsonl->out;

	out->comma = false;
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "type", type);
	kb_json_out__uint(out, "v", SCHEMA_VERSION);
	kb_json_out__text(out, "run_id", jsonl->run_id);
}

static void close_record(struct jsonl *jsonl)
{
	kb_json_out__close(&jsonl->out, '}');
	kb_json_out__line(&jsonl->out);
}

static void write_chunked(struct jsonl *jsonl, const struct chunked *chunked)
{
	struct kb_json_out *out = &jsonl->out;

	for (uint32_t i = 0; i < chunked->n && !ferror(out->stream);) {
		uint32_t end = chunked->n - i > CHUNK_ENTRIES ? i + CHUNK_ENTRIES : chunked->n;

		open_record(jsonl, chunked->type);
		if (chunked->write_head)
			chunked->write_head(jsonl);
		kb_json_out__open(out, chunked->key, '[');
		for (; i < end; i++) {
			kb_json_out__open(out, NULL, '{');
			chunked->write_entry(jsonl, i);
			kb_json_out__close(out, '}');
		}
		kb_json_out__close(out, ']');
		close_record(jsonl);
	}
}

/* ---------------------------------------------------------------- preparing */

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
	/* FNV-1a, 64 bits. */
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3ull;
	return hash;
}

/*
 * In the form of a random UUID (RFC 9562, version 4), but from what tells this run from
 * others: the same recording gives the same file whenever it is converted.
 */
static void make_run_id(struct jsonl *jsonl)
{
	const struct kb_profile_meta *meta = kb_profile__meta(jsonl->profile);
	uint64_t numbers[] = { (uint64_t)meta->start_unix_ns, meta->duration_ns,
			       kb_profile__total(jsonl->profile) };
	uint64_t high = mix(0xcbf29ce484222325ull, numbers, sizeof(numbers));
	uint64_t low;

	high = mix(mix(high, meta->host, strlen(meta->host)), meta->target, strlen(meta->target));
	low = mix(high, numbers, sizeof(numbers));
	high = (high & ~0xf000ull) | 0x4000;
	low = (low & ~(3ull << 62)) | 2ull << 62;
	snprintf(jsonl->run_id, sizeof(jsonl->run_id), "%016" PRIx64 "%016" PRIx64, high, low);
}

static int compare_row(const void *key, const void *row)
{
	return kb_label__compare(key, &((const struct kb_function_row *)row)->label);
}

/* Frames that read the same are one row, whatever instruction of the line they stand at. */
static struct kb_error *find_rows(struct jsonl *jsonl)
{
	const struct kb_function_table *table = jsonl->table;
	uint32_t n = kb_profile__n_frames(jsonl->profile);

	jsonl->row_of_frame = calloc((size_t)n + 1, sizeof(uint32_t));
	jsonl->function_of_row = calloc((size_t)table->n_rows + 1, sizeof(uint32_t));
	if (!jsonl->row_of_frame || !jsonl->function_of_row)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++) {
		const struct kb_frame_info *frame = kb_profile__frame(jsonl->profile, i);
		struct kb_label label =
			kb_label__of_place(jsonl->profile, frame->function, frame->line);
		const struct kb_function_row *row =
			bsearch(&label, table->rows, table->n_rows, sizeof(*row), compare_row);

		jsonl->row_of_frame[i] = row ? (uint32_t)(row - table->rows) : KB_ID_NONE;
		if (row)
			jsonl->function_of_row[row - table->rows] = frame->function;
	}
	return NULL;
}

static const char *path_of(const struct kb_function_info *function)
{
	if (*function->file)
		return function->file;
	return function->kind == KB_FRAME_KERNEL ? KERNEL_FILE : NO_FILE;
}

static struct kb_error *intern(struct jsonl *jsonl, const char *text, uint32_t *id)
{
	*id = kb_strpool__add(jsonl->strings, text, strlen(text));
	return *id == KB_STRPOOL_NONE ? kb_error__no_memory() : NULL;
}

static struct kb_error *collect_strings(struct jsonl *jsonl)
{
	uint32_t n = jsonl->table->n_rows;

	jsonl->strings = kb_strpool__create(STRING_BYTES, STRINGS);
	jsonl->path_id = calloc((size_t)n + 1, sizeof(uint32_t));
	jsonl->name_id = calloc((size_t)n + 1, sizeof(uint32_t));
	if (!jsonl->strings || !jsonl->path_id || !jsonl->name_id)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++) {
		const struct kb_function_info *function =
			kb_profile__function(jsonl->profile, jsonl->function_of_row[i]);

		KB_TRY(intern(jsonl, function->name, &jsonl->name_id[i]));
		KB_TRY(intern(jsonl, path_of(function), &jsonl->path_id[i]));
	}
	return NULL;
}

/* ---------------------------------------------------------------- records */

static void write_meta(struct jsonl *jsonl)
{
	static const char *const clocks[] = { "cpu", "cycles", "tick" };
	const struct kb_profile_meta *meta = kb_profile__meta(jsonl->profile);
	const char *mode = kb_sample_mode__name(meta->mode);
	double rate = kb_sample_time__rate(jsonl->profile);
	struct kb_json_out *out = &jsonl->out;

	open_record(jsonl, "meta");
	/* A whole number in 3.15, where a day would be a long interval. */
	kb_json_out__uint(out, "sample_interval_usec",
			  rate > 1e-5 ? (uint64_t)llround(1e6 / rate) : 0);
	if (mode)
		kb_json_out__text(out, "mode", mode);
	kb_json_out__text(out, "unit", meta->unit == KB_UNIT_NS ? "nanoseconds" : "samples");
	kb_json_out__real(out, "rate_hz", rate);
	if ((unsigned)meta->clock < sizeof(clocks) / sizeof(clocks[0]))
		kb_json_out__text(out, "clock", clocks[meta->clock]);
	kb_json_out__int(out, "start_unix_ns", meta->start_unix_ns);
	kb_json_out__uint(out, "duration_ns", meta->duration_ns);
	kb_json_out__text(out, "target", meta->target);
	kb_json_out__text(out, "host", meta->host);
	kb_json_out__text(out, "kernel", meta->kernel);
	kb_json_out__text(out, "keelback", meta->version);
	kb_json_out__bool(out, "incomplete", meta->incomplete);
	close_record(jsonl);
}

static void write_process(struct jsonl *jsonl, uint32_t id)
{
	const struct kb_process_info *process = kb_profile__process(jsonl->profile, id);
	struct kb_json_out *out = &jsonl->out;

	open_record(jsonl, "process");
	kb_json_out__uint(out, "process_id", id);
	kb_json_out__int(out, "pid", process->pid);
	kb_json_out__int(out, "ns_pid", process->ns_pid);
	kb_json_out__int(out, "parent", process->parent);
	kb_json_out__uint(out, "start_ns", process->start_ns);
	kb_json_out__uint(out, "cgroup", process->cgroup);
	kb_json_out__text(out, "comm", process->comm);
	kb_json_out__text(out, "command", process->command);
	kb_json_out__text(out, "python", process->python);
	close_record(jsonl);
}

static void write_thread(struct jsonl *jsonl, uint32_t id)
{
	const struct kb_thread_info *thread = kb_profile__thread(jsonl->profile, id);
	struct kb_json_out *out = &jsonl->out;

	open_record(jsonl, "thread");
	kb_json_out__uint(out, "thread_id", id);
	kb_json_out__uint(out, "process_id", thread->process);
	kb_json_out__int(out, "tid", thread->tid);
	kb_json_out__int(out, "ns_tid", thread->ns_tid);
	kb_json_out__text(out, "name", thread->name);
	kb_json_out__text(out, "python_name", thread->python_name);
	close_record(jsonl);
}

static void write_string(struct jsonl *jsonl, uint32_t id)
{
	kb_json_out__uint(&jsonl->out, "str_id", id);
	kb_json_out__text(&jsonl->out, "value", kb_strpool__at(jsonl->strings, id));
}

static void write_frame(struct jsonl *jsonl, uint32_t id)
{
	static const char *const kinds[] = { "python", "marker", "native", "kernel" };
	const struct kb_function_info *function =
		kb_profile__function(jsonl->profile, jsonl->function_of_row[id]);
	int32_t line = jsonl->table->rows[id].label.number;
	struct kb_json_out *out = &jsonl->out;

	kb_json_out__uint(out, "frame_id", id);
	kb_json_out__uint(out, "path_str_id", jsonl->path_id[id]);
	kb_json_out__uint(out, "func_str_id", jsonl->name_id[id]);
	kb_json_out__int(out, "line", line > 0 ? line : 0);
	if ((unsigned)function->kind < sizeof(kinds) / sizeof(kinds[0]))
		kb_json_out__text(out, "kind", kinds[function->kind]);
	if (function->first_line > 0)
		kb_json_out__int(out, "func_line", function->first_line);
}

static void write_agg_head(struct jsonl *jsonl)
{
	kb_json_out__text(&jsonl->out, "kind", "frame");
	kb_json_out__text(&jsonl->out, "scope", "final");
	kb_json_out__uint(&jsonl->out, "samples_total", jsonl->table->total);
}

static void write_agg(struct jsonl *jsonl, uint32_t id)
{
	const struct kb_function_row *row = &jsonl->table->rows[id];

	kb_json_out__uint(&jsonl->out, "frame_id", id);
	kb_json_out__uint(&jsonl->out, "self", row->direct);
	kb_json_out__uint(&jsonl->out, "cumulative", row->cumulative);
}

static void write_stack(struct jsonl *jsonl, uint32_t id)
{
	const struct kb_stack_list *stacks = jsonl->stacks;
	const struct kb_stack_node *node =
		&kb_profile__nodes(jsonl->profile)[stacks->node_of_stack[id]];
	const char *opcode = kb_profile__frame(jsonl->profile, node->frame)->opcode;

	kb_json_out__uint(&jsonl->out, "stack_id", id);
	if (node->parent != KB_ID_NONE)
		kb_json_out__uint(&jsonl->out, "parent_id", stacks->stack_of_node[node->parent]);
	kb_json_out__index(&jsonl->out, "frame_id", jsonl->row_of_frame[node->frame]);
	if (*opcode)
		kb_json_out__text(&jsonl->out, "opcode", opcode);
}

static void write_sample(struct jsonl *jsonl, uint32_t id)
{
	const struct kb_sample *sample = &kb_profile__samples(jsonl->profile)[id];

	kb_json_out__uint(&jsonl->out, "thread_id", sample->thread);
	kb_json_out__index(&jsonl->out, "stack_id", jsonl->stacks->stack_of_node[sample->node]);
	kb_json_out__uint(&jsonl->out, "count", sample->count);
}

static void write_moment(struct jsonl *jsonl, uint32_t id)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} states[] = {
		{ KB_MOMENT_GIL, "gil" },
		{ KB_MOMENT_GC, "gc" },
		{ KB_MOMENT_EXCEPTION, "exception" },
		{ KB_MOMENT_OFF_CPU, "off_cpu" },
	};
	const struct kb_moment *moment = &kb_profile__moments(jsonl->profile)[id];
	struct kb_json_out *out = &jsonl->out;

	kb_json_out__uint(out, "t_ns", moment->time_ns);
	kb_json_out__uint(out, "thread_id", moment->thread);
	kb_json_out__index(out, "stack_id", jsonl->stacks->stack_of_node[moment->node]);
	kb_json_out__uint(out, "count", moment->count);
	kb_json_out__open(out, "state", '[');
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (moment->flags & states[i].flag)
			kb_json_out__text(out, NULL, states[i].name);
	kb_json_out__close(out, ']');
}

static void write_ledger(struct jsonl *jsonl)
{
	open_record(jsonl, "ledger");
	kb_json_parts__ledger(&jsonl->out, jsonl->profile, true);
	close_record(jsonl);
}

static void write_end(struct jsonl *jsonl)
{
	open_record(jsonl, "end");
	kb_json_out__uint(&jsonl->out, "samples_total", jsonl->table->total);
	close_record(jsonl);
}

static struct kb_error *write_all(struct jsonl *jsonl)
{
	const struct kb_profile *profile = jsonl->profile;

	KB_TRY(find_rows(jsonl));
	KB_TRY(collect_strings(jsonl));
	KB_TRY(kb_stack_list__create(profile, &jsonl->stacks));
	make_run_id(jsonl);
	write_meta(jsonl);
	for (uint32_t i = 0; i < kb_profile__n_processes(profile); i++)
		write_process(jsonl, i);
	for (uint32_t i = 0; i < kb_profile__n_threads(profile); i++)
		write_thread(jsonl, i);

	const struct chunked tables[] = {
		{ "string_table", "strings", kb_strpool__count(jsonl->strings), NULL,
		  write_string },
		{ "frame_table", "frames", jsonl->table->n_rows, NULL, write_frame },
		{ "agg", "entries", jsonl->table->n_rows, write_agg_head, write_agg },
		{ "stack_table", "stacks", jsonl->stacks->n, NULL, write_stack },
		{ "stack_agg", "entries", kb_profile__n_samples(profile), NULL, write_sample },
		{ "timeline", "samples", kb_profile__n_moments(profile), NULL, write_moment },
	};
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		write_chunked(jsonl, &tables[i]);
	write_ledger(jsonl);
	write_end(jsonl);
	return NULL;
}

struct kb_error *kb_jsonl__write(const struct kb_profile *profile,
				 const struct kb_format_opts *opts, FILE *stream)
{
	struct jsonl jsonl = { .profile = profile, .out = { stream, false } };
	struct kb_function_table *table;
	struct kb_error *err;

	KB_TRY(kb_function_table__create(profile, true, &table));
	jsonl.table = table;
	err = write_all(&jsonl);
	kb_stack_list__destroy(jsonl.stacks);
	kb_strpool__destroy(jsonl.strings);
	free(jsonl.path_id);
	free(jsonl.name_id);
	free(jsonl.row_of_frame);
	free(jsonl.function_of_row);
	kb_function_table__destroy(table);
	return err;
}
