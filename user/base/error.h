/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_ERROR_H
#define KB_BASE_ERROR_H

#include <stdarg.h>
#include "keelback/error.h"

/* Making errors. The convention is described in keelback/error.h. */

struct kb_error *kb_error__create(enum kb_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3), warn_unused_result, returns_nonnull));

/* `text: strerror(errnum)`. */
struct kb_error *kb_error__from_errno(int errnum, enum kb_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4), warn_unused_result, returns_nonnull));

/* Puts `text: ` before the error's own text and keeps its status; consumes err. NULL stays NULL. */
struct kb_error *kb_error__prefix(struct kb_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3), warn_unused_result));

/* The first of two things that were done whatever became of the other: err when there is one, else
 * then. Consumes both. */
struct kb_error *kb_error__first(struct kb_error *err, struct kb_error *then)
	__attribute__((warn_unused_result));

/* The static out-of-memory error. */
struct kb_error *kb_error__no_memory(void) __attribute__((warn_unused_result, returns_nonnull));

#define kb_failed(...)	    kb_error__create(KB_STATUS_FAILED, __VA_ARGS__)
#define kb_usage(...)	    kb_error__create(KB_STATUS_USAGE, __VA_ARGS__)
#define kb_unsupported(...) kb_error__create(KB_STATUS_UNSUPPORTED, __VA_ARGS__)

/* Returns the error of expr to the caller, when there is one. */
#define KB_TRY(expr)                                                                               \
	do {                                                                                       \
		struct kb_error *kb_try_err_ = (expr);                                             \
		if (kb_try_err_)                                                                   \
			return kb_try_err_;                                                        \
	} while (0)

#endif
