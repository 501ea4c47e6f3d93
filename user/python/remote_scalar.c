// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* repr() of numbers, strings and bytes. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "python/remote_repr.h"
#include "python/remote_string.h"

#define DIGIT_BITS 30 /* of an int's digit on 64-bit builds: Include/cpython/longintrepr.h */
#define DIGITS_MAX KB_REPR_DIGITS_MAX

#define CHUNK 1000000000u /* what one word of the decimal number counts to */

/* ---------------------------------------------------------------- int */

void kb_repr__decimal(const uint32_t *digits, size_t n, char *text, size_t size)
{
	uint32_t words[DIGITS_MAX * 4 / 3 + 2] = { 0 };
	size_t used = 1, at = 0;

	for (size_t i = n; i-- > 0;) {
		uint64_t carry = digits[i];

		for (size_t j = 0; j < used; j++) {
			carry += (uint64_t)words[j] << DIGIT_BITS;
			words[j] = carry % CHUNK;
			carry /= CHUNK;
		}
		while (carry) {
			words[used++] = carry % CHUNK;
			carry /= CHUNK;
		}
	}
	at += snprintf(text, size, "%" PRIu32, words[used - 1]);
	for (size_t i = used - 1; i-- > 0 && at < size;)
		at += snprintf(text + at, size - at, "%09" PRIu32, words[i]);
}

/* Sign and number of digits. */
static bool int_size(struct kb_repr *r, uint64_t object, bool *negative, uint64_t *n)
{
	const struct kb_object_layout *at = r->remote->objects;
	uint64_t size;

	if (!kb_pages__read_u64(
		    r->remote->pages,
		    object + (at->long_tag != KB_NO_OFFSET ? at->long_tag : at->var_size), &size))
		return false;
	if (at->long_tag != KB_NO_OFFSET) {
		*negative = (size & 3) == 2;
		*n = size >> 3;
	} else {
		*negative = (int64_t)size < 0;
		*n = *negative ? -size : size;
	}
	return true;
}

void kb_repr__int(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type)
{
	uint32_t digits[DIGITS_MAX];
	char text[DIGITS_MAX * 10];
	bool negative;
	uint64_t n;

	if (!int_size(r, object, &negative, &n)) {
		kb_repr__text(r, "<unreadable>");
		return;
	}
	if (n > DIGITS_MAX) {
		kb_repr__format(r, "<%sint of about %" PRIu64 " bits>", negative ? "negative " : "",
				n * DIGIT_BITS);
		return;
	}
	if (!kb_pages__read(r->remote->pages, object + r->remote->objects->long_digits, digits,
			    n * 4)) {
		kb_repr__text(r, "<unreadable>");
		return;
	}
	if (!strcmp(type->name, "bool")) {
		kb_repr__text(r, n && digits[0] ? "True" : "False");
		return;
	}
	kb_repr__decimal(digits, n, text, sizeof(text));
	kb_repr__text(r, negative ? "-" : "");
	kb_repr__text(r, text);
}

/* ---------------------------------------------------------------- float */

