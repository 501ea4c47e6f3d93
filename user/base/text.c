// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/text.h"

/* Bytes of the sequence that starts with this byte, 0 when none does; the bounds are those of its
 * second byte. */
static int sequence_length(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef) {
		if (lead == 0xe0)
			*low = 0xa0; /* below is overlong */
		if (lead == 0xed)
			*high = 0x9f; /* above are surrogates */
		return 3;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		if (lead == 0xf0)
			*low = 0x90; /* below is overlong */
		if (lead == 0xf4)
			*high = 0x8f; /* above is past U+10FFFF */
		return 4;
	}
	return 0;
}

uint32_t kb_text__next(const char **text)
{
	static const uint8_t lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	const uint8_t *at = (const uint8_t *)*text;
	uint8_t low, high;
	uint32_t code_point;
	int length;

	if (!*at)
		return 0;
	length = sequence_length(*at, &low, &high);
	if (length > 1 && (at[1] < low || at[1] > high))
		length = 0;
	/* The terminating zero is no continuation byte, so this never reads past it. */
	for (int i = 2; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			length = 0;
	if (!length) {
		(*text)++;
		return KB_TEXT_REPLACEMENT;
	}
	code_point = at[0] & lead_bits[length];
	for (int i = 1; i < length; i++)
		code_point = code_point << 6 | (at[i] & 0x3f);
	*text += length;
	return code_point;
}

bool kb_text__is_printable(uint32_t cp)
{
	if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
		return false;
	if (cp < 0x600)
		return true;
	/* Direction marks, embeddings, overrides and isolates; line and paragraph separator; byte
	 * order mark. */
	return cp != 0x61c && cp != 0x200e && cp != 0x200f && !(cp >= 0x2028 && cp <= 0x202e) &&
	       !(cp >= 0x2066 && cp <= 0x2069) && cp != 0xfeff && (cp & 0xfffe) != 0xfffe;
}

int kb_text__encode(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

static void put(FILE *stream, uint32_t cp)
{
	char bytes[4];

	fwrite(bytes, 1, kb_text__encode(cp, bytes), stream);
}

/* Length of the run at the start that every function here writes as it is, but for the characters
 * in special. */
static size_t plain_run(const char *text, const char *special)
{
	size_t n = 0;

	while (text[n] >= 0x20 && text[n] < 0x7f && !strchr(special, text[n]))
		n++;
	return n;
}

/* Writes the plain run, moves past it and returns the code point after it, or 0. */
static uint32_t next_special(FILE *stream, const char **text, const char *special)
{
	size_t n = plain_run(*text, special);

	fwrite(*text, 1, n, stream);
	*text += n;
	return kb_text__next(text);
}

void kb_text__write(FILE *stream, const char *text)
{
	uint32_t cp;

	while ((cp = next_special(stream, &text, "")))
		put(stream, kb_text__is_printable(cp) ? cp : KB_TEXT_REPLACEMENT);
}

void kb_text__write_field(FILE *stream, const char *text, const char *separators)
{
	uint32_t cp;

	while ((cp = next_special(stream, &text, separators))) {
		bool separator = cp < 0x80 && strchr(separators, (int)cp);

		put(stream, separator || !kb_text__is_printable(cp) ? '_' : cp);
	}
}

void kb_text__write_json(FILE *stream, const char *text)
{
	uint32_t cp;

	putc('"', stream);
	while ((cp = next_special(stream, &text, "\"\\<"))) {
		if (cp == '<') {
			fputs("\\u003c", stream);
			continue;
		}
		if (cp == '"' || cp == '\\')
			putc('\\', stream);
		put(stream, kb_text__is_printable(cp) ? cp : KB_TEXT_REPLACEMENT);
	}
	putc('"', stream);
}

/* Of characters that JSON text may not or should not show: \uXXXX, twice above U+FFFF. */
static void put_escape(FILE *stream, uint32_t cp)
{
	if (cp >= 0x10000)
		fprintf(stream, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
			0xdc00 + (cp & 0x3ff));
	else
		fprintf(stream, "\\u%04x", cp);
}

void kb_text__write_json_data(FILE *stream, const char *text)
{
	uint32_t cp;

	putc('"', stream);
	while ((cp = next_special(stream, &text, "\"\\"))) {
		if (!kb_text__is_printable(cp)) {
			put_escape(stream, cp);
			continue;
		}
		if (cp == '"' || cp == '\\')
			putc('\\', stream);
		put(stream, cp);
	}
	putc('"', stream);
}

size_t kb_text__utf8_size(const char *text)
{
	size_t size = 0;
	char bytes[4];
	uint32_t cp;

	while ((cp = kb_text__next(&text)))
		size += kb_text__encode(cp, bytes);
	return size;
}

void kb_text__write_utf8(FILE *stream, const char *text)
{
	uint32_t cp;

	while ((cp = next_special(stream, &text, "")))
		put(stream, cp);
}
