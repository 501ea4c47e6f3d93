// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/unicode.h"

#define REPLACEMENT 0xfffd
#define ELLIPSIS    0x2026
#define BYTES_MAX   4 /* of one character */

static char *put(char *out, uint32_t c)
{
	if (!c || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		c = REPLACEMENT;
	if (c < 0x80) {
		*out++ = c;
	} else if (c < 0x800) {
		*out++ = 0xc0 | c >> 6;
		*out++ = 0x80 | (c & 63);
	} else if (c < 0x10000) {
		*out++ = 0xe0 | c >> 12;
		*out++ = 0x80 | (c >> 6 & 63);
		*out++ = 0x80 | (c & 63);
	} else {
		*out++ = 0xf0 | c >> 18;
		*out++ = 0x80 | (c >> 12 & 63);
		*out++ = 0x80 | (c >> 6 & 63);
		*out++ = 0x80 | (c & 63);
	}
	return out;
}

char *kb_unicode__to_utf8(const void *characters, size_t n, unsigned width, bool cut)
{
	char *text = malloc((n + 1) * BYTES_MAX + 1), *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		uint32_t c = 0;

		memcpy(&c, (const char *)characters + i * width, width); /* little-endian */
		out = put(out, c);
	}
	if (cut)
		out = put(out, ELLIPSIS);
	*out = '\0';
	return text;
}
