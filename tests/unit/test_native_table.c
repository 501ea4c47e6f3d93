// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tables as the kernel searches them: the same rule for every address as in the table they are made
 * of, and rows that never lie in two functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "collect/native_table.h"
#include "keelback/error.h"

#define ROWS_MAX 3000

/* As bpf/native/unwind.bpf.c does it. */
static const struct kb_unwind_row *search(const struct kb_native_table *packed, uint32_t relative)
{
	const struct kb_native_head *head = &packed->elements[0].head;
	const struct kb_native_block *block;
	uint32_t low, n;

	if (relative >> head->shift >= head->n_blocks)
		return NULL;
	block = &packed->elements[1 + (relative >> head->shift)].block;
	low = block->first;
	n = block->n;
	assert_true(n && n <= KB_NATIVE_BLOCK_ROWS);
	while (n > 1) {
		uint32_t half = n / 2;

		if (packed->elements[low + half].row.pc <= relative) {
			low += half;
			n -= half;
		} else {
			n = half;
		}
	}
	assert_true(low < packed->n);
	return &packed->elements[low].row;
}

static void check(const struct kb_unwind_table *table, uint32_t relative,
		  const struct kb_native_table *packed)
{
	const struct kb_unwind_row *row = search(packed, relative);
	struct kb_unwind_function function;

	if (!row) {
		assert_int_equal(kb_unwind__base(kb_unwind_table__rule(table, relative)),
				 KB_UNWIND_NO_RULE);
		return;
	}
	assert_true(row->pc <= relative);
	assert_int_equal(row->rule, kb_unwind_table__rule(table, relative));
	if (kb_unwind_table__function_range(table, relative, &function))
		assert_true(row->pc >= function.start);
}

/* Functions of `step` bytes with `rows` rows each, neighbours with the same first rule. */
static void check_shape(uint32_t functions, uint32_t step, uint32_t rows)
{
	static struct kb_unwind_row row[ROWS_MAX];
	struct kb_unwind_function *function = calloc(functions, sizeof(*function));
	struct kb_unwind_table table = { .rows = row, .functions = function };
	struct kb_native_table packed;

	assert_non_null(function);
	srand(functions + step);
	for (uint32_t i = 0; i < functions; i++) {
		uint32_t at = i * step;

		function[table.n_functions++] = (struct kb_unwind_function){ at, at + step - 1 };
		for (uint32_t j = 0; j < rows && table.n_rows < ROWS_MAX - 1; j++) {
			uint32_t rule = KB_UNWIND_RULE(KB_UNWIND_RSP, 1 + (j + i / 3) % 5, 0);

			/* Equal neighbours are one row, as in tables that are built. */
			if (table.n_rows && row[table.n_rows - 1].rule == rule)
				continue;
			row[table.n_rows++] = (struct kb_unwind_row){ at + j, rule };
		}
	}
	row[table.n_rows++] =
		(struct kb_unwind_row){ functions * step,
					KB_UNWIND_RULE(KB_UNWIND_NO_RULE, KB_UNWIND_NONE, 0) };
	assert_null(kb_native_table__pack(&table, &packed));
	for (uint32_t i = 0; i < functions; i++) {
		for (uint32_t j = 0; j <= rows && j < step; j++)
			check(&table, i * step + j, &packed);
		check(&table, i * step + (uint32_t)rand() % step, &packed);
	}
	check(&table, functions * step, &packed);
	check(&table, functions * step + 1, &packed);
	check(&table, UINT32_MAX, &packed);
	kb_native_table__free(&packed);
	free(function);
}

static void test_every_address_has_its_rule(void **state)
{
	check_shape(1, 16, 1);
	check_shape(1, 16, 16);
	check_shape(200, 16, 3);
	check_shape(100, 257, 7);
	check_shape(10, 1u << 20, 20); /* long functions of few rows: large blocks */
	check_shape(900, 1, 1);	       /* a function for each byte */
	check_shape(2, 1u << 30, 1000);
}

static void test_too_large_is_refused(void **state)
{
	struct kb_unwind_row rows[] = { { 0, 0 }, { UINT32_MAX, 0 } };
	struct kb_unwind_table table = { .rows = rows, .n_rows = KB_NATIVE_ELEMENTS_MAX };
	struct kb_native_table packed;
	struct kb_error *err;

	/* Only the numbers are looked at before it is refused. */
	table.rows = calloc(table.n_rows, sizeof(*rows));
	assert_non_null(table.rows);
	err = kb_native_table__pack(&table, &packed);
	assert_non_null(err);
	kb_error__destroy(err);
	free(table.rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_address_has_its_rule),
		cmocka_unit_test(test_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
