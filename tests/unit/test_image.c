// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include "base/error.h"
#include "python/image.h"
#include "unit/pythons.h"

/* Processor time that analysing an image may take; a whole machine's interpreters are analysed at
 * start. */
#if defined(__SANITIZE_ADDRESS__)
#define READ_MS_MAX 300.0
#else
#define READ_MS_MAX 30.0
#endif

static struct python pythons[PYTHONS_MAX];
static size_t n_pythons;

static struct kb_error *read_path(const char *path, bool *is_python, struct kb_image_info *info)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct kb_error *err;

	assert_true(fd >= 0);
	*is_python = false;
	err = kb_image__read(fd, path, is_python, info);
	close(fd);
	return err;
}

static void read_python(const char *path, struct kb_image_info *info)
{
	bool is_python;
	struct kb_error *err = read_path(path, &is_python, info);

	if (err)
		fail_msg("%s", kb_error__text(err));
	assert_true(is_python);
}

static double cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static double fastest_read(const char *path, struct kb_image_info *info)
{
	double best = 1e9;

	for (int i = 0; i < 3; i++) {
		double start = cpu_ms(), took;

		read_python(path, info);
		took = cpu_ms() - start;
		if (took < best)
			best = took;
	}
	return best;
}

static void check_sane(const struct python *python, const struct kb_image_info *info)
{
	const struct kb_image *image = &info->image;
	unsigned int minor = python->minor;

	assert_int_equal(info->version_hex >> 16, 0x0300 | minor);
	assert_int_equal(info->version_hex >> 4 & 0xf,
			 0xf); /* a release: the micro version is known */
	assert_int_equal(info->layout.version_minor, minor);
	assert_int_equal(image->runtime != 0, minor >= 7);
	assert_true(image->code_type);
	assert_true(image->interp_head);
	assert_int_equal(image->tstate_current != 0, minor <= 11);
	assert_int_equal(image->tss_key != 0, minor <= 14);
	assert_true(image->none);
	assert_int_equal(image->gil != 0, minor <= 11);
	assert_int_equal(image->gil_holder != 0, minor <= 11);
	assert_int_equal(image->gc_collecting != 0, minor <= 8);
	assert_int_equal(info->layout.interp_gil != KB_NO_OFFSET, minor >= 12);
	assert_int_equal(info->layout.interp_gc_collecting != KB_NO_OFFSET, minor >= 9);
	assert_true(info->layout.tstate_exc_info < info->layout.tstate_thread_id);
	assert_true(info->layout.tstate_raised < info->layout.tstate_exc_info);
	assert_in_range(info->layout.gil_bytes, 128, 1024);
	assert_int_equal(image->tstate_tls.kind != KB_TLS_NONE, minor >= 12);
	assert_int_equal(image->gilstate_tls.kind != KB_TLS_NONE, minor >= 15);
	assert_int_equal(info->layout_source, minor >= 13     ? KB_LAYOUT_DEBUG_OFFSETS
					      : python->pyenv ? KB_LAYOUT_DWARF
							      : KB_LAYOUT_BUILT_IN);
	assert_true(info->n_init >= 4);
	for (uint32_t i = 0; i < info->n_init; i++) {
		assert_int_equal(image->init[i], info->init_address[i]);
		assert_true(info->init_offset[i]);
	}
	assert_int_equal(info->build_id_bytes, 20);
	assert_int_equal(info->symbols, python->pyenv);
}

static void test_all(void **state)
{
	static const char *const sources[] = { "debug offsets", "DWARF", "built in" };
	static const char *const kinds[] = { "none", "static", "dynamic", "GOT" };
	struct kb_image_info info;

	if (!n_pythons) {
		print_message("skipped: no Python on this machine\n");
		skip();
	}
	for (size_t i = 0; i < n_pythons; i++) {
		double ms = fastest_read(pythons[i].image, &info);

		print_message("%s: %s, layout %s, TLS %s, %u init functions, %.1f ms\n",
			      pythons[i].image, info.version, sources[info.layout_source],
			      kinds[info.image.tstate_tls.kind], info.n_init, ms);
		check_sane(&pythons[i], &info);
		assert_true(ms < READ_MS_MAX);
	}
}

