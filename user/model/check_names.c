// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Which functions of base and head are the same. Base and head are two versions of one program, and
 * often two checkouts of it: a function may have moved within its file, its file may have another
 * directory, or it may be in another file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "model/check.h"

const char *kb_check__below(const char *dir, const char *file)
{
	size_t length = strlen(dir);

	while (length && dir[length - 1] == '/')
		length--;
	if (length && !strncmp(file, dir, length) && file[length] == '/')
		return file + length + 1;
	return file;
}

uint32_t kb_check__name(struct kb_check *check, enum kb_check_side side, enum kb_frame_kind kind,
			const char *name, const char *file, int32_t line)
{
	struct kb_check_name *names;
	uint64_t a, b;
	uint32_t id;

	name = kb_check__text(check, name);
	file = kb_check__text(check, kb_check__below(check->meta.dir[side], file));
	a = (uintptr_t)name;
	b = (uint64_t)(uintptr_t)file << 2 | kind;
	id = kb_id_map__get(&check->name_map, a, b);
	if (id == KB_ID_MAP_NONE) {
		id = check->n_names;
		names = kb_array__grow(check->names, &check->names_capacity, id + 1, sizeof(*names),
				       KB_CHECK_FUNCTIONS_MAX);
		if (!names)
			return KB_ID_NONE;
		check->names = names;
		if (!kb_id_map__set(&check->name_map, a, b, id))
			return KB_ID_NONE;
		names[id] = (struct kb_check_name){
			.kind = kind, .name = name, .file = file, .same_as = id
		};
		check->n_names++;
	}
	/* 1 stands for what is there and has no line, such as markers. */
	if (!check->names[id].line[side])
		check->names[id].line[side] = line > 0 ? line : 1;
	return id;
}

static const char *last_part(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

static bool on_one_side(const struct kb_check_name *name)
{
	return !name->line[KB_CHECK_BASE] != !name->line[KB_CHECK_HEAD];
}

static int by_name(const void *a, const void *b)
{
	const struct kb_check_name *x = *(const struct kb_check_name *const *)a;
	const struct kb_check_name *y = *(const struct kb_check_name *const *)b;

	return strcmp(x->name, y->name) ?: (int)x->kind - (int)y->kind;
}

static int by_last_part(const void *a, const void *b)
{
	const struct kb_check_name *x = *(const struct kb_check_name *const *)a;
	const struct kb_check_name *y = *(const struct kb_check_name *const *)b;

	return by_name(a, b) ?: strcmp(last_part(x->file), last_part(y->file));
}

/* Names that only one side has become one with that of the other side that is equal, if there is
 * no third. */
static void join(struct kb_check *check, int (*order)(const void *, const void *),
		 struct kb_check_name **lone)
{
	uint32_t start, end, n = 0;

	for (uint32_t i = 0; i < check->n_names; i++)
		if (on_one_side(&check->names[i]) && check->names[i].same_as == i)
			lone[n++] = &check->names[i];
	qsort(lone, n, sizeof(*lone), order);

	for (start = 0; start < n; start = end) {
		struct kb_check_name *first = lone[start], *second;

		for (end = start + 1; end < n && !order(&lone[start], &lone[end]); end++)
			;
		if (end - start != 2 || !*first->file)
			continue;
		second = lone[start + 1];
		if (!first->line[KB_CHECK_BASE] == !second->line[KB_CHECK_BASE])
			continue;
		/* The head's file is the one that people look into. */
		if (first->line[KB_CHECK_HEAD]) {
			first = second;
			second = lone[start];
		}
		first->same_as = second - check->names;
		second->line[KB_CHECK_BASE] = first->line[KB_CHECK_BASE];
	}
}

static struct kb_error *matches_any(struct kb_regex *const *patterns, size_t n, const char *text,
				    bool *found)
{
	*found = false;
	for (size_t i = 0; i < n && !*found; i++)
		KB_TRY(kb_regex__search(patterns[i], text, found));
	return NULL;
}

/* Patterns are searched in file:line(name), as those of --restrict elsewhere. */
static struct kb_error *apply_patterns(struct kb_check *check, struct kb_check_name *name)
{
	int32_t line = name->line[KB_CHECK_HEAD] ?: name->line[KB_CHECK_BASE];
	bool only, ignored;
	char *text;
	struct kb_error *err;

	if (!check->n_only && !check->n_ignore)
		return NULL;
	if (asprintf(&text, "%s:%d(%s)", name->file, line, name->name) < 0)
		return kb_error__no_memory();
	err = matches_any(check->only, check->n_only, text, &only);
	if (!err)
		err = matches_any(check->ignore, check->n_ignore, text, &ignored);
	free(text);
	if (!err)
		name->ignored = ignored || (check->n_only && !only);
	return err;
}

struct kb_error *kb_check__match_names(struct kb_check *check)
{
	struct kb_check_name **lone = malloc((check->n_names + 1) * sizeof(*lone));

	if (!lone)
		return kb_error__no_memory();
	join(check, by_last_part, lone);
	join(check, by_name, lone);
	free(lone);
	for (uint32_t i = 0; i < check->n_names; i++)
		KB_TRY(apply_patterns(check, &check->names[i]));
	return NULL;
}
