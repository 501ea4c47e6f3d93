/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_REGEX_H
#define KB_BASE_REGEX_H

#include <stdbool.h>
#include "keelback/error.h"

/* Regular expressions as Python's re writes them (by PCRE2, which knows all of them). */
struct kb_regex;

struct kb_error *kb_regex__create(const char *pattern, struct kb_regex **regex);
/* Whether the pattern is somewhere in the text, which is UTF-8. An error when finding out takes too
 * long. */
struct kb_error *kb_regex__search(const struct kb_regex *regex, const char *text, bool *found);
/* NULL is allowed. */
void kb_regex__destroy(struct kb_regex *regex);

#endif
