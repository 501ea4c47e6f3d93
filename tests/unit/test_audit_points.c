// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where audit events pass by, in every interpreter of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/error.h"
#include "python/audit_points.h"
#include "python/method_names.h"
#include "unit/opened_image.h"
#include "unit/pythons.h"

/* Functions: PySys_Audit, sys.audit, and _PySys_Audit from 3.9 on. */
static void check_functions(const struct opened *opened, const struct kb_audit_points *points)
{
	unsigned int seen = 0;

	for (uint32_t i = 0; i < points->n; i++) {
		assert_int_not_equal(points->at[i].kind, KB_AUDIT_AT_USDT);
		assert_int_equal(points->at[i].semaphore_offset, 0);
		seen |= 1u << points->at[i].kind;
	}
	assert_int_equal(
		seen,
		1u << KB_AUDIT_AT_VARARGS | 1u << KB_AUDIT_AT_SYS |
			(opened->info.layout.version_minor >= 9 ? 1u << KB_AUDIT_AT_TSTATE : 0));
	assert_false(points->no_sys);
	assert_false(points->no_tstate);
}

static void check_static(const struct kb_audit_points *points)
{
	assert_true(points->n >= 1);
	for (uint32_t i = 0; i < points->n; i++) {
		assert_int_equal(points->at[i].kind, KB_AUDIT_AT_USDT);
		assert_true(points->at[i].semaphore_offset);
		assert_int_equal(points->at[i].semaphore_offset, points->at[0].semaphore_offset);
	}
}

static void test_points(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons), checked = 0;

	for (size_t i = 0; i < n; i++) {
		struct kb_audit_points points;
		struct kb_audit_layout layout;
		struct opened opened;
		struct kb_error *err;

		open_image(pythons[i].image, &opened);
		err = kb_audit_points__find(opened.elf, &opened.info, &points);
		if (pythons[i].minor < 8) {
			assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
			assert_non_null(strstr(kb_error__text(err), "3.8"));
			kb_error__destroy(err);
			close_image(&opened);
			continue;
		}
		assert_null(err);
		if (pythons[i].pyenv)
			check_functions(&opened, &points);
		else
			check_static(&points);
		kb_audit_points__layout(opened.elf, &opened.info, &layout);
		assert_true(layout.none && layout.true_object && layout.false_object &&
			    layout.float_type && layout.code_type);
		close_image(&opened);
		checked++;
	}
	assert_true(checked);
}

/* The function that symbols name is the one that is found without them. */
static void test_function_without_symbol(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons);

	for (size_t i = 0; i < n; i++) {
		struct kb_elf_symbol symbol = {};
		struct opened opened;
		uint64_t found;

		if (pythons[i].minor < 9)
			continue;
		open_image(pythons[i].image, &opened);
		found = kb_audit_points__tstate_function(opened.elf);
		if (kb_elf_file__symbol(opened.elf, "_PySys_Audit", &symbol))
			assert_int_equal(found, symbol.address);
		else
			assert_true(found);
		close_image(&opened);
	}
}

/* The stack is as deep as the prologue has made it. */
static void test_stack_depth(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons);

	for (size_t i = 0; i < n; i++) {
		struct kb_audit_points points;
		struct kb_elf_symbol symbol;
		struct opened opened;
		uint64_t depth;

		if (!pythons[i].pyenv || pythons[i].minor < 8)
			continue;
		open_image(pythons[i].image, &opened);
		assert_null(kb_audit_points__find(opened.elf, &opened.info, &points));
		assert_true(kb_elf_file__symbol(opened.elf, "PySys_Audit", &symbol));
		assert_true(kb_audit_points__stack_depth(opened.elf, symbol.address, symbol.address,
							 &depth));
		assert_int_equal(depth, 0);
		assert_int_equal(points.at[0].kind, KB_AUDIT_AT_VARARGS);
		assert_true(kb_audit_points__stack_depth(opened.elf, symbol.address,
							 points.at[0].address, &depth));
		assert_int_equal(depth, points.at[0].detail);
		assert_int_equal(depth % 8, 0);
		print_message("3.%u: probe %u bytes into PySys_Audit, stack %u deep\n",
			      pythons[i].minor, (unsigned)(points.at[0].address - symbol.address),
			      (unsigned)depth);
		close_image(&opened);
	}
}

#if defined(__x86_64__)
static void test_operands(void **state)
{
	static const struct {
		const char *text;
		uint64_t operand;
	} good[] = {
		{ "%rax", KB_AUDIT_OPERAND(KB_AUDIT_REGISTER, 0, 0) },
		{ "%r13", KB_AUDIT_OPERAND(KB_AUDIT_REGISTER, 13, 0) },
		{ "-8(%rbp)", KB_AUDIT_OPERAND(KB_AUDIT_MEMORY, 6, -8) },
		{ "(%rsp)", KB_AUDIT_OPERAND(KB_AUDIT_MEMORY, 7, 0) },
		{ "4096(%rsp)", KB_AUDIT_OPERAND(KB_AUDIT_MEMORY, 7, 4096) },
	};
	static const char *const bad[] = {
		"",	 "%eax",	"$5",	       "%xmm0", "%r13d", "8(%rip)", "8(%rax,%rbx)",
		"%rax ", "foo+8(%rax)", "70000(%rax)", "%",	"rax"
	};
	uint64_t operand;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(kb_audit_points__operand(good[i].text, &operand));
		assert_int_equal(operand, good[i].operand);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (kb_audit_points__operand(bad[i], &operand))
			fail_msg("'%s' is taken", bad[i]);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_function_without_symbol),
		cmocka_unit_test(test_stack_depth),
#if defined(__x86_64__)
		cmocka_unit_test(test_operands),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
