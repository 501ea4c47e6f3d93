// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/text.h"
#include "format/xml.h"

static const char *entity(uint32_t code_point)
{
	switch (code_point) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;"; /* "]]>" must not appear in content */
	case '"':
		return "&quot;";
	case '\'':
		return "&apos;";
	default:
		return NULL;
	}
}

void kb_xml__write(FILE *stream, const char *text)
{
	uint32_t cp;

	while ((cp = kb_text__next(&text))) {
		const char *name = entity(cp);
		char bytes[4];

		if (name) {
			fputs(name, stream);
			continue;
		}
		if (!kb_text__is_printable(cp))
			cp = KB_TEXT_REPLACEMENT;
		fwrite(bytes, 1, kb_text__encode(cp, bytes), stream);
	}
}

void kb_xml__attribute(FILE *stream, const char *name, const char *text)
{
	fprintf(stream, " %s=\"", name);
	kb_xml__write(stream, text);
	putc('"', stream);
}
