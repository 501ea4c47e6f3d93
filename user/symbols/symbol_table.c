// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "symbols/symbol_table.h"

/* How far back a symbol is looked for that others lie in: aliases into the middle of assembly code.
 */
#define NESTED_MAX 64

void kb_symbol_table__init(struct kb_symbol_table *table)
{
	memset(table, 0, sizeof(*table));
	kb_buf__init(&table->names, KB_SYMBOL_NAMES_MAX);
}

void kb_symbol_table__free(struct kb_symbol_table *table)
{
	free(table->entries);
	kb_buf__free(&table->names);
	memset(table, 0, sizeof(*table));
}

void kb_symbol_table__add(struct kb_symbol_table *table, uint64_t start, uint64_t size,
			  const char *name, size_t length)
{
	struct kb_symbol_entry *entries;

	if (!length || length > KB_SYMBOL_NAME_MAX ||
	    table->names.size > KB_SYMBOL_NAMES_MAX - KB_SYMBOL_NAME_MAX - 1 ||
	    !kb_buf__reserve(&table->names, length + 1)) {
		table->n_left_out++;
		return;
	}
	entries = kb_array__grow(table->entries, &table->capacity, table->n + 1, sizeof(*entries),
				 KB_SYMBOLS_MAX);
	if (!entries) {
		table->n_left_out++;
		return;
	}
	table->entries = entries;
	if (size > UINT64_MAX - start)
		size = UINT64_MAX - start;
	entries[table->n++] = (struct kb_symbol_entry){ start, size, (uint32_t)table->names.size };
	kb_buf__append(&table->names, name, length);
	kb_buf__append(&table->names, "", 1);
}

/* ---------------------------------------------------------------- sorting */

/* Lower is plainer. */
static int compare_names(const char *a, const char *b)
{
	size_t x = strspn(a, "_"), y = strspn(b, "_");

	if (x != y)
		return x < y ? -1 : 1;
	x = strlen(a);
	y = strlen(b);
	if (x != y)
		return x < y ? -1 : 1;
	return strcmp(a, b);
}

/* By address; of several names of one address the one to be shown comes last. */
static int compare(const void *a, const void *b, void *context)
{
	const struct kb_symbol_entry *x = a, *y = b;
	const struct kb_symbol_table *table = context;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (table->last_wins)
		return x->name < y->name ? -1 : 1;
	/* One that knows its size says more. */
	if (!x->size != !y->size)
		return x->size ? 1 : -1;
	return -compare_names(kb_symbol_table__name(table, x), kb_symbol_table__name(table, y));
}

void kb_symbol_table__close(struct kb_symbol_table *table)
{
	if (table->n)
		qsort_r(table->entries, table->n, sizeof(*table->entries), compare, table);
}

/* ---------------------------------------------------------------- finding */

static bool contains(const struct kb_symbol_table *table, uint32_t i, uint64_t address,
		     uint64_t size_limit)
{
	const struct kb_symbol_entry *entry = &table->entries[i];
	uint64_t size = entry->size;

	if (!size) {
		do
			i++;
		while (i < table->n && table->entries[i].start == entry->start);
		size = size_limit;
		if (i < table->n && table->entries[i].start - entry->start < size)
			size = table->entries[i].start - entry->start;
	}
	return address - entry->start < size;
}

/* Index of the first that starts behind an address. */
static uint32_t first_behind(const struct kb_symbol_table *table, uint64_t address)
{
	uint32_t low = 0, high = table->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->entries[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct kb_symbol_entry *kb_symbol_table__before(const struct kb_symbol_table *table,
						      uint64_t address)
{
	uint32_t i = first_behind(table, address);

	return i ? &table->entries[i - 1] : NULL;
}

const struct kb_symbol_entry *kb_symbol_table__find(const struct kb_symbol_table *table,
						    uint64_t address, uint64_t size_limit)
{
	uint32_t low = first_behind(table, address);

	for (uint32_t back = 0; back < NESTED_MAX && low; back++)
		if (contains(table, --low, address, size_limit))
			return &table->entries[low];
	return NULL;
}

const struct kb_symbol_entry *kb_symbol_table__named(const struct kb_symbol_table *table,
						     const char *name)
{
	for (uint32_t i = 0; i < table->n; i++)
		if (!strcmp(kb_symbol_table__name(table, &table->entries[i]), name))
			return &table->entries[i];
	return NULL;
}

const char *kb_symbol_table__name(const struct kb_symbol_table *table,
				  const struct kb_symbol_entry *entry)
{
	return (const char *)table->names.data + entry->name;
}
