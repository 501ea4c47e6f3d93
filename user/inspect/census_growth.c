// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "inspect/census.h"

static const struct kb_census_data *find(const struct kb_census *census, pid_t pid)
{
	for (uint32_t i = 0; i < census->n; i++) {
		if (census->processes[i].info.pid == pid && !census->processes[i].info.error[0])
			return &census->processes[i];
	}
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct kb_census_growth *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_growth(const void *a, const void *b)
{
	const struct kb_census_growth *x = a, *y = b;
	int64_t of_x = (int64_t)(x->bytes - x->bytes_before),
		of_y = (int64_t)(y->bytes - y->bytes_before);

	if (of_x != of_y)
		return of_x < of_y ? 1 : -1;
	return by_name(a, b);
}

struct kb_error *kb_census__compare(const struct kb_census *before, const struct kb_census *after,
				    pid_t pid, struct kb_census_growth **result, size_t *count)
{
	const struct kb_census_data *from = find(before, pid), *to = find(after, pid);
	struct kb_census_growth *rows;
	size_t n = 0, merged = 0;

	if (!from || !to)
		return kb_failed("process %d is not in both censuses", pid);
	if (from->info.start_ns != to->info.start_ns)
		return kb_failed("process %d is another one than before", pid);
	rows = calloc(from->info.n_types + to->info.n_types + 1, sizeof(*rows));
	if (!rows)
		return kb_error__no_memory();
	for (size_t i = 0; i < from->info.n_types; i++)
		rows[n++] = (struct kb_census_growth){ .name = from->types[i].name,
						       .objects_before = from->types[i].objects,
						       .bytes_before = from->types[i].bytes };
	for (size_t i = 0; i < to->info.n_types; i++)
		rows[n++] = (struct kb_census_growth){ .name = to->types[i].name,
						       .objects = to->types[i].objects,
						       .bytes = to->types[i].bytes };
	qsort(rows, n, sizeof(*rows), by_name);
	for (size_t i = 0; i < n; i++) {
		if (!merged || strcmp(rows[i].name, rows[merged - 1].name)) {
			rows[merged++] = rows[i];
			continue;
		}
		rows[merged - 1].objects_before += rows[i].objects_before;
		rows[merged - 1].bytes_before += rows[i].bytes_before;
		rows[merged - 1].objects += rows[i].objects;
		rows[merged - 1].bytes += rows[i].bytes;
	}
	qsort(rows, merged, sizeof(*rows), by_growth);
	*result = rows;
	*count = merged;
	return NULL;
}
