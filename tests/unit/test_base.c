// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Containers of base/: bounded buffer, variable-length integers, array, hash index, string pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/array.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/strpool.h"
#include "base/varint.h"

static void test_buf_maximum(void **state)
{
	struct kb_buf buf;

	kb_buf__init(&buf, 1000);
	for (int i = 0; i < 100; i++)
		kb_buf__append(&buf, "0123456789", 10);
	assert_false(buf.failed);
	assert_int_equal(buf.size, 1000);
	assert_true(buf.capacity <= 1000);
	assert_memory_equal(buf.data + 990, "0123456789", 10);
	kb_buf__append(&buf, "x", 1);
	assert_true(buf.failed);
	kb_buf__append(&buf, "", 0);
	assert_int_equal(buf.size, 1000);
	kb_buf__clear(&buf);
	kb_buf__append(&buf, "y", 1);
	assert_false(buf.failed);
	assert_int_equal(buf.size, 1);
	assert_false(kb_buf__reserve(&buf, SIZE_MAX));
	kb_buf__free(&buf);
}

static void test_varint_round_trip(void **state)
{
	static const uint64_t values[] = { 0,	  1,	      127,	  128,	      16383,
					   16384, UINT32_MAX, 1ull << 62, 1ull << 63, UINT64_MAX };
	struct kb_cursor cursor = { 0 };
	struct kb_buf buf;

	kb_buf__init(&buf, 4096);
	for (size_t i = 0; i < 10; i++) {
		kb_varint__put(&buf, values[i]);
		kb_varint__put_signed(&buf, (int64_t)values[i]);
		kb_varint__put_signed(&buf, -(int64_t)(values[i] / 2));
	}
	cursor = (struct kb_cursor){ buf.data, buf.data + buf.size };
	for (size_t i = 0; i < 10; i++) {
		assert_true(kb_varint__get(&cursor) == values[i]);
		assert_true(kb_varint__get_signed(&cursor) == (int64_t)values[i]);
		assert_true(kb_varint__get_signed(&cursor) == -(int64_t)(values[i] / 2));
	}
	assert_false(cursor.failed);
	assert_ptr_equal(cursor.at, cursor.end);
	kb_buf__free(&buf);
}

static void assert_varint_fails(const char *bytes, size_t size)
{
	struct kb_cursor cursor = { (const uint8_t *)bytes, (const uint8_t *)bytes + size };

	assert_int_equal(kb_varint__get(&cursor), 0);
	assert_true(cursor.failed);
	assert_null(kb_cursor__take(&cursor, 0));
}

