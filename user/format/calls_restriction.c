// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/regex.h"
#include "base/text.h"
#include "format/calls_restriction.h"
#include "keelback/calls_format.h"

/* Longer numbers are none. */
#define NUMBER_BYTES_MAX 64

/* Digits and signs without the underscores that Python allows between digits; false: there are
 * others, or what only strtod() takes for a number. */
static bool copy_number(const char *text, char copy[NUMBER_BYTES_MAX])
{
	size_t length = 0;

	for (const char *at = text; *at; at++) {
		if (*at == '_' && at > text && isdigit((unsigned char)at[-1]) &&
		    isdigit((unsigned char)at[1]))
			continue;
		if (strchr("xX(_pP", *at) || isspace((unsigned char)*at) ||
		    length + 1 >= NUMBER_BYTES_MAX)
			return false;
		copy[length++] = *at;
	}
	copy[length] = 0;
	return length;
}

static bool parse_integer(const char *text, int64_t *value)
{
	char *end;

	*value = strtoll(text, &end, 10);
	return end != text && !*end;
}

static bool parse_real(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && !*end;
}

struct kb_error *kb_calls_restriction__parse(const char *text,
					     struct kb_calls_restriction *restriction)
{
	struct kb_calls_restriction result = { KB_RESTRICT_PATTERN, .pattern = text };
	char number[NUMBER_BYTES_MAX];

	if (copy_number(text, number)) {
		if (parse_integer(number, &result.count))
			result.kind = KB_RESTRICT_COUNT;
		else if (parse_real(number, &result.fraction))
			result.kind = KB_RESTRICT_FRACTION;
	}
	if (result.kind == KB_RESTRICT_FRACTION && (result.fraction > 1 || result.fraction < 0))
		return kb_usage("'%s': a fraction is from 0 to 1", text);
	*restriction = result;
	return NULL;
}

struct kb_error *kb_calls_restriction__check(const char *text)
{
	struct kb_calls_restriction restriction;
	struct kb_regex *regex;

	KB_TRY(kb_calls_restriction__parse(text, &restriction));
	if (restriction.kind != KB_RESTRICT_PATTERN)
		return NULL;
	KB_TRY(kb_regex__create(text, &regex));
	kb_regex__destroy(regex);
	return NULL;
}

/* The fewest digits that mean the same number. Those below 0.0001 have an exponent in Python, too.
 */
static void write_real(double value, FILE *stream)
{
	char text[NUMBER_BYTES_MAX];
	int digits = 1;

	do
		snprintf(text, sizeof(text), "%.*g", digits, value);
	while (strtod(text, NULL) != value && ++digits <= 17);
	fprintf(stream, "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
}

static void write_character(uint32_t code_point, char quote, FILE *stream)
{
	char bytes[4];

	if (code_point == '\\' || code_point == (uint32_t)quote)
		fprintf(stream, "\\%c", (int)code_point);
	else if (code_point == '\n')
		fputs("\\n", stream);
	else if (code_point == '\t')
		fputs("\\t", stream);
	else if (code_point == '\r')
		fputs("\\r", stream);
	else if (kb_text__is_printable(code_point))
		fwrite(bytes, 1, (size_t)kb_text__encode(code_point, bytes), stream);
	else
		fprintf(stream, code_point < 0x100 ? "\\x%02" PRIx32 : "\\u%04" PRIx32, code_point);
}

void kb_calls_restriction__repr(const struct kb_calls_restriction *restriction, FILE *stream)
{
	const char *text = restriction->pattern;
	char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
	uint32_t code_point;

	switch (restriction->kind) {
	case KB_RESTRICT_COUNT:
		fprintf(stream, "%" PRId64, restriction->count);
		return;
	case KB_RESTRICT_FRACTION:
		write_real(restriction->fraction, stream);
		return;
	case KB_RESTRICT_PATTERN:
		putc(quote, stream);
		while ((code_point = kb_text__next(&text)))
			write_character(code_point, quote, stream);
		putc(quote, stream);
	}
}
