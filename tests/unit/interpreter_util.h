/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TESTS_UNIT_INTERPRETER_UTIL_H
#define KB_TESTS_UNIT_INTERPRETER_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/error.h"
#include "python/interpreter.h"

/* Looking at processes, where an error fails the test. */
static inline void find_in(struct kb_image_cache *cache, pid_t pid, bool *found,
			   struct kb_interpreter *interp)
{
	struct kb_error *err;

	*found = false;
	err = kb_interpreter__find(cache, pid, found, interp);
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static inline void validate(pid_t pid, const struct kb_interpreter *interp)
{
	struct kb_error *err = kb_interpreter__validate(pid, interp);

	if (err)
		fail_msg("%s", kb_error__text(err));
}

#endif
