// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/error.h"
#include "collect/native_table.h"

#define SHIFT_MIN      8  /* blocks of 256 bytes: about 7 rows of compiled code */
#define SHIFT_MAX      12 /* a block's rows are KB_NATIVE_BLOCK_ROWS at most */
#define ROWS_PER_BLOCK 4  /* on average at least: blocks take no more than a quarter of the rows */

_Static_assert(1u << SHIFT_MAX <= KB_NATIVE_BLOCK_ROWS, "each address may have its row");

/* The rows, and one for each function that begins within a row. */
static uint32_t merge_rows(const struct kb_unwind_table *table, union kb_native_element *rows)
{
	uint32_t n = 0, function = 0;

	for (uint32_t i = 0; i < table->n_rows; i++) {
		struct kb_unwind_row row = table->rows[i];
		uint64_t end = i + 1 < table->n_rows ? table->rows[i + 1].pc : (uint64_t)row.pc + 1;

		rows[n++].row = row;
		while (function < table->n_functions && table->functions[function].start <= row.pc)
			function++;
		for (; function < table->n_functions && table->functions[function].start < end;
		     function++) {
			row.pc = table->functions[function].start;
			if (row.pc != rows[n - 1].row.pc)
				rows[n++].row = row;
		}
	}
	return n;
}

/* Blocks for rows that lie behind them, at element `at`. */
static void make_blocks(union kb_native_element *elements, uint32_t at, uint32_t n_rows,
			uint32_t n_blocks, uint32_t shift)
{
	const union kb_native_element *rows = elements + at;
	uint32_t next = 0;

	for (uint32_t i = 0; i < n_blocks; i++) {
		uint64_t start = (uint64_t)i << shift, end = start + (1u << shift);
		uint32_t first;

		while (next < n_rows && rows[next].row.pc <= start)
			next++;
		first = next ? next - 1 : 0;
		while (next < n_rows && rows[next].row.pc < end)
			next++;
		elements[1 + i].block =
			(struct kb_native_block){ .first = at + first, .n = next - first };
	}
}

static uint32_t blocks_of(uint64_t last, uint32_t shift)
{
	return (uint32_t)(last >> shift) + 1;
}

struct kb_error *kb_native_table__pack(const struct kb_unwind_table *table,
				       struct kb_native_table *packed)
{
	uint64_t rows_max = (uint64_t)table->n_rows + table->n_functions, elements_max;
	uint32_t last = table->rows[table->n_rows - 1].pc, shift = SHIFT_MIN, n_blocks, n_rows;
	union kb_native_element *elements, *rows;

	while (shift < SHIFT_MAX && blocks_of(last, shift) > rows_max / ROWS_PER_BLOCK)
		shift++;
	n_blocks = blocks_of(last, shift);
	elements_max = 1 + (uint64_t)n_blocks + rows_max;
	if (elements_max > KB_NATIVE_ELEMENTS_MAX)
		return kb_unsupported("too many unwind rows: %u", table->n_rows);
	elements = malloc(elements_max * sizeof(*elements));
	if (!elements)
		return kb_error__no_memory();
	rows = elements + 1 + n_blocks;
	n_rows = merge_rows(table, rows);
	elements[0].head = (struct kb_native_head){ .n_blocks = n_blocks, .shift = shift };
	make_blocks(elements, 1 + n_blocks, n_rows, n_blocks, shift);
	*packed = (struct kb_native_table){ .elements = elements, .n = 1 + n_blocks + n_rows };
	return NULL;
}

void kb_native_table__free(struct kb_native_table *packed)
{
	free(packed->elements);
	packed->elements = NULL;
}
