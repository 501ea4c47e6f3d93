// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which instructions functions begin and end with, and lines start with. That the places are those
 * of interpreters is tested with them: test_calls_function.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/error.h"
#include "python/code_places.h"
#include "python/opcode.h"
#include "python/remote_search.h"

#define UNITS_MAX 64

struct code {
	struct kb_code_bytes code;
	uint8_t bytes[UNITS_MAX * 2];
};

static void begin(struct code *code, unsigned minor, enum kb_linetable_kind linetable)
{
	memset(code, 0, sizeof(*code));
	code->code.minor = minor;
	code->code.linetable = linetable;
	code->code.bytes = code->bytes;
}

static void add(struct code *code, const char *name, uint8_t oparg)
{
	int number = kb_opcode__number(code->code.minor, name);

	assert_true(number >= 0);
	code->bytes[code->code.units * 2] = number;
	code->bytes[code->code.units++ * 2 + 1] = oparg;
}

/* Inline caches hold anything: here what looks like a return. */
static void add_caches(struct code *code, unsigned n)
{
	while (n--)
		add(code, "RETURN_VALUE", 0);
}

static void test_entry_is_first_resume(void **state)
{
	const char *reason;
	struct code code;
	uint32_t unit;

	/* A generator with a cell: the RESUME behind its yield is no beginning. */
	begin(&code, 12, KB_LINETABLE_LOCATION);
	add(&code, "COPY_FREE_VARS", 1);
	add(&code, "RETURN_GENERATOR", 0);
	add(&code, "POP_TOP", 0);
	add(&code, "RESUME", 0);
	add(&code, "YIELD_VALUE", 1);
	add(&code, "RESUME", 1);
	assert_true(kb_code_places__entry(&code.code, &unit, &reason));
	assert_int_equal(unit, 3);
	/* Under monitoring, and specialized. */
	code.bytes[6] = kb_opcode__number(12, "INSTRUMENTED_RESUME");
	assert_true(kb_code_places__entry(&code.code, &unit, &reason));
	assert_int_equal(unit, 3);
	/* Replaced. */
	code.bytes[6] = kb_opcode__number(12, "INSTRUMENTED_LINE");
	assert_false(kb_code_places__entry(&code.code, &unit, &reason));
	assert_non_null(strstr(reason, "not known"));

	/* 3.15: what creates a generator begins with another RESUME, with a cache behind it. */
	begin(&code, 15, KB_LINETABLE_LOCATION);
	add(&code, "RESUME", 4);
	add_caches(&code, 1);
	add(&code, "RETURN_GENERATOR", 0);
	add(&code, "POP_TOP", 0);
	add(&code, "RESUME_CHECK", 0);
	assert_true(kb_code_places__entry(&code.code, &unit, &reason));
	assert_int_equal(unit, 4);
}

static void test_entry_that_is_a_loop(void **state)
{
	const char *reason;
	struct code code;
	uint32_t unit;

	for (unsigned minor = 6; minor <= 10; minor++) {
		begin(&code, minor, KB_LINETABLE_LNOTAB);
		add(&code, "LOAD_GLOBAL", 0);
		add(&code, "POP_TOP", 0);
		add(&code, "JUMP_ABSOLUTE", minor == 10 ? 1 : 2);
		assert_true(kb_code_places__entry(&code.code, &unit, &reason));
		assert_int_equal(unit, 0);
		code.bytes[5] = 0;
		assert_false(kb_code_places__entry(&code.code, &unit, &reason));
		assert_non_null(strstr(reason, "loop"));
	}
}

static void test_exits(void **state)
{
	uint32_t units[2];
	struct code code;

	begin(&code, 13, KB_LINETABLE_LOCATION);
	add(&code, "RESUME", 0);
	add(&code, "LOAD_GLOBAL_MODULE", 0);
	add_caches(&code, 4);
	add(&code, "TO_BOOL", 0);
	add_caches(&code, 3);
	add(&code, "EXTENDED_ARG", 1);
	add(&code, "RETURN_CONST", 0);
	add(&code, "RETURN_VALUE", 0);
	add(&code, "INSTRUMENTED_RETURN_VALUE", 0);
	assert_int_equal(kb_code_places__exits(&code.code, units, 2), 3);
	assert_int_equal(units[0], 11);
	assert_int_equal(units[1], 12);
	/* An instruction that hides another one: how long it is is not known. */
	code.bytes[2] = kb_opcode__number(13, "ENTER_EXECUTOR");
	assert_int_equal(kb_code_places__exits(&code.code, units, 2), 0);
}

