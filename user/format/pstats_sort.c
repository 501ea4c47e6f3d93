// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "format/pstats_sort.h"

enum order { BY_DIRECT, BY_CUMULATIVE, BY_NAME };

/* Times and percentages are counts times a constant. */
static const struct key {
	const char *name;
	enum order order;
} keys[] = {
	{ "nsamples", BY_DIRECT },
	{ "tottime", BY_DIRECT },
	{ "cumtime", BY_CUMULATIVE },
	{ "sample-pct", BY_DIRECT },
	{ "cumul-pct", BY_CUMULATIVE },
	{ "nsamples-cumul", BY_CUMULATIVE },
	{ "name", BY_NAME },
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

struct sorting {
	const struct kb_function_table *table;
	const char *const *paths;
	enum order order;
};

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

struct kb_error *kb_pstats_sort__check(const char *name)
{
	char list[128] = "";

	if (find_key(name))
		return NULL;
	for (size_t i = 0; i < N_KEYS; i++) {
		strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
		strncat(list, keys[i].name, sizeof(list) - strlen(list) - 1);
	}
	return kb_usage("no sort key '%s'; there are %s", name, list);
}

static int compare_counts(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b); /* the larger first */
}

static int compare_names(const struct sorting *sorting, uint32_t x, uint32_t y)
{
	const struct kb_label *a = &sorting->table->rows[x].label;
	const struct kb_label *b = &sorting->table->rows[y].label;
	int diff = strcmp(sorting->paths[x], sorting->paths[y]);

	if (!diff)
		diff = (a->number > b->number) - (a->number < b->number);
	return diff ? diff : kb_label__compare(a, b);
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct sorting *sorting = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	const struct kb_function_row *rows = sorting->table->rows;
	int direct = compare_counts(rows[x].direct, rows[y].direct);
	int cumulative = compare_counts(rows[x].cumulative, rows[y].cumulative);
	int diff = 0;

	if (sorting->order == BY_DIRECT)
		diff = direct ? direct : cumulative;
	if (sorting->order == BY_CUMULATIVE)
		diff = cumulative ? cumulative : direct;
	return diff ? diff : compare_names(sorting, x, y);
}

void kb_pstats_sort__order(const struct kb_function_table *table, const char *const *paths,
			   const char *key, uint32_t *order)
{
	struct sorting sorting = { table, paths, key ? find_key(key)->order : BY_DIRECT };

	for (uint32_t i = 0; i < table->n_rows; i++)
		order[i] = i;
	qsort_r(order, table->n_rows, sizeof(*order), compare_rows, &sorting);
}
