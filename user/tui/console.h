/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_CONSOLE_H
#define KB_TUI_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

/*
 * Where a command that is run under the live view writes to, since the screen
 * is taken: a terminal of its own, so that it writes line by line as it would
 * on ours, whose last lines are kept, or a file. It reads nothing.
 *
 * Of control sequences only line ends, returns, backspaces and tabs have an effect; all others are
 * dropped, so that nothing of them reaches our terminal.
 */
#define KB_CONSOLE_LINES 1000 /* kept */
#define KB_CONSOLE_BYTES 1000 /* of a line */

struct kb_console {
	int stdio[3]; /* for kb_target_opts */
	int master;   /* to read from, -1 without */
	bool to_file;

	char *lines[KB_CONSOLE_LINES]; /* a ring; NULL: an empty line */
	uint64_t n_lines;	       /* complete ones, since the beginning */
	char line[KB_CONSOLE_BYTES + 1];
	size_t size;
	bool returned; /* the next character begins the line anew */
	int state;     /* of a control sequence */
};

/* path: the file to write to, or NULL. */
struct kb_error *kb_console__open(const char *path, struct kb_console **console);
void kb_console__destroy(struct kb_console *console);
/* The command runs and has its own copies of stdio. */
void kb_console__started(struct kb_console *console);
/* Takes what is there. False: there will be no more. */
bool kb_console__read(struct kb_console *console);

/* For tests and read(): bytes as the command wrote them. */
void kb_console__feed(struct kb_console *console, const char *bytes, size_t size);
/* Lines that can be shown, the unfinished one included. */
uint32_t kb_console__count(const struct kb_console *console);
/* 0 is the oldest that is kept. Text as the command wrote it, for kb_screen__put(). */
const char *kb_console__line(const struct kb_console *console, uint32_t index);

/* The screen is free again: copies to stdout what the command goes on writing, until it ends. */
void kb_console__pass_on(struct kb_console *console, pid_t command);

#endif