/* Runs of co_lnotab: bytes forward, lines forward. */
static uint32_t places_of_line(const struct code *code, const uint8_t *lnotab, uint32_t bytes,
			       int32_t line, uint32_t *units)
{
	struct kb_remote_code info = { .lines = (uint8_t *)lnotab,
				       .lines_bytes = bytes,
				       .first_line = 10 };

	return kb_code_places__line(&code->code, &info, line, units, 4);
}

static void test_lines(void **state)
{
	/* 10: for: GET_ITER, FOR_ITER, STORE_FAST; 11: body, jump back; 12: return */
	static const uint8_t lnotab[] = { 8, 1, 6, 1 };
	uint32_t units[4];
	struct code code;

	begin(&code, 8, KB_LINETABLE_LNOTAB);
	add(&code, "LOAD_FAST", 0);
	add(&code, "GET_ITER", 0);
	add(&code, "FOR_ITER", 8);
	add(&code, "STORE_FAST", 1);
	add(&code, "LOAD_FAST", 1);
	add(&code, "POP_TOP", 0);
	add(&code, "JUMP_ABSOLUTE", 4);
	add(&code, "LOAD_CONST", 0);
	add(&code, "RETURN_VALUE", 0);
	assert_int_equal(places_of_line(&code, lnotab, sizeof(lnotab), 10, units), 1);
	assert_int_equal(units[0], 2);
	assert_int_equal(places_of_line(&code, lnotab, sizeof(lnotab), 11, units), 1);
	assert_int_equal(units[0], 4);
	assert_int_equal(places_of_line(&code, lnotab, sizeof(lnotab), 12, units), 1);
	assert_int_equal(units[0], 7);
	assert_int_equal(places_of_line(&code, lnotab, sizeof(lnotab), 13, units), 0);
	/* A loop in one line is one execution of it. */
	code.bytes[13] = 8;
	assert_int_equal(places_of_line(&code, lnotab, sizeof(lnotab), 11, units), 1);
	assert_int_equal(units[0], 4);
}

/* Whatever a process has in its memory. */
static void test_any_bytes(void **state)
{
	uint32_t units[4], seed = 1;
	const char *reason;
	struct code code;

	for (int round = 0; round < 20000; round++) {
		begin(&code, 6 + round % 10, round % 3);
		for (size_t i = 0; i < sizeof(code.bytes); i++)
			code.bytes[i] = (seed = seed * 1664525 + 1013904223) >> 24;
		code.code.units = round % UNITS_MAX;
		kb_code_places__entry(&code.code, units, &reason);
		kb_code_places__exits(&code.code, units, 4);
		places_of_line(&code, code.bytes, sizeof(code.bytes), 10 + round % 7, units);
	}
}

static void test_names(void **state)
{
	static const char *const wrong[] = { "", "work", ":work", "main:", "x.py:0" };
	struct kb_remote_name name;

	assert_null(kb_remote_name__parse("a.b:C.d", &name));
	assert_string_equal(name.module, "a.b");
	assert_string_equal(name.qualname, "C.d");
	assert_null(name.file);
	kb_remote_name__free(&name);
	assert_null(kb_remote_name__parse("dir/x:y.py:12", &name));
	assert_string_equal(name.file, "dir/x:y.py");
	assert_int_equal(name.line, 12);
	kb_remote_name__free(&name);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct kb_error *err = kb_remote_name__parse(wrong[i], &name);

		assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
		kb_error__destroy(err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_is_first_resume),
		cmocka_unit_test(test_entry_that_is_a_loop),
		cmocka_unit_test(test_exits),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
