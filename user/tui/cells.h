/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_CELLS_H
#define KB_TUI_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

/*
 * Text in the cells of a terminal. What comes from a target may hold anything:
 * only what is printable comes out, and never more cells than asked for, with
 * characters that are two cells wide and such as combine with the one before.
 */
#define KB_CELLS_MAX 512 /* columns of a line; no screen is wider to any use */
/* Characters of a line: each cell with up to two combining ones. */
#define KB_CELLS_CHARS_MAX (3 * KB_CELLS_MAX + 1)

enum kb_cut {
	KB_CUT_END,   /* what is too long loses its end */
	KB_CUT_START, /* its beginning: paths */
};

/* Cells that the whole text takes. ascii: the terminal shows nothing else. */
int kb_cells__width(const char *text, bool ascii);

/*
 * The text as wide characters in at most `width` cells (up to KB_CELLS_MAX), an
 * ellipsis where it was cut. Returns the cells used; out has room for KB_CELLS_CHARS_MAX.
 */
int kb_cells__fit(const char *text, int width, enum kb_cut cut, bool ascii, wchar_t *out);

#endif
