// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Two snapshots side by side: Snapshot.compare_to() of Lib/tracemalloc.py. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "format/memory_view.h"
#include "format/memory_writers.h"
#include "format/writers.h"

struct change {
	const char *key;
	const struct kb_memory_row *before, *after; /* NULL: it has none */
	int64_t bytes, blocks;			    /* more than before */
};

static int by_key(const void *left, const void *right)
{
	const struct change *a = left, *b = right;
	int order = strcmp(a->key, b->key);

	/* The row of before first. */
	return order ? order : (b->before != NULL) - (a->before != NULL);
}

static uint64_t magnitude(int64_t change)
{
	return change < 0 ? -(uint64_t)change : (uint64_t)change;
}

static int by_change(const void *left, const void *right)
{
	const struct change *a = left, *b = right;
	uint64_t x = magnitude(a->bytes), y = magnitude(b->bytes);

	if (x != y)
		return x > y ? -1 : 1;
	x = magnitude(a->blocks);
	y = magnitude(b->blocks);
	return x != y ? (x > y ? -1 : 1) : strcmp(a->key, b->key);
}

static int by_count_change(const void *left, const void *right)
{
	const struct change *a = left, *b = right;
	uint64_t x = magnitude(a->blocks), y = magnitude(b->blocks);

	return x != y ? (x > y ? -1 : 1) : by_change(left, right);
}

/* Joins the rows of both by their keys; returns their number. */
static uint32_t join(struct change *changes, const struct kb_memory_view *before,
		     const struct kb_memory_view *after)
{
	uint32_t n = 0, joined = 0;

	for (uint32_t i = 0; i < before->n; i++)
		changes[n++] =
			(struct change){ .key = before->rows[i].key, .before = &before->rows[i] };
	for (uint32_t i = 0; i < after->n; i++)
		changes[n++] =
			(struct change){ .key = after->rows[i].key, .after = &after->rows[i] };
	if (n)
		qsort(changes, n, sizeof(*changes), by_key);
	for (uint32_t i = 0; i < n; i++) {
		struct change change = changes[i];

		if (i + 1 < n && !strcmp(change.key, changes[i + 1].key))
			change.after = changes[++i].after;
		change.bytes = (change.after ? change.after->bytes : 0) -
			       (change.before ? change.before->bytes : 0);
		change.blocks = (change.after ? change.after->blocks : 0) -
				(change.before ? change.before->blocks : 0);
		changes[joined++] = change;
	}
	return joined;
}

static void write_key(FILE *stream, const char *key)
{
	/* Of stacks: the leaf, and the callers below. */
	for (const char *at = key; *at;) {
		size_t length = strcspn(at, "\n");
		char *line = strndup(at, length);

		if (line) {
			if (at != key)
				fprintf(stream, "%*s", 66, "");
			kb_text__write(stream, line);
			putc('\n', stream);
		}
		free(line);
		at += length + (at[length] == '\n');
	}
}

static void write_changes(const struct change *changes, uint32_t n, FILE *stream)
{
	char size[KB_MEMORY_SIZE_TEXT], change[KB_MEMORY_SIZE_TEXT];

	fprintf(stream, "%12s %12s %10s %10s %16s  %s\n", "size", "change", "blocks", "change", "",
		"location");
	for (uint32_t i = 0; i < n; i++) {
		const struct kb_memory_row *row = changes[i].after;

		fprintf(stream, "%12s %12s %10" PRIu64 " %+10" PRId64 " %16s  ",
			kb_memory_size__text(row ? row->bytes : 0, size),
			kb_memory_size__signed_text(changes[i].bytes, change),
			row ? row->blocks : 0, changes[i].blocks,
			!changes[i].before ? "new"
			: !row		   ? "gone"
					   : "");
		write_key(stream, changes[i].key);
	}
}

static struct kb_error *compare(const struct kb_memory_view *before,
				const struct kb_memory_view *after,
				const struct kb_memory_view_opts *opts, FILE *stream)
{
	struct change *changes = calloc((size_t)before->n + after->n + 1, sizeof(*changes));
	char change[KB_MEMORY_SIZE_TEXT];
	uint32_t n, shown;

	if (!changes)
		return kb_error__no_memory();
	n = join(changes, before, after);
	if (n)
		qsort(changes, n, sizeof(*changes), opts->blocks ? by_count_change : by_change);
	/* What has not changed comes last, and is not shown. */
	while (n && !changes[n - 1].bytes && !changes[n - 1].blocks)
		n--;
	shown = opts->limit && opts->limit < n ? opts->limit : n;
	write_changes(changes, shown, stream);
	if (opts->summary) {
		if (shown < n)
			fprintf(stream, "%u other changes\n", n - shown);
		fprintf(stream,
			"In all %" PRIu64 " bytes in %" PRIu64 " blocks before, %" PRIu64
			" bytes in %" PRIu64 " blocks after: %s\n",
			before->bytes, before->blocks, after->bytes, after->blocks,
			kb_memory_size__signed_text(after->bytes - before->bytes, change));
	}
	free(changes);
	return NULL;
}

struct kb_error *kb_memory_comparison__write(const struct kb_profile *before,
					     const struct kb_profile *after,
					     const struct kb_memory_view_opts *given, FILE *stream)
{
	struct kb_memory_view *old = NULL, *now = NULL;
	struct kb_memory_view_opts opts;
	struct kb_error *err;

	KB_TRY(kb_memory_view__complete(given, &opts));
	if (!kb_profile__memory(before) || !kb_profile__memory(after))
		return kb_usage("only recordings of 'keelback memory' can be compared here");
	err = kb_memory_view__create(before, &opts, &old);
	if (!err)
		err = kb_memory_view__create(after, &opts, &now);
	if (!err)
		err = compare(old, now, &opts, stream);
	kb_memory_view__destroy(old);
	kb_memory_view__destroy(now);
	return err ? err : kb_writers__check_stream(stream);
}
