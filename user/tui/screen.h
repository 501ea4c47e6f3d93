/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_SCREEN_H
#define KB_TUI_SCREEN_H

#include <stdbool.h>
#include "base/error.h"
#include "tui/cells.h"

/*
 * The terminal, full screen. All that is drawn goes through kb_screen__put(),
 * which lets nothing unprintable through. There is one screen at a time, since there is one
 * terminal.
 */
enum kb_style {
	KB_STYLE_NORMAL,
	KB_STYLE_DIM,
	KB_STYLE_BOLD,
	KB_STYLE_TITLE,
	KB_STYLE_NUMBER,
	KB_STYLE_GOOD,
	KB_STYLE_WARN,
	KB_STYLE_BAD,
	KB_STYLE_FUNCTION, /* of Python */
	KB_STYLE_NATIVE,
	KB_STYLE_KERNEL,
	KB_STYLE_FILE,
	KB_STYLE_UP,
	KB_STYLE_DOWN,
	KB_STYLE_COLUMNS, /* the line of column names */
	KB_STYLE_SORTED,  /* the name of the column that rows are sorted by */
	KB_STYLE_KEY,	  /* a key in the line of hints */
	KB_STYLES
};

/* Characters that have another form where the terminal shows only ASCII. */
enum kb_symbol {
	KB_SYMBOL_UP,
	KB_SYMBOL_DOWN,
	KB_SYMBOL_BAR,	  /* between parts of a line */
	KB_SYMBOL_RULE,	  /* a horizontal line */
	KB_SYMBOL_CLOSED, /* in front of what can be opened */
	KB_SYMBOL_OPEN,
	KB_SYMBOL_FULL, /* of a bar */
	KB_SYMBOL_LEVEL,
	KB_SYMBOL_LEVELS_END = KB_SYMBOL_LEVEL + 8, /* of a sparkline, 8 heights */
};

struct kb_screen {
	int rows, columns;
	bool ascii, color;
	bool selected; /* what is put is part of the selected row */
};

/* A terminal that is not one, or that cannot do it, is an error. color: where it can. */
struct kb_error *kb_screen__open(bool color, struct kb_screen *screen);
/* Gives the terminal back as it was. Harmless when it is not open. */
void kb_screen__close(void);
/* The same from a signal handler. */
void kb_screen__restore(void);

/* Learns the size; everything is to be drawn anew. */
void kb_screen__begin(struct kb_screen *screen);
/* Shows what was drawn; with a visible cursor where one is set. */
void kb_screen__end(struct kb_screen *screen);
void kb_screen__redraw(void); /* the next end() repaints every cell */
void kb_screen__cursor(int row, int column);

/* UTF-8 into at most `width` cells from there on, which end at the screen's edge. Returns the cells
 * used. */
int kb_screen__put(const struct kb_screen *screen, int row, int column, int width,
		   enum kb_style style, enum kb_cut cut, const char *text);
int kb_screen__print(const struct kb_screen *screen, int row, int column, int width,
		     enum kb_style style, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/* Fills with blanks. */
void kb_screen__fill(const struct kb_screen *screen, int row, int column, int width,
		     enum kb_style style);

const char *kb_screen__symbol(const struct kb_screen *screen, enum kb_symbol symbol);

/*
 * A key, if one was pressed. Characters are what they are; others are
 * KB_KEY_*; KB_KEY_NONE: none waits. KB_KEY_END_OF_INPUT: the terminal has gone.
 */
enum kb_key {
	KB_KEY_NONE = -1,
	KB_KEY_END_OF_INPUT = -2,
	KB_KEY_UP = 0x110000, /* past Unicode */
	KB_KEY_DOWN,
	KB_KEY_LEFT,
	KB_KEY_RIGHT,
	KB_KEY_PAGE_UP,
	KB_KEY_PAGE_DOWN,
	KB_KEY_HOME,
	KB_KEY_END,
	KB_KEY_ENTER,
	KB_KEY_BACKSPACE,
	KB_KEY_DELETE,
	KB_KEY_TAB,
	KB_KEY_BACK_TAB,
	KB_KEY_ESCAPE,
	KB_KEY_HELP,
	KB_KEY_RESIZE,
	KB_KEY_OTHER, /* one that means nothing here */
};
int kb_screen__key(void);

#endif
