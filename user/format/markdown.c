// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "format/markdown.h"

#define ELLIPSIS 0x2026

static void put(FILE *stream, uint32_t code_point)
{
	char bytes[4];

	fwrite(bytes, 1, kb_text__encode(code_point, bytes), stream);
}

static void repeat(FILE *stream, char c, unsigned n)
{
	while (n--)
		putc(c, stream);
}

/* Of the part that is shown. */
static unsigned longest_run(const char *text, char wanted)
{
	unsigned longest = 0, run = 0;

	for (int i = 0; *text && i < KB_MARKDOWN_CODE_MAX; i++) {
		run = kb_text__next(&text) == (uint32_t)wanted ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	return longest;
}

/* The fence is longer than any run of backticks within, and a space parts them, which is not shown
 * (GFM 6.3). A `|` would end the cell (GFM 4.10). */
void kb_markdown__write_code(FILE *stream, const char *text)
{
	unsigned fence, n = 0;
	uint32_t cp;
	bool padded;

	if (!*text)
		text = "?";
	fence = longest_run(text, '`') + 1;
	padded = fence > 1 || *text == ' ' || text[strlen(text) - 1] == ' ';
	repeat(stream, '`', fence);
	if (padded)
		putc(' ', stream);
	while ((cp = kb_text__next(&text))) {
		if (n++ == KB_MARKDOWN_CODE_MAX) {
			put(stream, ELLIPSIS);
			break;
		}
		if (cp == '|')
			putc('\\', stream);
		put(stream, kb_text__is_printable(cp) ? cp : KB_TEXT_REPLACEMENT);
	}
	if (padded)
		putc(' ', stream);
	repeat(stream, '`', fence);
}

void kb_markdown__write_place(FILE *stream, const char *file, int32_t line)
{
	char *text = NULL;

	if (line <= 0 || asprintf(&text, "%s:%" PRId32, file, line) < 0)
		text = NULL;
	kb_markdown__write_code(stream, text ?: file);
	free(text);
}

/*
 * As entities, which are never structure (GFM 6.2). What GitHub makes of "@name", "#1" and
 * addresses afterwards is kept away by a character without width.
 */
void kb_markdown__write_text(FILE *stream, const char *text)
{
	uint32_t cp, last = 0;

	for (; (cp = kb_text__next(&text)); last = cp) {
		bool address = cp == '.' && (last == 'w' || last == 'W');

		if (!kb_text__is_printable(cp))
			cp = KB_TEXT_REPLACEMENT;
		if (address || (cp < 0x80 && strchr("!#$&*/:<>@[\\]^_`{|}~", (int)cp)))
			fprintf(stream, "&#%" PRIu32 ";", cp);
		else
			put(stream, cp);
		if (address || cp == '@' || cp == '#' || cp == ':')
			fputs("&#8203;", stream);
	}
}

void kb_markdown__fence(FILE *stream)
{
	fputs("```\n", stream);
}

void kb_markdown__write_fenced(FILE *stream, const char *text)
{
	unsigned run = 0;
	uint32_t cp;

	while ((cp = kb_text__next(&text))) {
		run = cp == '`' ? run + 1 : 0;
		put(stream, run == 3 ? '\'' : kb_text__is_printable(cp) ? cp : KB_TEXT_REPLACEMENT);
		run = run == 3 ? 0 : run;
	}
	putc('\n', stream);
}
