// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/error.h"
#include "system/maps.h"
#include "system/memory.h"

static void test_line(void **state)
{
	struct kb_map map;

	assert_true(kb_map__parse("7f00deadb000-7f00deadc000 r-xp 0001a000 fe:01 1234567           "
				  "         /usr/lib/a b.so",
				  &map));
	assert_int_equal(map.start, 0x7f00deadb000);
	assert_int_equal(map.end, 0x7f00deadc000);
	assert_int_equal(map.offset, 0x1a000);
	assert_int_equal(map.device_major, 0xfe);
	assert_int_equal(map.device_minor, 1);
	assert_int_equal(map.inode, 1234567);
	assert_true(map.executable);
	assert_false(map.deleted);
	assert_string_equal(map.path, "/usr/lib/a b.so");
	free(map.path);
}

static void test_deleted(void **state)
{
	struct kb_map map;

	assert_true(kb_map__parse("1000-2000 rw-p 00000000 00:1f 9 /tmp/x (deleted)", &map));
	assert_true(map.deleted);
	assert_false(map.executable);
	assert_true(map.writable && !map.shared);
	assert_string_equal(map.path, "/tmp/x");
	free(map.path);
}

static void test_anonymous(void **state)
{
	struct kb_map map;

	assert_true(kb_map__parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0", &map));
	assert_int_equal(map.end, 0xffffffffff601000);
	assert_string_equal(map.path, "");
	free(map.path);
	assert_true(kb_map__parse("1000-2000 rw-p 00000000 00:00 0      [heap]", &map));
	assert_string_equal(map.path, "[heap]");
	free(map.path);
}

static void test_bad_lines(void **state)
{
	static const char *const lines[] = {
		"",
		"hello",
		"1000-2000",
		"2000-1000 r-xp 00000000 00:00 0 /x",
		"1000-1000 r-xp 00000000 00:00 0 /x",
		"1000-2000 r-xp",
		"1000-2000 r- 0 00:00 0 /x",
		"1000-2000 r-xp zz 00:00 0 /x",
	};
	struct kb_map map;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(kb_map__parse(lines[i], &map));
}

static void test_own_maps(void **state)
{
	uint64_t here = (uintptr_t)&test_own_maps, last = 0;
	struct kb_maps maps;
	bool found = false;

	assert_null(kb_maps__read(getpid(), &maps));
	assert_true(maps.count > 5);
	assert_false(maps.truncated);
	for (size_t i = 0; i < maps.count; i++) {
		const struct kb_map *map = &maps.entries[i];

		assert_true(map->start >= last);
		last = map->end;
		if (here >= map->start && here < map->end) {
			found = true;
			assert_true(map->executable);
			assert_non_null(strstr(map->path, "test_maps"));
		}
	}
	assert_true(found);
	kb_maps__free(&maps);
	assert_int_equal(maps.count, 0);
}

static void test_touch(void **state)
{
	struct kb_map map[] = { { .start = 0x1000, .end = 0x3000 },
				{ .start = 0x5000, .end = 0x6000 } };
	struct kb_maps maps = { .entries = map, .count = 2 }, none = {};

	assert_true(kb_maps__touch(&maps, 0x1000, 1));
	assert_true(kb_maps__touch(&maps, 0x2fff, 1));
	assert_true(kb_maps__touch(&maps, 0x3000, 0x2001));
	assert_true(kb_maps__touch(&maps, 0x0, 0x10000));
	assert_false(kb_maps__touch(&maps, 0x0, 0x1000));
	assert_false(kb_maps__touch(&maps, 0x3000, 0x2000));
	assert_false(kb_maps__touch(&maps, 0x6000, 0x1000));
	assert_false(kb_maps__touch(&none, 0x1000, 1));
	maps.truncated = true;
	assert_true(kb_maps__touch(&maps, 0x6000, 0x1000));
}

static void test_no_process(void **state)
{
	struct kb_maps maps;
	struct kb_error *err = kb_maps__read(0x3ffffffe, &maps);

	assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
	assert_string_equal(kb_error__text(err), "process 1073741822: no such process");
	kb_error__destroy(err);
}

static void test_memory(void **state)
{
	static const uint64_t words[2] = { 0x1122334455667788, 42 };
	long page = sysconf(_SC_PAGESIZE);
	char *two =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t word = 0;
	uint32_t half = 0;
	char buffer[32];

	assert_ptr_not_equal(two, MAP_FAILED);
	assert_true(kb_memory__read_u64(getpid(), (uintptr_t)words, &word));
	assert_int_equal(word, words[0]);
	assert_true(kb_memory__read_u32(getpid(), (uintptr_t)words, &half));
	assert_int_equal(half, 0x55667788);
	/* Half readable is not read. */
	assert_int_equal(munmap(two + page, page), 0);
	assert_true(kb_memory__read(getpid(), (uintptr_t)two + page - 32, buffer, 32));
	assert_false(kb_memory__read(getpid(), (uintptr_t)two + page - 31, buffer, 32));
	assert_false(kb_memory__read(getpid(), 0, buffer, 1));
	assert_false(kb_memory__read(getpid(), UINT64_MAX - 3, buffer, 32));
	munmap(two, page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),	  cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_anonymous), cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_own_maps),  cmocka_unit_test(test_no_process),
		cmocka_unit_test(test_memory),	  cmocka_unit_test(test_touch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
