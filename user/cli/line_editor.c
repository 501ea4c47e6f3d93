// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <editline/readline.h>
#include "cli/line_editor.h"

#define HISTORY_MAX 1000 /* lines */

/* libedit hands completers nothing of their own. */
static kb_line_words_fn words_of;
static const char *typed_before;

/* The next word that begins as typed; state is 0 for the first. */
static char *next_word(const char *typed, int state)
{
	static size_t at;
	const char *word;

	if (!state)
		at = 0;
	while ((word = words_of(typed_before, at++)))
		if (!strncmp(word, typed, strlen(typed)))
			return strdup(word);
	return NULL;
}

static char **complete(const char *typed, int start, int end)
{
	char *before = strndup(rl_line_buffer, (size_t)start);
	const char *first;
	char **matches = NULL;

	rl_attempted_completion_over = 1;
	if (!before)
		return NULL;
	first = words_of(before, 0);
	typed_before = before;
	if (first && !*first)
		rl_attempted_completion_over = 0; /* the default: file names */
	else if (first)
		matches = rl_completion_matches(typed, next_word);
	typed_before = NULL;
	free(before);
	return matches;
}

static char *read_edited(const char *prompt)
{
	static bool started;
	char *line;

	if (!started) {
		started = true;
		setlocale(LC_CTYPE, "");
		rl_readline_name = "keelback";
		rl_attempted_completion_function = complete;
		rl_basic_word_break_characters = " \t\n";
		rl_initialize();
		using_history();
		stifle_history(HISTORY_MAX);
	}
	line = readline(prompt);
	if (line && *line)
		add_history(line);
	return line;
}

static char *read_plain(const char *prompt)
{
	char *line = NULL;
	size_t capacity = 0;
	ssize_t size;

	fputs(prompt, stdout);
	fflush(stdout);
	size = getline(&line, &capacity, stdin);
	if (size < 0) {
		free(line);
		return NULL;
	}
	if (size && line[size - 1] == '\n')
		line[size - 1] = 0;
	return line;
}

char *kb_line_editor__read(const char *prompt, kb_line_words_fn words)
{
	words_of = words;
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return read_edited(prompt);
	return read_plain(prompt);
}
