// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Names of instructions. That the table is right is tested with the interpreters: test_opcodes.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "keelback/profile.h"
#include "python/opcode.h"
#include "python/layout.h"

static void test_names(void **state)
{
	assert_string_equal(kb_opcode__name(6, 1), "POP_TOP");
	assert_string_equal(kb_opcode__name(10, 144), "EXTENDED_ARG");
	assert_string_equal(kb_opcode__name(11, 0), "CACHE");
	assert_string_equal(kb_opcode__name(14, 255), "ENTER_EXECUTOR");
	assert_null(kb_opcode__name(6, 0));
	assert_null(kb_opcode__name(6, 255));
	assert_null(kb_opcode__name(6, 256));
	assert_null(kb_opcode__name(5, 1));
	assert_null(kb_opcode__name(99, 1));
	assert_int_equal(kb_opcode__number(12, "RESUME"), 151);
	assert_int_equal(kb_opcode__number(6, "RESUME"), -1);
	assert_int_equal(kb_opcode__number(99, "RESUME"), -1);
}

static void test_bases(void **state)
{
	int slot = kb_opcode__number(13, "LOAD_ATTR_SLOT"), line;

	assert_string_equal(kb_opcode__base(13, (unsigned)slot), "LOAD_ATTR");
	slot = kb_opcode__number(12, "INSTRUMENTED_RESUME");
	assert_string_equal(kb_opcode__base(12, (unsigned)slot), "RESUME");
	line = kb_opcode__number(12, "INSTRUMENTED_LINE");
	assert_string_equal(kb_opcode__base(12, (unsigned)line), "INSTRUMENTED_LINE");
	assert_string_equal(kb_opcode__base(6, 1), "POP_TOP");
	assert_null(kb_opcode__base(6, 255));
	assert_string_equal(kb_opcode__base_of("LOAD_ATTR_SLOT"), "LOAD_ATTR");
	assert_string_equal(kb_opcode__base_of("LOAD_ATTR"), "LOAD_ATTR");
	assert_string_equal(kb_opcode__base_of("PRECALL_BOUND_METHOD"), "PRECALL");
	assert_string_equal(kb_opcode__base_of("<17>"), "<17>");
	assert_string_equal(kb_opcode__base_of(""), "");
}

/* What allows kb_opcode__base_of() to do without the version. */
static void test_bases_are_the_same_in_all_versions(void **state)
{
	unsigned specialized = 0;

	for (unsigned minor = KB_PYTHON_MINOR_MIN; minor <= KB_PYTHON_MINOR_MAX; minor++)
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			const char *name = kb_opcode__name(minor, opcode);
			const char *base = kb_opcode__base(minor, opcode);

			assert_int_equal(name == NULL, base == NULL);
			if (!name || !strcmp(name, base))
				continue;
			specialized++;
			assert_string_equal(kb_opcode__base_of(name), base);
			/* What it stands for stands for itself. */
			assert_string_equal(kb_opcode__base_of(base), base);
		}
	assert_true(specialized > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bases),
		cmocka_unit_test(test_bases_are_the_same_in_all_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
