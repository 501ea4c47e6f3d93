// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdbool.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "system/shell_command.h"

/* What begins something else than a program: reserved words and special built-in utilities (POSIX.1
 * XCU 2.4 and 2.14), and those built-ins that act on the shell. */
static const char *const not_programs[] = {
	"!",	 "{",	    "}",      "case",	  "do",	      "done",	  "elif",
	"else",	 "esac",    "fi",     "for",	  "if",	      "in",	  "then",
	"until", "while",   ".",      ":",	  "break",    "continue", "eval",
	"exec",	 "exit",    "export", "readonly", "return",   "set",	  "shift",
	"times", "trap",    "unset",  "alias",	  "bg",	      "cd",	  "command",
	"fg",	 "getopts", "hash",   "jobs",	  "read",     "source",	  "time",
	"type",	 "ulimit",  "umask",  "wait",	  "function", "select",	  "[[",
};

/* NAME=… */
static bool is_assignment(const char *word)
{
	size_t length = 0;

	while (isalnum((unsigned char)word[length]) || word[length] == '_')
		length++;
	return length && !isdigit((unsigned char)*word) && word[length] == '=';
}

static bool is_program(const char *word)
{
	size_t length = strcspn(word, " \t");

	for (size_t i = 0; i < sizeof(not_programs) / sizeof(*not_programs); i++)
		if (strlen(not_programs[i]) == length && !strncmp(word, not_programs[i], length))
			return false;
	return true;
}

/* Operators are looked for in quotes as well: then it is not taken for simple, which is never
 * wrong. */
static bool is_simple(const char *command)
{
	const char *word = command + strspn(command, " \t");

	return *word && !strpbrk(word, ";|&()\n`<>#") && (is_assignment(word) || is_program(word));
}

char *kb_shell_command__with_exec(const char *command)
{
	const char *prefix = "";
	char *text;

	if (is_simple(command))
		prefix = is_assignment(command + strspn(command, " \t")) ? "exec env " : "exec ";
	return asprintf(&text, "%s%s", prefix, command) < 0 ? NULL : text;
}

char *kb_shell_command__program(const char *command)
{
	const char *word = command + strspn(command, " \t");
	size_t length;

	/* What a shell would expand is left to it. */
	if (!is_simple(command) || strpbrk(word, "'\"\\$*?[~"))
		return NULL;
	while (is_assignment(word)) {
		word += strcspn(word, " \t");
		word += strspn(word, " \t");
	}
	length = strcspn(word, " \t");
	return length ? strndup(word, length) : NULL;
}
