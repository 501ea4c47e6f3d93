/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_JSON_OUT_H
#define KB_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * JSON as a stream, for documents of millions of values that no tree of objects
 * should hold. The caller opens and closes in pairs; commas are put by what came
 * before. name is the member's key, a literal of ours, or NULL in an array and at
 * the top. Text may be a target's (see base/text.h). Errors are the stream's
 * (ferror).
 */
struct kb_json_out {
	FILE *stream;
	bool comma; /* before the next value */
};

/* The opening bracket: '{' or '['. */
void kb_json_out__open(struct kb_json_out *out, const char *name, char bracket);
void kb_json_out__close(struct kb_json_out *out, char bracket);

/* The same for a member whose key is text of any origin. */
void kb_json_out__open_keyed(struct kb_json_out *out, const char *key, char bracket);

/* For a value that the caller writes itself: comma and key. */
void kb_json_out__begin(struct kb_json_out *out, const char *name);
void kb_json_out__text(struct kb_json_out *out, const char *name, const char *text);
void kb_json_out__textf(struct kb_json_out *out, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void kb_json_out__uint(struct kb_json_out *out, const char *name, uint64_t value);
void kb_json_out__int(struct kb_json_out *out, const char *name, int64_t value);
/* 15 significant digits; what JSON has no number for is 0. */
void kb_json_out__real(struct kb_json_out *out, const char *name, double value);
/* With so many decimals. */
void kb_json_out__fixed(struct kb_json_out *out, const char *name, double value, int decimals);
void kb_json_out__bool(struct kb_json_out *out, const char *name, bool value);
void kb_json_out__null(struct kb_json_out *out, const char *name);
/* An index into a table; null for UINT32_MAX, which is none. */
void kb_json_out__index(struct kb_json_out *out, const char *name, uint32_t index);
/* Nanoseconds as milliseconds, every digit. */
void kb_json_out__ms(struct kb_json_out *out, const char *name, uint64_t ns);

/* A line end: between values of one document, or after the last for one of several. */
void kb_json_out__line(struct kb_json_out *out);

#endif
