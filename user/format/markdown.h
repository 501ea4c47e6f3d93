/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_MARKDOWN_H
#define KB_FORMAT_MARKDOWN_H

#include <stdint.h>
#include <stdio.h>

/*
 * Text of any origin in GitHub's Markdown (GFM 0.29), which GitLab's follows. In code nothing is
 * interpreted: no links, no mentions of people, no HTML.
 */
#define KB_MARKDOWN_CODE_MAX 120 /* characters; longer ones end in an ellipsis */

/* A code span, good for a cell of a table. Empty text is written as "?". */
void kb_markdown__write_code(FILE *stream, const char *text);
/* The same of "file:line", without the line for 0. */
void kb_markdown__write_place(FILE *stream, const char *file, int32_t line);
/* Ordinary text: every character that could mean something is escaped. */
void kb_markdown__write_text(FILE *stream, const char *text);
/* A line within a block of code that kb_markdown__fence() begins and ends: three backticks in a
 * row do not occur in it. */
void kb_markdown__fence(FILE *stream);
void kb_markdown__write_fenced(FILE *stream, const char *text);

#endif
