// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/id_map.h"
#include "python/linetable.h"
#include "python/remote_code.h"
#include "python/remote_frames.h"
#include "python/remote_search_private.h"
#include "python/remote_string.h"

#define CODES_MAX  65536 /* looked at for one line */
#define DEPTH_MAX  64	 /* of functions in functions, and classes in classes */
#define SHOWN_MAX  5	 /* lines in a message */
#define NAME_BYTES 1024

struct search {
	struct kb_remote *remote;
	const struct kb_remote_name *name;
	struct kb_id_map seen; /* addresses of code objects */
	uint32_t n;
	struct kb_remote_found *found;
	int32_t best_line;	  /* first line of the innermost code object so far */
	int32_t shown[SHOWN_MAX]; /* first lines of functions in the file, the nearest ones */
	uint32_t n_shown;
};

/* Does a path end with what was given, at the start of a name? */
static bool ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && !strcmp(path + n - m, end) &&
	       (n == m || *end == '/' || path[n - m - 1] == '/');
}

static bool is_in_file(struct search *search, uint64_t string)
{
	char *path = kb_remote_string__read(search->remote->pages, search->remote->layout, string,
					    NAME_BYTES);
	bool is = path && ends_with(path, search->name->file);

	free(path);
	return is;
}

struct containing {
	int32_t line;
	bool does;
};

static void look_at_run(uint32_t start, uint32_t end, int32_t line, void *context)
{
	struct containing *containing = context;

	containing->does |= line == containing->line && end > start;
}

/* Keeps the lines that are nearest to the wanted one. */
static void note_line(struct search *search, int32_t line)
{
	uint32_t far = 0;

	if (search->n_shown < SHOWN_MAX) {
		search->shown[search->n_shown++] = line;
		return;
	}
	for (uint32_t i = 1; i < SHOWN_MAX; i++)
		if (abs(search->shown[i] - search->name->line) >
		    abs(search->shown[far] - search->name->line))
			far = i;
	if (abs(line - search->name->line) < abs(search->shown[far] - search->name->line))
		search->shown[far] = line;
}

/* Is it the function that begins there, or the innermost one that has the line? */
static void judge(struct search *search, uint64_t address, const struct kb_remote_code *code)
{
	struct containing containing = { .line = search->name->line };
	const char *dot = strrchr(code->name, '.');
	bool anonymous = (dot ? dot[1] : code->name[0]) == '<';

	if (!anonymous)
		note_line(search, code->first_line);
	if (code->first_line == search->name->line && !anonymous && !search->found->is_function) {
		search->found->code = address;
		search->found->is_function = true;
	}
	if (search->found->is_function)
		return;
	kb_linetable__each(search->remote->layout->linetable_kind, code->lines, code->lines_bytes,
			   code->first_line, look_at_run, &containing);
	if (containing.does && (!search->found->code || code->first_line > search->best_line)) {
		search->found->code = address;
		search->best_line = code->first_line;
	}
}

/* A code object and those that it defines. */
static void look_at_code(struct search *search, uint64_t address, int depth)
{
	struct kb_remote *remote = search->remote;
	struct kb_remote_code code;
	uint64_t items, n, object;

	if (!kb_remote_search__is_code(remote, address) || depth > DEPTH_MAX ||
	    kb_id_map__get(&search->seen, address, 0) != KB_ID_MAP_NONE ||
	    !kb_id_map__set(&search->seen, address, 0, search->n++) ||
	    !kb_remote_code__read_pages(remote->pages, remote->layout, remote->code_type, address,
					&code))
		return;
	if (ends_with(code.file, search->name->file))
		judge(search, address, &code);
	kb_remote_code__free(&code);
	if (!kb_remote_search__constants(remote, address, &items, &n))
		return;
	for (uint64_t i = 0; i < n; i++)
		if (kb_pages__read_u64(remote->pages, items + i * 8, &object))
			look_at_code(search, object, depth + 1);
}

/* Functions and classes among the values of a namespace. */
static void look_at_values(struct search *search, struct kb_remote_dict dict, int depth)
{
	struct kb_remote *remote = search->remote;
	struct kb_remote_type type, itself;
	struct kb_remote_dict inner;
	uint64_t key, value, code;

	while (kb_remote_dict__next(remote, &dict, &key, &value)) {
		if (!kb_remote_object__type(remote, value, &type))
			continue;
		if (kb_remote_search__unwrap(remote, value, &code))
			look_at_code(search, code, 0);
		else if ((type.flags & KB_TYPE_TYPE) && depth < DEPTH_MAX / 16 &&
			 kb_remote_type__read(remote, value, &itself) &&
			 (itself.flags & KB_TYPE_HEAP) &&
			 kb_remote_search__open_class(remote, value, &inner))
			look_at_values(search, inner, depth + 1);
	}
}

/* What threads execute: the module itself that is being run, and all that it defines. */
static void look_at_threads(struct search *search)
{
	struct kb_remote_stack stack = {};
	struct kb_remote_threads threads;
	struct kb_error *err = kb_remote_threads__read(search->remote, &threads);

	if (err) {
		kb_error__destroy(err);
		return;
	}
	for (uint32_t i = 0; i < threads.n; i++) {
		kb_remote_frames__walk(search->remote, threads.threads[i].tstate, &stack);
		for (uint32_t j = stack.n; j-- > 0;)
			look_at_code(search, stack.frames[j].code, 0);
	}
	kb_remote_stack__free(&stack);
	kb_remote_threads__free(&threads);
}

static void look_at_modules(struct search *search, uint64_t interp)
{
	struct kb_remote *remote = search->remote;
	struct kb_remote_dict modules, dict;
	struct kb_remote_type type;
	uint64_t address, key, module, file;

	if (!kb_pages__read_u64(remote->pages, interp + remote->objects->interp_modules,
				&address) ||
	    !kb_remote_dict__open(remote, address, &modules))
		return;
	while (kb_remote_dict__next(remote, &modules, &key, &module)) {
		if (kb_remote_object__type(remote, module, &type) &&
		    kb_remote_dict__open_attributes(remote, module, &type, &dict) &&
		    kb_remote_dict__find(remote, dict, "__file__", &file) &&
		    is_in_file(search, file))
			look_at_values(search, dict, 0);
	}
}

static int ascending(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

static void say_missing(struct search *search, char *reason)
{
	const struct kb_remote_name *name = search->name;
	size_t used;

	if (!search->n_shown) {
		snprintf(reason, KB_SEARCH_REASON_MAX, "no code of a file '%s' was found",
			 name->file);
		return;
	}
	qsort(search->shown, search->n_shown, sizeof(*search->shown), ascending);
	snprintf(reason, KB_SEARCH_REASON_MAX, "no code at line %d of '%s'; functions begin at",
		 name->line, name->file);
	for (uint32_t i = 0; i < search->n_shown; i++) {
		used = strlen(reason);
		snprintf(reason + used, KB_SEARCH_REASON_MAX - used, "%s %d", i ? "," : "",
			 search->shown[i]);
	}
}

bool kb_remote_search__line(struct kb_remote *remote, const struct kb_remote_name *name,
			    uint64_t interp, struct kb_remote_found *found, char *reason)
{
	struct search search = { .remote = remote, .name = name, .found = found };

	kb_id_map__init(&search.seen, CODES_MAX);
	look_at_modules(&search, interp);
	if (!found->is_function)
		look_at_threads(&search);
	kb_id_map__free(&search.seen);
	if (!found->code)
		say_missing(&search, reason);
	return found->code != 0;
}
