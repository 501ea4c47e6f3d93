// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "symbols/unwind_cache.h"

#define ROWS 1000

static char directory[] = "/tmp/kb-unwind-XXXXXX";
static char path[PATH_MAX];

static int setup(void **state)
{
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/sub/unwind", directory);
	return 0;
}

static int teardown(void **state)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

static struct kb_module_id id_of(uint8_t number)
{
	struct kb_module_id id = { .size = 20, .is_build_id = true };

	memset(id.bytes, number, sizeof(id.bytes));
	return id;
}

static struct kb_unwind_table *make(uint32_t seed)
{
	struct kb_unwind_table *table = calloc(1, sizeof(*table));

	table->n_rows = ROWS;
	table->n_functions = 2;
	table->n_dropped = seed;
	table->rows = calloc(ROWS, sizeof(*table->rows));
	table->functions = calloc(2, sizeof(*table->functions));
	for (uint32_t i = 0; i < ROWS; i++)
		table->rows[i] = (struct kb_unwind_row){ i * 4, i * seed };
	table->functions[1] = (struct kb_unwind_function){ 16, 32 };
	return table;
}

static struct kb_unwind_cache *open_cache(uint64_t max)
{
	struct kb_unwind_cache *cache;

	assert_null(kb_unwind_cache__open(path, max, &cache));
	return cache;
}

static void save(struct kb_unwind_cache *cache, uint8_t number)
{
	struct kb_unwind_table *table = make(number);
	struct kb_module_id id = id_of(number);

	kb_unwind_cache__save(cache, &id, table);
	kb_unwind_table__destroy(table);
}

static bool load(struct kb_unwind_cache *cache, uint8_t number)
{
	struct kb_module_id id = id_of(number);
	struct kb_unwind_table *table = kb_unwind_cache__load(cache, &id), *expected;
	bool found = table;

	if (found) {
		expected = make(number);
		assert_int_equal(table->n_rows, ROWS);
		assert_int_equal(table->n_dropped, number);
		assert_memory_equal(table->rows, expected->rows, ROWS * sizeof(*table->rows));
		assert_memory_equal(table->functions, expected->functions,
				    2 * sizeof(*table->functions));
		kb_unwind_table__destroy(expected);
	}
	kb_unwind_table__destroy(table);
	return found;
}

static void file_of(uint8_t number, char *file)
{
	int n = snprintf(file, PATH_MAX, "%s/", path);

	for (int i = 0; i < 20; i++)
		n += sprintf(file + n, "%02x", number);
	strcpy(file + n, ".unwind");
}

static int count_files(void)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int n = 0;

	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void test_round_trip(void **state)
{
	struct kb_unwind_cache *cache = open_cache(1 << 20);
	struct kb_module_id unnamed = id_of(9);
	struct stat st;
	struct kb_unwind_table *table = make(9);
	char file[PATH_MAX];

	assert_false(load(cache, 1));
	save(cache, 1);
	assert_true(load(cache, 1));
	kb_unwind_cache__close(cache);
	cache = open_cache(1 << 20);
	assert_true(load(cache, 1));
	assert_false(load(cache, 2));
	/* Only for its owner. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	file_of(1, file);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* What tells this machine's files apart is worthless later. */
	unnamed.is_build_id = false;
	kb_unwind_cache__save(cache, &unnamed, table);
	kb_unwind_table__destroy(table);
	assert_null(kb_unwind_cache__load(cache, &unnamed));
	assert_int_equal(count_files(), 1);
	kb_unwind_cache__close(cache);
}

