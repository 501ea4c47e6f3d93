// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The tables that all threads of the format gecko share. Frames and functions are those of the
 * profile, by their numbers, and behind them one that stands for waiting. */
#include <string.h>
#include "format/gecko.h"

#define KERNEL	     "kernel"
#define STRING_BYTES (512u << 20) /* of files; the profile holds half of it */
#define STRINGS	     (1u << 22)

static uint32_t pooled(struct kb_gecko *gecko, struct kb_strpool *pool, const char *text)
{
	uint32_t id = kb_strpool__add(pool, text, strlen(text));

	if (id != KB_STRPOOL_NONE)
		return id;
	if (!gecko->err)
		gecko->err = kb_error__no_memory();
	return 0;
}

uint32_t kb_gecko__string(struct kb_gecko *gecko, const char *text)
{
	return pooled(gecko, gecko->strings, text);
}

static void open_table(struct kb_gecko *gecko, const char *name)
{
	kb_json_out__line(&gecko->out);
	kb_json_out__open(&gecko->out, name, '{');
}

static void close_table(struct kb_gecko *gecko, uint32_t length)
{
	kb_json_out__uint(&gecko->out, "length", length);
	kb_json_out__close(&gecko->out, '}');
}

/* A column of one value, which n rows have. */
static void write_constant(struct kb_gecko *gecko, const char *name, uint32_t n, const char *value)
{
	kb_json_out__open(&gecko->out, name, '[');
	for (uint32_t i = 0; i < n; i++)
		fprintf(gecko->out.stream, i ? ",%s" : "%s", value);
	kb_json_out__close(&gecko->out, ']');
}

static uint32_t waiting_frame(const struct kb_gecko *gecko)
{
	return kb_profile__n_frames(gecko->profile);
}

static void write_stacks(struct kb_gecko *gecko)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(gecko->profile);
	const struct kb_stack_list *stacks = gecko->stacks;
	struct kb_json_out *out = &gecko->out;

	open_table(gecko, "stackTable");
	kb_json_out__open(out, "frame", '[');
	for (uint32_t i = 0; i < stacks->n; i++)
		kb_json_out__uint(out, NULL, nodes[stacks->node_of_stack[i]].frame);
	for (uint32_t i = 0; i < gecko->n_waiting; i++)
		kb_json_out__uint(out, NULL, waiting_frame(gecko));
	kb_json_out__close(out, ']');
	kb_json_out__open(out, "prefix", '[');
	for (uint32_t i = 0; i < stacks->n; i++) {
		uint32_t parent = nodes[stacks->node_of_stack[i]].parent;

		kb_json_out__index(out, NULL,
				   parent == KB_ID_NONE ? parent : stacks->stack_of_node[parent]);
	}
	/* In the order in which they were numbered. */
	for (uint32_t i = 0; gecko->n_waiting && i < stacks->n; i++)
		if (gecko->waiting[i] != KB_ID_NONE)
			kb_json_out__uint(out, NULL, i);
	kb_json_out__close(out, ']');
	close_table(gecko, stacks->n + gecko->n_waiting);
}

