// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sorted by their reversed text, the paths with the longest common ends are
 * neighbours, so comparing neighbours is enough. `/` sorts before all other
 * characters, so that of equally long common ends those that are whole
 * components in both paths stand together.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "format/short_path.h"

struct path {
	const char *text;
	size_t length;
	size_t place;  /* in the caller's array */
	size_t common; /* no end of at most this many bytes tells the path from all others */
};

static size_t common_end(const struct path *a, const struct path *b)
{
	size_t n = 0;

	while (n < a->length && n < b->length &&
	       a->text[a->length - 1 - n] == b->text[b->length - 1 - n])
		n++;
	return n;
}

static int rank_at(const struct path *path, size_t from_end)
{
	char at = path->text[path->length - 1 - from_end];

	return at == '/' ? 0 : (unsigned char)at;
}

/* Whether the last n bytes are whole components. */
static bool is_boundary(const struct path *path, size_t n)
{
	return n == path->length || path->text[path->length - 1 - n] == '/';
}

static int compare_reversed(const void *a, const void *b)
{
	const struct path *x = a, *y = b;
	size_t n = common_end(x, y);

	if (n == x->length || n == y->length)
		return (x->length > y->length) - (x->length < y->length);
	return rank_at(x, n) - rank_at(y, n);
}

static void note_common(struct path *a, struct path *b)
{
	size_t n = common_end(a, b);

	/* `c.py` does not stand for `bc.py`. */
	if (n && !(is_boundary(a, n) && is_boundary(b, n)))
		n--;
	if (a->common < n)
		a->common = n;
	if (b->common < n)
		b->common = n;
}

/* The shortest end from a `/` on that is longer than what it shares with others. */
static const char *shorten(const struct path *path)
{
	const char *at = path->text + path->length;

	while (at > path->text) {
		at--;
		if (*at == '/' && path->length - (size_t)(at + 1 - path->text) > path->common)
			return at + 1;
	}
	return path->text;
}

struct kb_error *kb_short_path__make(const char **paths, size_t n)
{
	struct path *sorted = calloc(n ? n : 1, sizeof(*sorted));
	size_t first = 0;

	if (!sorted)
		return kb_error__no_memory();
	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct path){ paths[i], strlen(paths[i]), i };
	qsort(sorted, n, sizeof(*sorted), compare_reversed);
	/* The first of each run of equal paths speaks for the run. */
	for (size_t i = 1; i < n; i++) {
		if (strcmp(sorted[i].text, sorted[first].text)) {
			note_common(&sorted[first], &sorted[i]);
			first = i;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!i || strcmp(sorted[i].text, sorted[first].text))
			first = i;
		sorted[i].common = sorted[first].common;
		paths[sorted[i].place] = shorten(&sorted[i]);
	}
	free(sorted);
	return NULL;
}
