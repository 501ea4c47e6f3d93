// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "python/heap_pool.h"
#include "python/heap_space.h"

/* ---------------------------------------------------------------- pools */

#define ADDRESS 0x7f0000004000ull
#define NUMBER	7 /* of the arena */

static const struct kb_heap_geometry geometry = { .pool_bytes = 4096, .alignment = 16 };

static void put32(uint8_t *bytes, uint32_t at, uint32_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

static void put64(uint8_t *bytes, uint32_t at, uint64_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

/* Blocks of 64 bytes, 10 of which have been handed out; 2 and 5 are free again. */
static void make_pool(uint8_t *bytes)
{
	memset(bytes, 0, 4096);
	put32(bytes, 0, 8);
	put64(bytes, 8, ADDRESS + 48 + 5 * 64);
	put64(bytes, 48 + 5 * 64, ADDRESS + 48 + 2 * 64);
	put32(bytes, 32, NUMBER);
	put32(bytes, 36, 3);
	put32(bytes, 40, 48 + 10 * 64);
	put32(bytes, 44, 4096 - 64);
}

static enum kb_heap_pool_state parse(const uint8_t *bytes, struct kb_heap_pool *pool)
{
	return kb_heap_pool__parse(bytes, ADDRESS, &geometry, NUMBER, pool);
}

static void test_pool(void **state)
{
	struct kb_heap_pool pool;
	uint8_t bytes[4096];

	make_pool(bytes);
	assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_USED);
	assert_int_equal(pool.size_class, 3);
	assert_int_equal(pool.block_bytes, 64);
	assert_int_equal(pool.n_blocks, 63);
	assert_int_equal(pool.n_carved, 10);
	assert_int_equal(pool.n_used, 8);
	assert_int_equal(pool.free[0], 1 << 2 | 1 << 5);
	put32(bytes, 0, 0);
	assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_EMPTY);
}

static void test_torn_pool(void **state)
{
	struct kb_heap_pool pool;
	uint8_t bytes[4096];

	make_pool(bytes);
	put32(bytes, 0, 9);
	assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_TORN);
	/* The list of free blocks turns back, leaves the pool, or points into a block. */
	make_pool(bytes);
	put64(bytes, 48 + 2 * 64, ADDRESS + 48 + 5 * 64);
	assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_TORN);
	put64(bytes, 48 + 2 * 64, ADDRESS + 48 + 10 * 64);
	assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_TORN);
	put64(bytes, 48 + 2 * 64, ADDRESS);
	assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_TORN);
	put64(bytes, 48 + 2 * 64, ADDRESS + 48 + 8);
	assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_TORN);
	put64(bytes, 48 + 2 * 64, UINT64_MAX);
	assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_TORN);
}

static void test_no_pool(void **state)
{
	static const struct {
		uint32_t at, value;
	} wrong[] = { { 32, 8 },  { 36, 4 },	{ 36, 1000 }, { 40, 47 },
		      { 40, 50 }, { 40, 4097 }, { 44, 4095 } };
	struct kb_heap_geometry found;
	struct kb_heap_pool pool;
	uint8_t bytes[4096];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make_pool(bytes);
		put32(bytes, wrong[i].at, wrong[i].value);
		assert_int_equal(parse(bytes, &pool), KB_HEAP_POOL_BAD);
	}
	make_pool(bytes);
	assert_true(kb_heap_pool__geometry(bytes, NUMBER, 4096, &found));
	assert_int_equal(found.alignment, 16);
	assert_false(kb_heap_pool__geometry(bytes, NUMBER, 16384, &found));
	assert_false(kb_heap_pool__geometry(bytes, NUMBER + 1, 4096, &found));
	/* 3.6 and 3.7: the same size has another class. */
	put32(bytes, 36, 7);
	assert_true(kb_heap_pool__geometry(bytes, NUMBER, 4096, &found));
	assert_int_equal(found.alignment, 8);
}

/* ---------------------------------------------------------------- space */