static void test_minors(void **state)
{
	unsigned int missing = 0;

	for (unsigned int minor = 6; minor <= 15; minor++) {
		bool have = false;

		for (size_t i = 0; i < n_pythons; i++)
			have |= pythons[i].minor == minor;
		if (!have)
			print_message("no Python 3.%u to test with\n", minor);
		missing += !have;
	}
	if (missing) {
		print_message("skipped: %u minor versions are not on this machine\n", missing);
		skip();
	}
}

/* ---------------------------------------------------------------- copies of the files */

static char directory[] = "/tmp/keelback-image-XXXXXX";

static const char *run(const char *format, ...)
{
	static char command[4 * PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0);
	return command;
}

/* The oldest version with each way to the thread state, and what lies between. */
static const struct python *pyenv_python(unsigned int minor)
{
	for (size_t i = 0; i < n_pythons; i++)
		if (pythons[i].pyenv && pythons[i].minor == minor)
			return &pythons[i];
	return NULL;
}

/* 3.6 keeps the GIL and the collector's flag in static variables that only .symtab names. */
static void drop_locals_3_6(struct kb_image_info *whole, const struct kb_image_info *stripped)
{
	assert_int_equal(stripped->image.gil, 0);
	whole->image.gil = whole->image.gil_holder = whole->image.gc_collecting = 0;
	whole->layout.gil_bytes = stripped->layout.gil_bytes;
}

/*
 * A stripped copy under a name that tells nothing yields by decoding what symbols and debug
 * information told: addresses, thread-local variables, version.
 */
static void test_stripped(void **state)
{
	unsigned int tested = 0;

	for (unsigned int minor = 6; minor <= 15; minor++) {
		const struct python *python = pyenv_python(minor);
		struct kb_image_info whole, stripped;
		char path[PATH_MAX];

		if (!python)
			continue;
		snprintf(path, sizeof(path), "%s/program", directory);
		run("strip -o %s %s", path, python->image);
		read_python(python->image, &whole);
		read_python(path, &stripped);
		assert_false(stripped.symbols);
		if (minor == 6)
			drop_locals_3_6(&whole, &stripped);
		assert_int_equal(stripped.layout_source,
				 minor >= 13 ? KB_LAYOUT_DEBUG_OFFSETS : KB_LAYOUT_BUILT_IN);
		assert_memory_equal(&stripped.layout, &whole.layout, sizeof(whole.layout));
		assert_memory_equal(&stripped.image, &whole.image, sizeof(whole.image));
		assert_string_equal(stripped.version, whole.version);
		tested++;
	}
	if (!tested) {
		print_message("skipped: no Python with symbols on this machine\n");
		skip();
	}
}

/* Debug information in a file beside it, found by .gnu_debuglink and used only with the same build
 * id. */
static void test_separate_debug_file(void **state)
{
	const struct python *python = pyenv_python(10), *other = pyenv_python(9);
	struct kb_image_info whole, info;
	char path[PATH_MAX];

	if (!python || !other) {
		print_message("skipped: pyenv has no Python 3.9 and 3.10\n");
		skip();
	}
	snprintf(path, sizeof(path), "%s/linked", directory);
	run("mkdir -p %s/.debug", directory);
	run("objcopy --only-keep-debug %s %s/.debug/linked.debug", python->image, directory);
	run("strip -o %s %s", path, python->image);
	run("objcopy --add-gnu-debuglink=%s/.debug/linked.debug %s", directory, path);
	read_python(python->image, &whole);
	read_python(path, &info);
	assert_int_equal(info.layout_source, KB_LAYOUT_DWARF);
	assert_memory_equal(&info.layout, &whole.layout, sizeof(whole.layout));
	/* That of another build is not believed. */
	run("objcopy --only-keep-debug %s %s/.debug/linked.debug", other->image, directory);
	read_python(path, &info);
	assert_int_equal(info.layout_source, KB_LAYOUT_BUILT_IN);
}