/* By the marks that collect/stack_decoder.c and collect/ingest.c make. */
static enum kb_gecko_category category_of_mark(const char *name)
{
	static const struct {
		const char *begin;
		enum kb_gecko_category category;
	} marks[] = {
		{ "<native>", KB_GECKO_NATIVE },
		{ "<GC>", KB_GECKO_GC },
		{ "<GIL held by>", KB_GECKO_GIL_WAIT },
		{ "<wait", KB_GECKO_IDLE },
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (!strncmp(name, marks[i].begin, strlen(marks[i].begin)))
			return marks[i].category;
	return KB_GECKO_OTHER;
}

static enum kb_gecko_category category_of(const struct kb_function_info *function)
{
	switch (function->kind) {
	case KB_FRAME_PYTHON:
		return KB_GECKO_PYTHON;
	case KB_FRAME_NATIVE:
		return KB_GECKO_NATIVE;
	case KB_FRAME_KERNEL:
		return KB_GECKO_KERNEL;
	default:
		return category_of_mark(function->name);
	}
}

static enum kb_gecko_category waiting_category(const struct kb_gecko *gecko)
{
	return kb_profile__meta(gecko->profile)->mode == KB_MODE_GIL_WAIT ? KB_GECKO_GIL_WAIT
									  : KB_GECKO_IDLE;
}

static void write_frames(struct kb_gecko *gecko)
{
	const struct kb_profile *profile = gecko->profile;
	uint32_t n = kb_profile__n_frames(profile);
	struct kb_json_out *out = &gecko->out;

	open_table(gecko, "frameTable");
	kb_json_out__open(out, "func", '[');
	for (uint32_t i = 0; i < n; i++)
		kb_json_out__uint(out, NULL, kb_profile__frame(profile, i)->function);
	kb_json_out__uint(out, NULL, kb_profile__n_functions(profile));
	kb_json_out__close(out, ']');
	kb_json_out__open(out, "category", '[');
	for (uint32_t i = 0; i < n; i++) {
		uint32_t function = kb_profile__frame(profile, i)->function;

		kb_json_out__uint(out, NULL, category_of(kb_profile__function(profile, function)));
	}
	kb_json_out__uint(out, NULL, waiting_category(gecko));
	kb_json_out__close(out, ']');
	kb_json_out__open(out, "line", '[');
	for (uint32_t i = 0; i < n; i++) {
		int32_t line = kb_profile__frame(profile, i)->line;

		kb_json_out__index(out, NULL, line > 0 ? (uint32_t)line : KB_ID_NONE);
	}
	kb_json_out__null(out, NULL);
	kb_json_out__close(out, ']');
	write_constant(gecko, "subcategory", n + 1, "0");
	write_constant(gecko, "address", n + 1, "-1");
	write_constant(gecko, "inlineDepth", n + 1, "0");
	write_constant(gecko, "column", n + 1, "null");
	write_constant(gecko, "nativeSymbol", n + 1, "null");
	write_constant(gecko, "innerWindowID", n + 1, "null");
	close_table(gecko, n + 1);
}

/* The last function is the one that waits. */
enum function_column { NAME, IS_PYTHON, IS_RELEVANT, RESOURCE, SOURCE, LINE };

/* Files are numbered as they come: those of Python in sources, those of native code in resources.
 */
struct files {
	struct kb_strpool *sources, *resources;
};

static void write_function(struct kb_gecko *gecko, const struct files *files, uint32_t id,
			   enum function_column column)
{
	const struct kb_function_info *function = kb_profile__function(gecko->profile, id);
	bool python = function->kind == KB_FRAME_PYTHON;
	struct kb_json_out *out = &gecko->out;

