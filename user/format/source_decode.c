// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Python's source encodings: UTF-8, or what a comment in the first two lines declares (PEP 263).
 * Only encodings of the table below are converted, by iconv(3): the declaration comes from
 * the target, and iconv loads code by its name.
 */
#include <ctype.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "format/source.h"

#define ENCODING_MAX 32
#define TAB_COLUMNS  8 /* as Python's tokenizer */

/* Python's name with `-` for `_`, in lower case, as iconv knows it; NULL: as it stands. */
static const struct {
	const char *python, *iconv;
} encodings[] = {
	{ "latin-1", "iso-8859-1" },
	{ "latin1", "iso-8859-1" },
	{ "iso8859-1", "iso-8859-1" },
	{ "iso-latin-1", "iso-8859-1" },
	{ "iso-8859-1", NULL },
	{ "iso-8859-2", NULL },
	{ "iso-8859-5", NULL },
	{ "iso-8859-7", NULL },
	{ "iso-8859-9", NULL },
	{ "iso-8859-15", NULL },
	{ "latin-9", "iso-8859-15" },
	{ "cp1250", NULL },
	{ "cp1251", NULL },
	{ "cp1252", NULL },
	{ "windows-1250", NULL },
	{ "windows-1251", NULL },
	{ "windows-1252", NULL },
	{ "cp437", NULL },
	{ "cp850", NULL },
	{ "koi8-r", NULL },
	{ "koi8-u", NULL },
	{ "shift-jis", "shift_jis" },
	{ "sjis", "shift_jis" },
	{ "cp932", NULL },
	{ "euc-jp", NULL },
	{ "euc-kr", NULL },
	{ "cp949", NULL },
	{ "gb2312", NULL },
	{ "gbk", NULL },
	{ "gb18030", NULL },
	{ "big5", NULL },
};

static const char *end_of_line(const char *at, const char *end)
{
	while (at < end && *at != '\n' && *at != '\r')
		at++;
	return at;
}

static const char *next_line(const char *line_end, const char *end)
{
	if (line_end < end && *line_end == '\r' && line_end + 1 < end && line_end[1] == '\n')
		return line_end + 2;
	return line_end < end ? line_end + 1 : end;
}

/* The text in a line that begins where a comment may. */
static bool is_comment_or_blank(const char *at, const char *end, bool *comment)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\f'))
		at++;
	*comment = at < end && *at == '#';
	return at == end || *comment;
}

/* The encoding that a comment declares: "coding", ":" or "=", the name. */
static bool find_declaration(const char *at, const char *end, char name[ENCODING_MAX])
{
	size_t n = 0;

	for (; at + 7 < end; at++) {
		if (memcmp(at, "coding", 6) || (at[6] != ':' && at[6] != '='))
			continue;
		for (at += 7; at < end && (*at == ' ' || *at == '\t'); at++)
			;
		for (; at < end && n < ENCODING_MAX - 1; at++) {
			if (!isalnum((unsigned char)*at) && !strchr("-_.", *at))
				break;
			name[n++] = *at == '_' ? '-' : (char)tolower((unsigned char)*at);
		}
		name[n] = 0;
		return n > 0;
	}
	return false;
}

/* "" for UTF-8. */
static void find_encoding(const char *bytes, const char *end, char name[ENCODING_MAX])
{
	const char *at = bytes;

	for (int line = 0; line < 2 && at < end; line++) {
		const char *line_end = end_of_line(at, end);
		bool comment;

		if (!is_comment_or_blank(at, line_end, &comment))
			break;
		if (comment && find_declaration(at, line_end, name)) {
			if (!strncmp(name, "utf-8", 5) || !strcmp(name, "utf8") ||
			    !strcmp(name, "ascii") || !strcmp(name, "us-ascii"))
				*name = 0;
			return;
		}
		at = next_line(line_end, end);
	}
	*name = 0;
}

static const char *iconv_name(const char *python)
{
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
		if (!strcmp(encodings[i].python, python))
			return encodings[i].iconv ?: encodings[i].python;
	return NULL;
}

/* What is no character of the encoding becomes U+FFFD. NULL: no memory. */
static char *convert(iconv_t state, const char *bytes, size_t size, size_t *converted)
{
	size_t left = size, room = size * 4 + 4; /* no character takes more than 4 bytes of UTF-8 */
	char *text = malloc(room + 1), *out = text, *in = (char *)bytes;

	if (!text)
		return NULL;
	while (left) {
		if (iconv(state, &in, &left, &out, &room) != (size_t)-1)
			break;
		if (!left || room < 4)
			break;
		memcpy(out, "\xef\xbf\xbd", 3);
		out += 3;
		room -= 3;
		in++;
		left--;
	}
	*out = 0;
	*converted = (size_t)(out - text);
	return text;
}

/* ---------------------------------------------------------------- lines */

/* Writes one line and returns how many characters it had. */
static void write_line(FILE *stream, const char *at, const char *end)
{
	size_t column = 0;

	while (at < end && column < KB_SOURCE_LINE_MAX) {
		size_t n = 1;

		if (*at == '\t') {
			do
				putc(' ', stream);
			while (++column % TAB_COLUMNS);
			at++;
			continue;
		}
		while (at + n < end && ((unsigned char)at[n] & 0xc0) == 0x80)
			n++;
		/* A zero would end the line. */
		if (*at)
			fwrite(at, 1, n, stream);
		else
			fputs("\xef\xbf\xbd", stream);
		at += n;
		column++;
	}
	fputs(at < end ? "…" : "", stream);
}

static char *copy_line(const char *at, const char *end)
{
	char *line = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&line, &size);

	if (!stream)
		return NULL;
	write_line(stream, at, end);
	if (fclose(stream)) {
		free(line);
		return NULL;
	}
	return line;
}

static struct kb_error *split(const char *text, const char *end, struct kb_source *source)
{
	size_t n = 1;

	for (const char *at = text; at < end; at++)
		n += *at == '\n' || *at == '\r';
	source->lines = calloc(n, sizeof(*source->lines));
	if (!source->lines)
		return kb_error__no_memory();
	while (text < end) {
		const char *line_end = end_of_line(text, end);
		char *line = copy_line(text, line_end);

		if (!line)
			return kb_error__no_memory();
		source->bytes += strlen(line);
		source->lines[source->n_lines++] = line;
		text = next_line(line_end, end);
	}
	return NULL;
}

struct kb_error *kb_source__decode(const char *bytes, size_t size, struct kb_source *source)
{
	char declared[ENCODING_MAX] = "", *text;
	const char *name;
	struct kb_error *err;
	iconv_t state = (iconv_t)-1;

	if (size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) {
		bytes += 3;
		size -= 3;
	} else {
		find_encoding(bytes, bytes + size, declared);
	}
	name = *declared ? iconv_name(declared) : NULL;
	if (name)
		state = iconv_open("UTF-8", name);
	if (state == (iconv_t)-1) {
		if (*declared)
			snprintf(source->note, sizeof(source->note),
				 "shown as UTF-8: its encoding, %s, is not known here", declared);
		return split(bytes, bytes + size, source);
	}
	text = convert(state, bytes, size, &size);
	iconv_close(state);
	if (!text)
		return kb_error__no_memory();
	err = split(text, text + size, source);
	free(text);
	return err;
}

void kb_source__free(struct kb_source *source)
{
	for (uint32_t i = 0; i < source->n_lines; i++)
		free(source->lines[i]);
	free(source->lines);
	*source = (struct kb_source){};
}