/* ---------------------------------------------------------------- other files */

static void test_not_python(void **state)
{
	static const char *const paths[] = { "/bin/sh", "/proc/self/exe", "/etc/passwd",
					     "/dev/null" };
	struct kb_image_info info;
	bool is_python;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_null(read_path(paths[i], &is_python, &info));
		assert_false(is_python);
	}
}

/* Linked against libpython, which holds the interpreter. */
static void test_thin_executable(void **state)
{
	struct kb_image_info info;
	bool is_python;

	for (size_t i = 0; i < n_pythons; i++)
		if (pythons[i].pyenv && strstr(pythons[i].image, "libpython")) {
			assert_null(read_path(pythons[i].path, &is_python, &info));
			assert_false(is_python);
		}
}

static void test_python_2(void **state)
{
	struct kb_image_info info;
	struct kb_error *err;
	char pattern[PATH_MAX];
	bool is_python;
	glob_t paths;

	snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/2.7.*/lib/libpython2.7.so.1.0",
		 getenv("HOME") ? getenv("HOME") : "");
	if (glob(pattern, 0, NULL, &paths)) {
		print_message("skipped: no Python 2.7\n");
		skip();
	}
	err = read_path(paths.gl_pathv[0], &is_python, &info);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	assert_non_null(strstr(kb_error__text(err), "Python 2.7 is not supported"));
	kb_error__destroy(err);
	globfree(&paths);
}

/* An interpreter's file with bytes of its tables turned over: refused or read, never a crash. */
static void test_damaged(void **state)
{
	const struct python *python = n_pythons ? &pythons[n_pythons - 1] : NULL;
	struct kb_image_info info;
	unsigned int random = 7;
	struct stat st;
	uint8_t *bytes;
	int fd, copy;

	if (!python) {
		print_message("skipped: no Python on this machine\n");
		skip();
		return;
	}
	fd = open(python->image, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc(st.st_size);
	assert_int_equal(read(fd, bytes, st.st_size), st.st_size);
	copy = memfd_create("python", MFD_CLOEXEC);
	assert_int_equal(write(copy, bytes, st.st_size), st.st_size);
	for (int round = 0; round < 60; round++) {
		/* Half of them in what precedes the code: headers, symbols, relocations. */
		size_t span = round & 1 ? (size_t)st.st_size : 0x20000, at[16];
		bool is_python;

		for (int i = 0; i < 16; i++) {
			uint8_t byte = (uint8_t)rand_r(&random);

			at[i] = (size_t)rand_r(&random) % span;
			assert_int_equal(pwrite(copy, &byte, 1, at[i]), 1);
		}
		kb_error__destroy(kb_image__read(copy, "python3.99", &is_python, &info));
		for (int i = 0; i < 16; i++)
			assert_int_equal(pwrite(copy, &bytes[at[i]], 1, at[i]), 1);
	}
	close(copy);
	close(fd);
	free(bytes);
}

static void test_names(void **state)
{
	assert_true(kb_image__plausible_name("/usr/bin/python3.11"));
	assert_true(kb_image__plausible_name("/x/libpython3.6m.so.1.0"));
	assert_true(kb_image__plausible_name("python"));
	assert_false(kb_image__plausible_name("/usr/lib/python3/libssl.so"));
	assert_false(kb_image__plausible_name("/usr/bin/perl"));
}

static int setup(void **state)
{
	n_pythons = pythons__find(pythons);
	return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
	run("rm -rf %s", directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),	   cmocka_unit_test(test_minors),
		cmocka_unit_test(test_stripped),   cmocka_unit_test(test_separate_debug_file),
		cmocka_unit_test(test_not_python), cmocka_unit_test(test_thin_executable),
		cmocka_unit_test(test_python_2),   cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