/* The fewest digits that read back as the value; an exponent where it is below -4 or above 15. */
void kb_repr__double(double value, char text[32])
{
	char digits[32], *e;
	int precision, exponent;

	if (!isfinite(value)) {
		strcpy(text, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
		return;
	}
	for (precision = 0; precision < 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*e", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	e = strchr(digits, 'e');
	exponent = atoi(e + 1);
	if (exponent < -4 || exponent >= 16) {
		strcpy(text, digits);
		return;
	}
	precision -= exponent;
	snprintf(text, 32, "%.*f", precision > 0 ? precision : 0, value);
	if (precision <= 0)
		strcat(text, ".0");
}

bool kb_repr__float(struct kb_repr *r, uint64_t object)
{
	char text[32];
	double value;

	if (!kb_pages__read(r->remote->pages, object + r->remote->objects->float_value, &value,
			    sizeof(value)))
		return false;
	kb_repr__double(value, text);
	kb_repr__text(r, text);
	return true;
}

/* complex() writes its parts without ".0". */
static void write_part(struct kb_repr *r, double value)
{
	char text[32];
	size_t n;

	kb_repr__double(value, text);
	n = strlen(text);
	if (n > 2 && !strcmp(text + n - 2, ".0"))
		text[n - 2] = '\0';
	kb_repr__text(r, text);
}

bool kb_repr__complex(struct kb_repr *r, uint64_t object)
{
	double value[2];

	if (!kb_pages__read(r->remote->pages, object + r->remote->objects->complex_value, value,
			    sizeof(value)))
		return false;
	if (value[0] == 0 && !signbit(value[0])) {
		write_part(r, value[1]);
		kb_repr__text(r, "j");
		return true;
	}
	kb_repr__text(r, "(");
	write_part(r, value[0]);
	if (!signbit(value[1]) || isnan(value[1]))
		kb_repr__text(r, "+");
	write_part(r, value[1]);
	kb_repr__text(r, "j)");
	return true;
}

/* ---------------------------------------------------------------- text */

/* Latin-1's no-break space and soft hyphen; rarer ones of their kind (Zs, Cf) stay as they are. */
static bool is_invisible(uint32_t c)
{
	return c == 0xa0 || c == 0xad;
}

/* As unicode_repr() in Objects/unicodeobject.c. */
void kb_repr__character(uint32_t c, char quote, char text[KB_REPR_CHARACTER_MAX])
{
	bool surrogate = c >= 0xd800 && c < 0xe000;

	if (c == (uint32_t)quote || c == '\\')
		snprintf(text, KB_REPR_CHARACTER_MAX, "\\%c", (char)c);
	else if (c == '\n')
		strcpy(text, "\\n");
	else if (c == '\r')
		strcpy(text, "\\r");
	else if (c == '\t')
		strcpy(text, "\\t");
	else if (c > 0x10ffff)
		strcpy(text, "?");
	else if (!surrogate && c && kb_text__is_printable(c) && !is_invisible(c))
		text[kb_text__encode(c, text)] = '\0';
	else if (c < 0x100)
		snprintf(text, KB_REPR_CHARACTER_MAX, "\\x%02x", c);
	else if (c < 0x10000)
		snprintf(text, KB_REPR_CHARACTER_MAX, "\\u%04x", c);
	else
		snprintf(text, KB_REPR_CHARACTER_MAX, "\\U%08x", c);
}

static void write_character(struct kb_repr *r, uint32_t c, char quote)
{
	char text[KB_REPR_CHARACTER_MAX];

	kb_repr__character(c, quote, text);
	kb_repr__text(r, text);
}

static uint32_t character(const uint8_t *bytes, uint64_t i, uint32_t width)
{
	uint32_t c = 0;

	memcpy(&c, bytes + i * width, width); /* little-endian */
	return c;
}

/* Double quotes where that saves escaping single ones. */
static char choose_quote(const uint8_t *bytes, uint64_t n, uint32_t width)
{
	bool single = false;

	for (uint64_t i = 0; i < n; i++) {
		uint32_t c = character(bytes, i, width);

		single |= c == '\'';
		if (c == '"')
			return '\'';
	}
	return single ? '"' : '\'';
}

void kb_repr__string(struct kb_repr *r, uint64_t object)
{
	struct kb_remote_string string = {};
	uint64_t n = r->opts->characters;
	uint8_t *bytes = NULL;
	char quote[2] = "";

	if (kb_remote_string__open(r->remote->pages, r->remote->layout, object, &string)) {
		if (n > string.length)
			n = string.length;
		bytes = malloc(n ? n * string.width : 1);
	}
	if (!bytes || !kb_pages__read(r->remote->pages, string.data, bytes, n * string.width)) {
		kb_repr__text(r, "<unreadable>");
		free(bytes);
		return;
	}
	quote[0] = choose_quote(bytes, n, string.width);
	kb_repr__text(r, quote);
	for (uint64_t i = 0; i < n; i++)
		write_character(r, character(bytes, i, string.width), quote[0]);
	kb_repr__text(r, quote);
	if (n < string.length)
		kb_repr__format(r, "... (%" PRIu64 " characters)", string.length);
	free(bytes);
}

void kb_repr__bytes(struct kb_repr *r, uint64_t data, uint64_t size_at)
{
	uint64_t size, n = r->opts->characters;
	uint8_t *bytes = NULL;
	char quote;

	if (kb_pages__read_u64(r->remote->pages, size_at, &size) && size <= INT64_MAX) {
		if (n > size)
			n = size;
		bytes = malloc(n ? n : 1);
	}
	if (!bytes || !kb_pages__read(r->remote->pages, data, bytes, n)) {
		kb_repr__text(r, "<unreadable>");
		free(bytes);
		return;
	}
	quote = choose_quote(bytes, n, 1);
	kb_repr__format(r, "b%c", quote);
	for (uint64_t i = 0; i < n; i++) {
		if (bytes[i] < 0x7f)
			write_character(r, bytes[i], quote);
		else
			kb_repr__format(r, "\\x%02x", bytes[i]);
	}
	kb_repr__format(r, "%c", quote);
	if (n < size)
		kb_repr__format(r, "... (%" PRIu64 " bytes)", size);
	free(bytes);
}

bool kb_repr__bytearray(struct kb_repr *r, uint64_t object)
{
	const struct kb_object_layout *at = r->remote->objects;
	uint64_t start;

	if (!kb_pages__read_u64(r->remote->pages, object + at->bytearray_start, &start))
		return false;
	kb_repr__text(r, "bytearray(");
	kb_repr__bytes(r, start, object + at->var_size);
	kb_repr__text(r, ")");
	return true;
}
