// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdint.h>
#include "base/text.h"
#include "tui/cells.h"

#define COMBINING_MAX 2	     /* on one character: more is no writing */
#define TEXT_MAX      100000 /* characters looked at in one text */

/* A character as it is shown, and its cells: 0 for one that combines, -1 for one that is not shown.
 */
static int cells_of(uint32_t *cp, bool ascii)
{
	int width;

	if (*cp < 0x80 && kb_text__is_printable(*cp))
		return 1;
	/* Joiners and what chooses the look of a character: terminals disagree about their effect.
	 */
	if ((*cp >= 0x200b && *cp <= 0x200d) || (*cp >= 0xfe00 && *cp <= 0xfe0f) ||
	    (*cp >= 0xe0000 && *cp <= 0xe0fff))
		return -1;
	if (ascii) {
		*cp = '?';
		return 1;
	}
	width = kb_text__is_printable(*cp) ? wcwidth((wchar_t)*cp) : -1;
	if (width < 0) {
		*cp = KB_TEXT_REPLACEMENT;
		return 1;
	}
	return width;
}

/* The next character that is shown; 0 at the end. */
static uint32_t next_shown(const char **text, bool ascii, int *cells)
{
	uint32_t cp;

	do {
		cp = kb_text__next(text);
		if (!cp)
			return 0;
		*cells = cells_of(&cp, ascii);
	} while (*cells < 0);
	return cp;
}

int kb_cells__width(const char *text, bool ascii)
{
	int width = 0, cells;

	for (int n = 0; n < TEXT_MAX && next_shown(&text, ascii, &cells); n++)
		width += cells;
	return width;
}

/* From the beginning, as much as fits. */
static int take(const char *text, int width, bool ascii, wchar_t *out, size_t *n)
{
	int used = 0, combined = 0, cells;
	uint32_t cp;

	while ((cp = next_shown(&text, ascii, &cells))) {
		if (used + cells > width)
			break;
		combined = cells ? 0 : combined + 1;
		/* One with nothing before it to combine with would join our own text. */
		if (combined > COMBINING_MAX || (!cells && !used))
			continue;
		used += cells;
		out[(*n)++] = (wchar_t)cp;
	}
	return used;
}

static void put_ellipsis(bool ascii, wchar_t *out, size_t *n)
{
	out[(*n)++] = ascii ? L'~' : L'\u2026';
}

int kb_cells__fit(const char *text, int width, enum kb_cut cut, bool ascii, wchar_t *out)
{
	int whole = kb_cells__width(text, ascii), used = 0, skipped = 0, cells = 0;
	size_t n = 0;

	if (width > KB_CELLS_MAX)
		width = KB_CELLS_MAX;
	if (width > 0 && whole <= width) {
		used = take(text, width, ascii, out, &n);
	} else if (width > 0 && cut == KB_CUT_END) {
		used = take(text, width - 1, ascii, out, &n) + 1;
		put_ellipsis(ascii, out, &n);
	} else if (width > 0) {
		put_ellipsis(ascii, out, &n);
		while (whole - skipped > width - 1 && next_shown(&text, ascii, &cells))
			skipped += cells;
		used = take(text, width - 1, ascii, out, &n) + 1;
	}
	out[n] = 0;
	return used;
}
