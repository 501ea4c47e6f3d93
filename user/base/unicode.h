/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_UNICODE_H
#define KB_BASE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * UTF-8 from the n characters of a Python string as it is stored: 1, 2 or 4
 * bytes each (Latin-1, UCS-2, UCS-4). What is no character (lone surrogates,
 * beyond U+10FFFF, NUL) becomes U+FFFD. cut appends an ellipsis. free() it;
 * NULL: out of memory.
 */
char *kb_unicode__to_utf8(const void *characters, size_t n, unsigned width, bool cut);

#endif
