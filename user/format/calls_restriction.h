/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CALLS_RESTRICTION_H
#define KB_FORMAT_CALLS_RESTRICTION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "keelback/error.h"

/* A restriction as Python's profile browser reads it: int(), else float(), else a regular
 * expression. */
struct kb_calls_restriction {
	enum { KB_RESTRICT_COUNT, KB_RESTRICT_FRACTION, KB_RESTRICT_PATTERN } kind;
	int64_t count; /* one that does not fit is as large as can be */
	double fraction;
	const char *pattern; /* the text that was parsed */
};

/* An error for fractions that are not from 0 to 1; whether a pattern is one is not looked at. */
struct kb_error *kb_calls_restriction__parse(const char *text,
					     struct kb_calls_restriction *restriction);
/* As Python's repr() writes it. */
void kb_calls_restriction__repr(const struct kb_calls_restriction *restriction, FILE *stream);

#endif
