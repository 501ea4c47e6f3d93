// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the real tables cannot show: damaged tables, limits, units before and past the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "bpf/shared/events.h"
#include "python/linetable.h"

#define LINE(kind, table, first, unit) kb_linetable__line(kind, table, sizeof(table), first, unit)

static void test_lnotab(void **state)
{
	/* 6 bytes of line 10, 8 bytes of line 12, 2 of line 7, then line 300. */
	static const uint8_t table[] = { 6, 2, 8, (uint8_t)-5, 2, 127, 0, 127, 0, 39 };

	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, table, 10, 0), 10);
	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, table, 10, 2), 10);
	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, table, 10, 3), 12);
	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, table, 10, 6), 12);
	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, table, 10, 7), 7);
	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, table, 10, 8), 300);
	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, table, 10, 100000), 300);
}

static void test_lnotab_without_bytes(void **state)
{
	static const uint8_t odd[] = { 3, 1, 9 };

	assert_int_equal(kb_linetable__line(KB_LINETABLE_LNOTAB, odd, 0, 5, 0), 5);
	assert_int_equal(kb_linetable__line(KB_LINETABLE_LNOTAB, NULL, 0, 5, 0), 0);
	/* Byte 2 (unit 1) is below the odd offset 3, byte 4 is not; the lone last byte means
	 * nothing. */
	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, odd, 5, 1), 5);
	assert_int_equal(LINE(KB_LINETABLE_LNOTAB, odd, 5, 2), 6);
}

static void test_ranges(void **state)
{
	/* 4 bytes line 21, 2 bytes no line, an empty range that moves on by 5, 4 bytes line 25. */
	static const uint8_t table[] = { 4, 1, 2, 0x80, 0, 5, 4, (uint8_t)-1 };

	assert_int_equal(LINE(KB_LINETABLE_RANGES, table, 20, 0), 21);
	assert_int_equal(LINE(KB_LINETABLE_RANGES, table, 20, 1), 21);
	assert_int_equal(LINE(KB_LINETABLE_RANGES, table, 20, 2), 0);
	assert_int_equal(LINE(KB_LINETABLE_RANGES, table, 20, 3), 25);
	assert_int_equal(LINE(KB_LINETABLE_RANGES, table, 20, 4), 25);
	assert_int_equal(LINE(KB_LINETABLE_RANGES, table, 20, 5), 0);
}

static void test_location(void **state)
{
	static const uint8_t table[] = {
		0x80 | 15 << 3 | 0,			  /* 1 unit without a line */
		0x80 | 14 << 3 | 1, 0x40 | 8, 1, 0, 1, 1, /* 2 units: 8 + 1 * 64 = 72 / 2 = +36 */
		0x80 | 13 << 3 | 0, 7,			  /* 1 unit: -3 */
		0x80 | 11 << 3 | 0, 1,	      2,	  /* 1 unit: +1 */
		0x80 | 12 << 3 | 0, 1,	      2,	  /* 1 unit: +2 */
		0x80 | 3 << 3 | 7,  1,			  /* 8 units: +0 */
	};
	static const int32_t lines[] = { 0,   136, 136, 133, 134, 136, 136, 136,
					 136, 136, 136, 136, 136, 136, 0 };

	for (uint32_t unit = 0; unit < sizeof(lines) / sizeof(*lines); unit++)
		assert_int_equal(LINE(KB_LINETABLE_LOCATION, table, 100, unit), lines[unit]);
}

static void test_special_units(void **state)
{
	static const uint8_t table[] = { 4, 1 };

	for (int kind = KB_LINETABLE_LNOTAB; kind <= KB_LINETABLE_LOCATION; kind++) {
		assert_int_equal(LINE(kind, table, 9, KB_LASTI_START), 9);
		assert_int_equal(LINE(kind, table, 9, KB_LASTI_UNKNOWN), 0);
		assert_int_equal(LINE(kind, table, -9, KB_LASTI_START), 0);
	}
	assert_int_equal(LINE((enum kb_linetable_kind)77, table, 9, 0), 0);
}

static void test_clamped(void **state)
{
	static uint8_t table[1 << 16];

	/* The largest step there is, again and again. */
	for (size_t i = 0; i + 8 <= sizeof(table); i += 8)
		memcpy(table + i, "\xe8\x7e\x7f\x7f\x7f\x7f\x7f\x3f", 8);
	assert_int_equal(LINE(KB_LINETABLE_LOCATION, table, INT32_MAX, 8000), INT32_MAX);
	for (size_t i = 0; i + 8 <= sizeof(table); i += 8)
		table[i + 1] = 0x7f;
	assert_int_equal(LINE(KB_LINETABLE_LOCATION, table, INT32_MIN, 8000), 0);
}

struct spans {
	uint64_t next;
	uint32_t n;
	bool ordered;
	int32_t lines[64];
};

static void note(uint32_t start, uint32_t end, int32_t line, void *context)
{
	struct spans *spans = context;

	spans->ordered = spans->ordered && start == spans->next && end > start && line >= 0;
	spans->next = end;
	for (uint32_t unit = start; unit < end && unit < 64; unit++)
		spans->lines[unit] = line;
	spans->n++;
}

/* On any bytes the runs follow on each other, and single look-ups say the same. */
static void test_random_bytes(void **state)
{
	uint8_t bytes[64];

	srandom(1);
	for (int round = 0; round < 3000; round++) {
		size_t size = (size_t)random() % sizeof(bytes);
		enum kb_linetable_kind kind = round % 3;
		int32_t first = (int32_t)(random() * 2);
		struct spans spans = { .ordered = true };

		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)random();
		kb_linetable__each(kind, bytes, size, first, note, &spans);
		assert_true(spans.ordered);
		for (uint32_t unit = 0; unit < 64; unit++)
			assert_int_equal(kb_linetable__line(kind, bytes, size, first, unit),
					 spans.lines[unit]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lnotab),	      cmocka_unit_test(test_lnotab_without_bytes),
		cmocka_unit_test(test_ranges),	      cmocka_unit_test(test_location),
		cmocka_unit_test(test_special_units), cmocka_unit_test(test_clamped),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
