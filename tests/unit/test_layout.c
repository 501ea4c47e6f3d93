// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/error.h"
#include "python/debug_offsets.h"
#include "python/layout.h"
#include "python/version.h"
#include "unit/pythons.h"

static struct python pythons[PYTHONS_MAX];
static size_t n_pythons;

/* pyenv's of a minor version; the test is skipped, with a reason, when there is none. */
static const struct python *pyenv_python(unsigned int minor)
{
	for (size_t i = 0; i < n_pythons; i++)
		if (pythons[i].pyenv && pythons[i].minor == minor)
			return &pythons[i];
	print_message("skipped: pyenv has no Python 3.%u\n", minor);
	skip();
	return NULL;
}

static void read_dwarf(const struct python *python, struct kb_layout *layout)
{
	struct kb_elf_file *file;
	int fd = open(python->image, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_null(kb_elf_file__open(fd, &file));
	assert_non_null(file);
	assert_true(kb_layout__from_dwarf(file, python->image, python->minor, layout));
	assert_null(kb_layout__finish(layout));
	kb_elf_file__close(file);
	close(fd);
}

/* The numbers of the layout, for a message that says which one differs. */
static void assert_same(const struct kb_layout *a, const struct kb_layout *b)
{
#define SAME(field)					     assert_int_equal(a->field, b->field)
#define FIELD(name, first, last, dwarf_type, c_type, member) SAME(name);
#include "python/layout_fields.inc.h"
#undef FIELD
	SAME(unicode_kind_shift);
	SAME(frame_size);
	SAME(code_size);
	SAME(skip_owner);
	SAME(flags);
	assert_memory_equal(a, b, sizeof(*a));
}

static void test_table(void **state)
{
	unsigned int minor = *(unsigned int *)*state;
	const struct python *python = pyenv_python(minor);
	struct kb_layout table, dwarf;

	assert_true(kb_layout__from_table(minor, &table));
	assert_null(kb_layout__finish(&table));
	read_dwarf(python, &dwarf);
	assert_same(&table, &dwarf);
}

/* Only 3.6 to 3.12 are in the table: later ones describe themselves. */
static void test_table_ends(void **state)
{
	struct kb_layout layout;

	assert_false(kb_layout__from_table(5, &layout));
	assert_false(kb_layout__from_table(13, &layout));
	assert_false(kb_layout__from_table(4000, &layout));
	for (unsigned int minor = 6; minor <= 12; minor++)
		assert_true(kb_layout__from_table(minor, &layout));
}

static void read_words(const struct python *python, uint64_t words[KB_DEBUG_OFFSETS_WORDS])
{
	struct kb_elf_symbol symbol;
	struct kb_elf_file *file;
	int fd = open(python->image, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_null(kb_elf_file__open(fd, &file));
	assert_non_null(file);
	assert_true(kb_elf_file__symbol(file, "_PyRuntime", &symbol));
	assert_true(kb_elf_file__read(file, symbol.address, words, KB_DEBUG_OFFSETS_WORDS * 8));
	kb_elf_file__close(file);
	close(fd);
}

/* What 3.13 says of itself is what its debug information says. */
static void test_debug_offsets(void **state)
{
	const struct python *python = pyenv_python(13);
	uint64_t words[KB_DEBUG_OFFSETS_WORDS];
	struct kb_layout layout, dwarf;
	uint32_t version;
	bool present;

	read_words(python, words);
	assert_null(kb_debug_offsets__parse(words, &present, &version, &layout));
	assert_true(present);
	assert_int_equal(version >> 16, 0x030d);
	/* Not in the table; image.c decodes it. */
	assert_int_equal(layout.runtime_tss_key, KB_NO_OFFSET);
	read_dwarf(python, &dwarf);
	layout.runtime_tss_key = dwarf.runtime_tss_key;
	assert_null(kb_layout__finish(&layout));
	assert_same(&layout, &dwarf);
}

/* Any word may be anything: it is refused, or what comes out is in bounds. */
static void test_damaged_debug_offsets(void **state)
{
	static const uint64_t values[] = { UINT64_MAX, 1ull << 63, 1u << 24, 0xffff,
					   0x10000,    1000,	   0 };
	const struct python *python = pyenv_python(13);
	uint64_t words[KB_DEBUG_OFFSETS_WORDS], saved;
	unsigned int refused = 0, accepted = 0;
	struct kb_layout layout;
	uint32_t version;
	bool present;

	read_words(python, words);
	for (size_t i = 1; i < KB_DEBUG_OFFSETS_WORDS; i++)
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			struct kb_error *err;

			saved = words[i];
			words[i] = values[j];
			err = kb_debug_offsets__parse(words, &present, &version, &layout);
			if (!err)
				err = kb_layout__finish(&layout);
			if (err) {
				refused++;
				assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
				kb_error__destroy(err);
			} else {
				accepted++;
				assert_true(layout.frame_size <= KB_FRAME_SIZE_MAX);
				assert_true(layout.frame_code + 8 <= layout.frame_size);
				assert_true(layout.code_size <= 512);
			}
			words[i] = saved;
		}
	/* Most words are used and most values are wrong; some words are not used. */
	assert_true(refused > 80);
	assert_true(accepted > 100);
}

static void test_other_debug_offsets(void **state)
{
	uint64_t words[KB_DEBUG_OFFSETS_WORDS] = { 0 };
	struct kb_layout layout;
	struct kb_error *err;
	uint32_t version;
	bool present = true;

	assert_null(kb_debug_offsets__parse(words, &present, &version, &layout));
	assert_false(present);
	memcpy(words, "xdebugpy", 8);
	words[1] = 0x031000f0; /* 3.16.0 */
	err = kb_debug_offsets__parse(words, &present, &version, &layout);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	assert_string_equal(kb_error__text(err), "Python 3.16 is not supported (3.6 to 3.15 are)");
	kb_error__destroy(err);
}

static void test_finish(void **state)
{
	struct kb_layout layout;
	struct kb_error *err;

	assert_true(kb_layout__from_table(11, &layout));
	layout.frame_owner = KB_NO_OFFSET;
	err = kb_layout__finish(&layout);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	assert_non_null(strstr(kb_error__text(err), "_PyInterpreterFrame.owner"));
	kb_error__destroy(err);

	assert_true(kb_layout__from_table(11, &layout));
	layout.frame_code = 200;
	err = kb_layout__finish(&layout);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	kb_error__destroy(err);

	/* Not needed for walking. */
	assert_true(kb_layout__from_table(11, &layout));
	layout.tstate_exc_info = KB_NO_OFFSET;
	layout.runtime_tss_key = KB_NO_OFFSET;
	assert_null(kb_layout__finish(&layout));
}

static void test_traits(void **state)
{
	struct kb_layout layout;

	for (unsigned int minor = 6; minor <= 12; minor++) {
		assert_true(kb_layout__from_table(minor, &layout));
		assert_null(kb_layout__finish(&layout));
		assert_int_equal(layout.version_minor, minor);
		assert_int_equal(layout.lasti_kind, minor >= 11	  ? KB_LASTI_POINTER
						    : minor == 10 ? KB_LASTI_UNITS
								  : KB_LASTI_BYTES);
		assert_int_equal(layout.linetable_kind, minor >= 11   ? KB_LINETABLE_LOCATION
							: minor == 10 ? KB_LINETABLE_RANGES
								      : KB_LINETABLE_LNOTAB);
		assert_int_equal(layout.skip_owner, minor >= 12 ? 3 : 0);
		assert_int_equal(layout.frame_owner == KB_NO_OFFSET, minor < 11);
		assert_int_equal(layout.cframe_current_frame == KB_NO_OFFSET, minor < 11);
		assert_int_equal(layout.runtime_interpreters_head == KB_NO_OFFSET, minor < 7);
		assert_int_equal(layout.runtime_tstate_current == KB_NO_OFFSET,
				 minor < 7 || minor > 11);
		assert_int_equal(layout.unicode_ascii_data, minor >= 12 ? 40 : 48);
		assert_true(layout.frame_size >= layout.frame_instr + 4);
		assert_int_equal(layout.frame_size % 8, 0);
	}
}

static void test_versions(void **state)
{
	static const struct {
		const char *text;
		uint32_t hex;
		const char *shown;
	} good[] = {
		{ "3.9.18", 0x030912f0, "3.9.18" },   { "3.13.0rc2", 0x030d00c2, "3.13.0rc2" },
		{ "3.6.0a4", 0x030600a4, "3.6.0a4" }, { "3.7.0b5", 0x030700b5, "3.7.0b5" },
		{ "3.10.4+", 0x030a04f0, "3.10.4" },  { "2.7.18", 0x020712f0, "2.7.18" },
	};
	static const char *const bad[] = { "",	      "3",	 "3.9",	    "3.9.",	 "3.9.x",
					   "3.9.18 ", "3.123.1", "3.9.18z", "3.9.0rc99", "x3.9.1" };
	char text[32];
	uint32_t hex;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(kb_version__parse(good[i].text, &hex));
		assert_int_equal(hex, good[i].hex);
		kb_version__format(hex, text, sizeof(text));
		assert_string_equal(text, good[i].shown);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(kb_version__parse(bad[i], &hex));
	kb_version__format(0x03060000, text, sizeof(text));
	assert_string_equal(text, "3.6");
}

int main(void)
{
	static unsigned int minors[] = { 6, 7, 8, 9, 10, 11, 12 };
	const struct CMUnitTest tests[] = {
		{ "test_table_3_6", test_table, NULL, NULL, &minors[0] },
		{ "test_table_3_7", test_table, NULL, NULL, &minors[1] },
		{ "test_table_3_8", test_table, NULL, NULL, &minors[2] },
		{ "test_table_3_9", test_table, NULL, NULL, &minors[3] },
		{ "test_table_3_10", test_table, NULL, NULL, &minors[4] },
		{ "test_table_3_11", test_table, NULL, NULL, &minors[5] },
		{ "test_table_3_12", test_table, NULL, NULL, &minors[6] },
		cmocka_unit_test(test_table_ends),
		cmocka_unit_test(test_debug_offsets),
		cmocka_unit_test(test_damaged_debug_offsets),
		cmocka_unit_test(test_other_debug_offsets),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_traits),
		cmocka_unit_test(test_versions),
	};

	n_pythons = pythons__find(pythons);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