#define MB (1ull << 20)

static void add_arena(struct kb_heap_space *space, uint64_t address)
{
	space->arenas = realloc(space->arenas, (space->n_arenas + 1) * sizeof(*space->arenas));
	assert_non_null(space->arenas);
	space->arenas[space->n_arenas++] = (struct kb_heap_arena){ .address = address };
}

static void test_space(void **state)
{
	static char anonymous[] = "", heap[] = "[heap]", stack[] = "[stack]", file[] = "/lib/x",
		    named[] = "[anon: cpython:pymalloc]";
	const uint64_t arena =
		0x7f1200000000 + 4096; /* shares its first and last 64 kB with others */
	struct kb_map entries[] = {
		{ .start = 0x400000, .end = 0x500000, .writable = true, .inode = 3, .path = file },
		{ .start = 0x1000000, .end = 0x1100000, .writable = true, .path = heap },
		{ .start = 0x7f1200000000,
		  .end = 0x7f1200000000 + 3 * MB,
		  .writable = true,
		  .path = anonymous },
		{ .start = 0x7f1200000000 + 3 * MB,
		  .end = 0x7f1200000000 + 4 * MB,
		  .writable = true,
		  .path = named },
		{ .start = 0x7f1300000000, .end = 0x7f1300100000, .path = anonymous },
		{ .start = 0x7f1400000000,
		  .end = 0x7f1400100000,
		  .writable = true,
		  .shared = true,
		  .path = anonymous },
		{ .start = 0x7f1500000000, .end = 0x7f1500100000, .writable = true, .path = stack },
	};
	struct kb_maps maps = { .entries = entries, .count = sizeof(entries) / sizeof(entries[0]) };
	struct kb_heap_space space;

	assert_null(kb_heap_space__create(&maps, &space));
	assert_int_equal(space.n_ranges, 2);
	assert_int_equal(space.bytes, 5 * MB);
	space.arena_bytes = MB;
	add_arena(&space, arena + MB);
	add_arena(&space, arena);
	add_arena(&space, arena + MB / 2); /* a lie */
	kb_heap_space__add_arenas(&space);
	assert_int_equal(space.n_arenas, 2);
	assert_int_equal(kb_heap_space__where(&space, 0x450000), KB_HEAP_NOWHERE);
	assert_int_equal(kb_heap_space__where(&space, 0x1000010), KB_HEAP_OUTSIDE);
	assert_int_equal(kb_heap_space__where(&space, arena - 16), KB_HEAP_OUTSIDE);
	assert_int_equal(kb_heap_space__where(&space, arena), KB_HEAP_IN_ARENA);
	assert_int_equal(kb_heap_space__where(&space, arena + MB), KB_HEAP_IN_ARENA);
	assert_int_equal(kb_heap_space__where(&space, arena + 2 * MB - 1), KB_HEAP_IN_ARENA);
	assert_int_equal(kb_heap_space__where(&space, arena + 2 * MB), KB_HEAP_OUTSIDE);
	assert_int_equal(kb_heap_space__where(&space, 0x7f1300000000), KB_HEAP_NOWHERE);
	assert_int_equal(kb_heap_space__where(&space, 0x7f1400000000), KB_HEAP_NOWHERE);
	assert_int_equal(kb_heap_space__where(&space, 0x7f1500000000), KB_HEAP_NOWHERE);
	assert_int_equal(kb_heap_space__where(&space, UINT64_MAX), KB_HEAP_NOWHERE);
	assert_ptr_equal(kb_heap_space__arena(&space, arena + MB + 5), &space.arenas[1]);
	assert_null(kb_heap_space__arena(&space, arena - 1));
	assert_ptr_equal(kb_heap_space__range(&space, arena + 3 * MB), &space.ranges[1]);
	assert_null(kb_heap_space__range(&space, 0x1100000));
	kb_heap_space__free(&space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_torn_pool),
		cmocka_unit_test(test_no_pool),
		cmocka_unit_test(test_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
