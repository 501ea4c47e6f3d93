/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_ERROR_H
#define KEELBACK_ERROR_H

/*
 * The one error convention: a function that can fail returns `struct kb_error *`,
 * NULL is success, results come back through the last parameters and are left
 * untouched on failure. The caller owns the error and destroys it. Where memory
 * runs out a static error is returned; destroying it is harmless.
 */

#ifdef __cplusplus
extern "C" {
#endif

#ifndef KB_API
#define KB_API __attribute__((visibility("default")))
#endif

/* What an error means to the caller; also the exit status of the program. */
enum kb_status {
	KB_STATUS_OK = 0,
	KB_STATUS_FAILED = 1,	   /* it went wrong */
	KB_STATUS_USAGE = 2,	   /* it was asked wrongly */
	KB_STATUS_REGRESSION = 3,  /* a check found a regression */
	KB_STATUS_UNSUPPORTED = 4, /* not possible here: capability, kernel or interpreter */
};

struct kb_error;

/* One line of text without a newline: what happened and what to do. Valid until the error is
 * destroyed. */
KB_API const char *kb_error__text(const struct kb_error *err);

/* KB_STATUS_OK for NULL. */
KB_API enum kb_status kb_error__status(const struct kb_error *err);

/* NULL is allowed. */
KB_API void kb_error__destroy(struct kb_error *err);

#ifdef __cplusplus
}
#endif
#endif
