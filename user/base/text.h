/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_TEXT_H
#define KB_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Text that comes from a target (function names, file names, command lines) is
 * hostile until proven otherwise: it may hold terminal escapes, newlines,
 * characters that reverse the writing direction, or bytes that are no UTF-8.
 * Every writer sends it through one of these functions. What they write is
 * always valid UTF-8. Errors are the stream's (ferror).
 */

/* What stands in for everything that is not shown. */
#define KB_TEXT_REPLACEMENT 0xfffdu

/*
 * The next code point; moves *text past it. 0 at the end, where *text stays.
 * Each byte that is not part of well-formed UTF-8 (Unicode 15, table 3-7: no
 * overlong forms, no surrogates, nothing above U+10FFFF) gives KB_TEXT_REPLACEMENT.
 */
uint32_t kb_text__next(const char **text);

/* A code point as UTF-8, without a terminating zero; returns the bytes. */
int kb_text__encode(uint32_t code_point, char out[4]);

/* False for controls, for marks that change the writing direction and for line separators. */
bool kb_text__is_printable(uint32_t code_point);

/* For people: what is not printable becomes U+FFFD. */
void kb_text__write(FILE *stream, const char *text);

/* For formats with separators: what is not printable and each ASCII character of separators becomes
 * `_`. */
void kb_text__write_field(FILE *stream, const char *text, const char *separators);

/*
 * A JSON string with its quotes, fit to stand in an HTML script element: what is
 * not printable becomes U+FFFD, `<` is escaped, so neither `</script` nor `<!--`
 * can appear.
 */
void kb_text__write_json(FILE *stream, const char *text);

/*
 * A JSON string with its quotes, for data: nothing is lost but what is not UTF-8.
 * What is not printable is escaped, so the text is safe on a terminal, too.
 */
void kb_text__write_json_data(FILE *stream, const char *text);

/* For binary formats: only what is not UTF-8 is replaced. Size in bytes of what
 * kb_text__write_utf8() writes. */
size_t kb_text__utf8_size(const char *text);
void kb_text__write_utf8(FILE *stream, const char *text);

#endif