	switch (column) {
	case NAME:
		kb_json_out__uint(out, NULL,
				  kb_gecko__string(gecko, *function->name ? function->name : "?"));
		break;
	case IS_PYTHON:
		kb_json_out__bool(out, NULL, python);
		break;
	case IS_RELEVANT:
		kb_json_out__bool(out, NULL, function->kind == KB_FRAME_MARKER);
		break;
	case RESOURCE:
		if (function->kind == KB_FRAME_KERNEL)
			kb_json_out__uint(out, NULL, pooled(gecko, files->resources, KERNEL));
		else if (function->kind == KB_FRAME_NATIVE && *function->file)
			kb_json_out__uint(out, NULL,
					  pooled(gecko, files->resources, function->file));
		else
			kb_json_out__int(out, NULL, -1);
		break;
	case SOURCE:
		kb_json_out__index(out, NULL,
				   python && *function->file
					   ? pooled(gecko, files->sources, function->file)
					   : KB_ID_NONE);
		break;
	case LINE:
		kb_json_out__index(out, NULL,
				   python && function->first_line > 0
					   ? (uint32_t)function->first_line
					   : KB_ID_NONE);
		break;
	}
}

static void write_waiting_function(struct kb_gecko *gecko, enum function_column column)
{
	struct kb_json_out *out = &gecko->out;

	if (column == NAME)
		kb_json_out__uint(out, NULL,
				  kb_gecko__string(gecko, waiting_category(gecko) == KB_GECKO_IDLE
								  ? "(off CPU)"
								  : "(waiting for the GIL)"));
	else if (column == IS_PYTHON || column == IS_RELEVANT)
		kb_json_out__bool(out, NULL, column == IS_RELEVANT);
	else if (column == RESOURCE)
		kb_json_out__int(out, NULL, -1);
	else
		kb_json_out__null(out, NULL);
}

static void write_functions(struct kb_gecko *gecko, const struct files *files)
{
	static const char *const names[] = { "name",	 "isJS",   "relevantForJS",
					     "resource", "source", "lineNumber" };
	uint32_t n = kb_profile__n_functions(gecko->profile);

	open_table(gecko, "funcTable");
	for (enum function_column column = NAME; column <= LINE; column++) {
		kb_json_out__open(&gecko->out, names[column], '[');
		for (uint32_t i = 0; i < n; i++)
			write_function(gecko, files, i, column);
		write_waiting_function(gecko, column);
		kb_json_out__close(&gecko->out, ']');
	}
	write_constant(gecko, "columnNumber", n + 1, "null");
	close_table(gecko, n + 1);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void write_strings_of(struct kb_gecko *gecko, const char *name, struct kb_strpool *pool,
			     bool base)
{
	kb_json_out__open(&gecko->out, name, '[');
	for (uint32_t i = 0; i < kb_strpool__count(pool); i++) {
		const char *text = kb_strpool__at(pool, i);

		kb_json_out__uint(&gecko->out, NULL,
				  kb_gecko__string(gecko, base ? base_name(text) : text));
	}
	kb_json_out__close(&gecko->out, ']');
}

static void write_resources(struct kb_gecko *gecko, struct kb_strpool *resources)
{
	uint32_t n = kb_strpool__count(resources);
	struct kb_json_out *out = &gecko->out;

	open_table(gecko, "resourceTable");
	kb_json_out__open(out, "lib", '[');
	for (uint32_t i = 0; i < n; i++)
		kb_json_out__uint(out, NULL, i);
	kb_json_out__close(out, ']');
	write_strings_of(gecko, "name", resources, true);
	write_constant(gecko, "host", n, "null");
	write_constant(gecko, "type", n, "1"); /* a library */
	close_table(gecko, n);
}

static void write_sources(struct kb_gecko *gecko, struct kb_strpool *sources)
{
	uint32_t n = kb_strpool__count(sources);

	open_table(gecko, "sources");
	write_strings_of(gecko, "filename", sources, false);
	write_constant(gecko, "id", n, "null");
	write_constant(gecko, "startLine", n, "1");
	write_constant(gecko, "startColumn", n, "1");
	write_constant(gecko, "sourceMapURL", n, "null");
	close_table(gecko, n);
}

static void write_no_symbols(struct kb_gecko *gecko)
{
	static const char *const columns[] = { "libIndex", "address", "name", "functionSize" };

	open_table(gecko, "nativeSymbols");
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		write_constant(gecko, columns[i], 0, "");
	close_table(gecko, 0);
}

static void write_libs(struct kb_gecko *gecko, const struct kb_strpool *resources)
{
	struct kb_json_out *out = &gecko->out;

	kb_json_out__open(out, "libs", '[');
	for (uint32_t i = 0; i < kb_strpool__count(resources); i++) {
		const char *path = kb_strpool__at(resources, i);

		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "arch", "");
		kb_json_out__text(out, "name", base_name(path));
		kb_json_out__text(out, "path", path);
		kb_json_out__text(out, "debugName", base_name(path));
		kb_json_out__text(out, "debugPath", path);
		kb_json_out__text(out, "breakpadId", "");
		kb_json_out__null(out, "codeId");
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

static void write_string_array(struct kb_gecko *gecko)
{
	kb_json_out__line(&gecko->out);
	kb_json_out__open(&gecko->out, "stringArray", '[');
	for (uint32_t i = 0; i < kb_strpool__count(gecko->strings); i++)
		kb_json_out__text(&gecko->out, NULL, kb_strpool__at(gecko->strings, i));
	kb_json_out__close(&gecko->out, ']');
}

void kb_gecko__write_tables(struct kb_gecko *gecko)
{
	struct files files = { kb_strpool__create(STRING_BYTES, STRINGS),
			       kb_strpool__create(STRING_BYTES, STRINGS) };

	if (files.sources && files.resources) {
		kb_json_out__open(&gecko->out, "shared", '{');
		write_stacks(gecko);
		write_frames(gecko);
		write_functions(gecko, &files);
		write_resources(gecko, files.resources);
		write_no_symbols(gecko);
		write_sources(gecko, files.sources);
		write_string_array(gecko);
		kb_json_out__close(&gecko->out, '}');
		write_libs(gecko, files.resources);
	} else if (!gecko->err) {
		gecko->err = kb_error__no_memory();
	}
	kb_strpool__destroy(files.sources);
	kb_strpool__destroy(files.resources);
}