static void test_varint_damaged(void **state)
{
	struct kb_cursor cursor = { (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
				    0 };

	cursor.end = cursor.at + 10;
	assert_true(kb_varint__get(&cursor) == UINT64_MAX);
	assert_varint_fails("", 0);
	assert_varint_fails("\x80", 1);
	assert_varint_fails("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
	assert_varint_fails("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", 11);
}

static void test_cursor_take(void **state)
{
	const uint8_t bytes[] = "abc";
	struct kb_cursor cursor = { bytes, bytes + 3 };

	assert_ptr_equal(kb_cursor__take(&cursor, 2), bytes);
	assert_null(kb_cursor__take(&cursor, UINT64_MAX));
	assert_true(cursor.failed);
}

static void test_array_maximum(void **state)
{
	uint32_t capacity = 0, *array = NULL, *grown;

	array = kb_array__grow(array, &capacity, 1, sizeof(*array), 100);
	assert_non_null(array);
	assert_int_equal(capacity, 64);
	array[63] = 7;
	grown = kb_array__grow(array, &capacity, 65, sizeof(*array), 100);
	assert_non_null(grown);
	assert_int_equal(capacity, 100);
	assert_int_equal(grown[63], 7);
	assert_null(kb_array__grow(grown, &capacity, 101, sizeof(*array), 100));
	assert_int_equal(capacity, 100);
	free(grown);
}

static uint64_t same_hash(const void *owner, uint32_t id)
{
	return 5;
}

static bool equals_number(const void *owner, uint32_t id, const void *key)
{
	return ((const uint32_t *)owner)[id] == *(const uint32_t *)key;
}

/* With all hashes equal the index is slow and still right. */
static void test_index_collisions(void **state)
{
	struct kb_index index = { 0 };
	uint32_t numbers[500] = { 0 }, missing = 7;

	assert_int_equal(kb_index__find(&index, 5, &missing, equals_number, numbers),
			 KB_INDEX_NONE);
	for (uint32_t i = 0; i < 500; i++) {
		numbers[i] = i * 1000;
		assert_true(kb_index__insert(&index, 5, i, same_hash, numbers));
	}
	for (uint32_t i = 0; i < 500; i++)
		assert_int_equal(kb_index__find(&index, 5, &numbers[i], equals_number, numbers), i);
	assert_int_equal(kb_index__find(&index, 5, &missing, equals_number, numbers),
			 KB_INDEX_NONE);
	assert_true(index.n_slots * 2 >= index.used * 3);
	kb_index__free(&index);
}

static void test_strpool_ids(void **state)
{
	struct kb_strpool *pool = kb_strpool__create(1 << 24, 1 << 20);
	char text[32], *large = malloc(100000);
	const char *first;

	assert_int_equal(kb_strpool__add(pool, NULL, 0), 0);
	for (uint32_t i = 1; i < 20000; i++) {
		int size = snprintf(text, sizeof(text), "string %u", i);

		assert_int_equal(kb_strpool__find(pool, text, (size_t)size), KB_STRPOOL_NONE);
		assert_int_equal(kb_strpool__add(pool, text, (size_t)size), i);
	}
	first = kb_strpool__at(pool, 1);
	memset(large, 'x', 100000);
	assert_int_equal(kb_strpool__add(pool, large, 100000), 20000);
	assert_int_equal(kb_strpool__add(pool, "string 19999", 12), 19999);
	assert_int_equal(kb_strpool__add(pool, "a\0b", 3), 20001);
	assert_int_equal(kb_strpool__find(pool, "a", 1), KB_STRPOOL_NONE);
	assert_ptr_equal(kb_strpool__at(pool, 1), first);
	assert_string_equal(first, "string 1");
	assert_int_equal(kb_strpool__size(pool, 20000), 100000);
	assert_int_equal(kb_strpool__at(pool, 20000)[100000], 0);
	assert_int_equal(kb_strpool__count(pool), 20002);
	free(large);
	kb_strpool__destroy(pool);
}

static void test_strpool_maximum(void **state)
{
	struct kb_strpool *pool = kb_strpool__create(20, 3);

	assert_int_equal(kb_strpool__add(pool, "0123456789", 10), 0);
	assert_int_equal(kb_strpool__add(pool, "012345678", 9), KB_STRPOOL_NONE);
	assert_int_equal(kb_strpool__add(pool, "0", 1), 1);
	assert_int_equal(kb_strpool__add(pool, "", 0), 2);
	assert_int_equal(kb_strpool__add(pool, "1", 1), KB_STRPOOL_NONE);
	assert_int_equal(kb_strpool__add(pool, "0123456789", 10), 0);
	kb_strpool__destroy(pool);
}

static void test_hash_spreads(void **state)
{
	uint32_t buckets[64] = { 0 };

	for (uint64_t i = 0; i < 64000; i++)
		buckets[kb_hash__bytes(&i, sizeof(i)) % 64]++;
	for (int i = 0; i < 64; i++)
		assert_in_range(buckets[i], 800, 1200);
	assert_true(kb_hash__bytes("a", 1) != kb_hash__bytes("a\0", 2));
	assert_true(kb_hash__bytes("abc", 3) == kb_hash__bytes("abcd", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_maximum),    cmocka_unit_test(test_varint_round_trip),
		cmocka_unit_test(test_varint_damaged), cmocka_unit_test(test_cursor_take),
		cmocka_unit_test(test_array_maximum),  cmocka_unit_test(test_index_collisions),
		cmocka_unit_test(test_strpool_ids),    cmocka_unit_test(test_strpool_maximum),
		cmocka_unit_test(test_hash_spreads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
