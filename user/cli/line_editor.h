/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_LINE_EDITOR_H
#define KB_CLI_LINE_EDITOR_H

#include <stddef.h>

/*
 * Lines from stdin: on a terminal with editing, a history of the session and completion
 * (by libedit), else as they come. There is one, because the library's state is the process's.
 */

/* The n-th word that may stand where `line` ends, before what is typed of it; NULL past the last.
 * A single "" is for file names. */
typedef const char *(*kb_line_words_fn)(const char *line, size_t n);

/* The next line without its end, to be freed; NULL at the end of the input. The prompt goes to
 * stdout. */
char *kb_line_editor__read(const char *prompt, kb_line_words_fn words);

#endif