/* Each byte of the header, and some of the rest, changed; then cut short, and too long. */
static void test_damaged(void **state)
{
	struct kb_unwind_cache *cache = open_cache(1 << 20);
	char file[PATH_MAX];
	struct stat st;

	file_of(3, file);
	save(cache, 3);
	assert_int_equal(stat(file, &st), 0);
	for (off_t at = 0; at < st.st_size; at += at < 64 ? 1 : 511) {
		int fd = open(file, O_RDWR | O_CLOEXEC);
		uint8_t byte;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x20;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		assert_false(load(cache, 3));
		assert_int_equal(access(file, F_OK), -1);
		save(cache, 3);
		assert_true(load(cache, 3));
	}
	assert_int_equal(truncate(file, st.st_size - 1), 0);
	assert_false(load(cache, 3));
	save(cache, 3);
	assert_int_equal(truncate(file, st.st_size + 8), 0);
	assert_false(load(cache, 3));
	save(cache, 3);
	/* Another build's file under this name; a link; one that others can write. */
	save(cache, 4);
	{
		char other[PATH_MAX];

		file_of(4, other);
		assert_int_equal(rename(other, file), 0);
		assert_false(load(cache, 3));
		save(cache, 4);
		assert_int_equal(symlink(other, file), 0);
		assert_false(load(cache, 3));
		assert_true(load(cache, 4));
		assert_int_equal(chmod(other, 0666), 0);
		assert_false(load(cache, 4));
	}
	unlink(file);
	kb_unwind_cache__close(cache);
}

/* A file of ROWS rows has 8 kB: 5 of them fit. */
static void test_limit(void **state)
{
	struct kb_unwind_cache *cache = open_cache(5 * (ROWS * 8 + 200));

	for (uint8_t i = 10; i < 15; i++) {
		save(cache, i);
		usleep(20000); /* file times move with the timer */
	}
	assert_true(load(cache, 10));
	usleep(20000);
	save(cache, 15);
	/* 10 was used, so 11 is the one that was not for the longest time. (1 is older still.) */
	assert_true(load(cache, 10));
	assert_false(load(cache, 11));
	assert_true(load(cache, 12));
	assert_true(load(cache, 15));
	assert_int_equal(count_files(), 5);
	kb_unwind_cache__close(cache);
	/* A smaller limit holds at once. */
	cache = open_cache(2 * (ROWS * 8 + 200));
	assert_int_equal(count_files(), 2);
	kb_unwind_cache__close(cache);
}

static void refused(const char *why)
{
	struct kb_unwind_cache *cache = NULL;
	struct kb_error *err = kb_unwind_cache__open(path, 1 << 20, &cache);

	assert_non_null(err);
	assert_null(cache);
	assert_non_null(strstr(kb_error__text(err), why));
	kb_error__destroy(err);
}

static void test_refused(void **state)
{
	char moved[PATH_MAX + 8];

	kb_unwind_cache__close(open_cache(1 << 20));
	assert_int_equal(chmod(path, 0777), 0);
	refused("others");
	assert_int_equal(chmod(path, 0720), 0);
	refused("others");
	assert_int_equal(chmod(path, 0700), 0);
	if (!geteuid()) {
		assert_int_equal(chown(path, 12345, 12345), 0);
		refused("another user");
		assert_int_equal(chown(path, 0, 0), 0);
	}
	snprintf(moved, sizeof(moved), "%s.moved", path);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(symlink(moved, path), 0);
	refused("cannot open directory");
	unlink(path);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	refused(path);
	unlink(path);
	assert_int_equal(rename(moved, path), 0);
	kb_unwind_cache__close(open_cache(1 << 20));
}

static void test_default_path(void **state)
{
	char text[PATH_MAX];

	if (!geteuid()) {
		assert_true(kb_unwind_cache__default_path(text));
		assert_string_equal(text, "/var/cache/keelback/unwind");
		return;
	}
	setenv("XDG_CACHE_HOME", "/xdg", 1);
	assert_true(kb_unwind_cache__default_path(text));
	assert_string_equal(text, "/xdg/keelback/unwind");
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", "/home/me", 1);
	assert_true(kb_unwind_cache__default_path(text));
	assert_string_equal(text, "/home/me/.cache/keelback/unwind");
	unsetenv("HOME");
	assert_false(kb_unwind_cache__default_path(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_limit),	     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_default_path),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
