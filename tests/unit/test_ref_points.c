// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where objects are created and destroyed, in every interpreter of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/error.h"
#include "bpf/shared/refs.h"
#include "python/ref_points.h"
#include "unit/opened_image.h"
#include "unit/pythons.h"

static void check_refused(struct kb_error *err, const char *reason)
{
	assert_non_null(err);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	assert_non_null(strstr(kb_error__text(err), reason));
	kb_error__destroy(err);
}

/* No place twice, all of them in the file and with a register that there is. */
static void check_places(const struct opened *opened, const struct kb_ref_points *points)
{
	uint32_t creating = 0;

	for (uint32_t i = 0; i < points->n; i++) {
		const struct kb_ref_point *at = &points->at[i];
		uint64_t offset;

		assert_true(kb_elf_file__offset_of(opened->elf, at->address, &offset));
		assert_int_equal(at->offset, offset);
		assert_in_range(KB_REF_COOKIE_NUMBER(at->cookie), 0, 15);
		creating += !KB_REF_COOKIE_DESTROYS(at->cookie);
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(points->at[j].address, at->address);
	}
	assert_int_equal(creating, points->creating);
	assert_int_equal(points->not_understood, 0);
}

/* The functions, and what the eval loop destroys from 3.11 on. */
static void check_functions(const struct python *python, const struct kb_ref_points *points)
{
	assert_int_equal(points->creating, python->minor < 12 ? 1 : python->minor == 12 ? 2 : 3);
	if (python->minor < 11)
		assert_int_equal(points->n, 2);
	else
		assert_in_range(points->n, 300, 600);
	assert_null(points->no_destructions);
}

static void check_points(const struct python *python, const struct opened *opened,
			 const struct kb_ref_points *points)
{
	check_places(opened, points);
	if (python->pyenv) {
		check_functions(python, points);
	} else if (python->minor < 13) {
		assert_in_range(points->n, 200, 400);
		assert_int_equal(points->creating, points->n);
		assert_non_null(points->no_destructions);
	} else {
		assert_in_range(points->creating, 200, 600);
		assert_in_range(points->n - points->creating, 200, 1000);
		assert_null(points->no_destructions);
	}
}

static void test_points(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons), checked = 0;

	for (size_t i = 0; i < n; i++) {
		struct kb_ref_points points;
		struct opened opened;
		struct kb_error *err;

		open_image(pythons[i].image, &opened);
		err = kb_ref_points__find(opened.elf, &opened.info, &points);
		if (pythons[i].minor < 9) {
			check_refused(err, "before Python 3.9");
		} else {
			assert_null(err);
			check_points(&pythons[i], &opened, &points);
			checked++;
		}
		kb_ref_points__free(&points);
		close_image(&opened);
	}
	if (!checked)
		skip();
}

static void test_free_threaded(void **state)
{
	struct python pythons[PYTHONS_MAX];
	struct kb_ref_points points;
	struct opened opened;

	if (!pythons__find(pythons))
		skip();
	open_image(pythons[0].image, &opened);
	opened.info.free_threaded = true;
	check_refused(kb_ref_points__find(opened.elf, &opened.info, &points), "free-threaded");
	assert_int_equal(points.n, 0);
	close_image(&opened);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_free_threaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
