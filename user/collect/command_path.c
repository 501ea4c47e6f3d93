// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "collect/command_path.h"

#define SHEBANGS_MAX 4 /* as the kernel follows them (fs/exec.c) */

static bool find_in_path(const char *command, char *path)
{
	const char *dirs = getenv("PATH"), *end;

	if (strchr(command, '/')) {
		snprintf(path, PATH_MAX, "%s", command);
		return !access(path, X_OK);
	}
	for (dirs = dirs ? dirs : "/bin:/usr/bin"; *dirs; dirs = *end ? end + 1 : end) {
		end = strchrnul(dirs, ':');
		if (snprintf(path, PATH_MAX, "%.*s/%s", (int)(end - dirs), dirs, command) <
			    PATH_MAX &&
		    !access(path, X_OK))
			return true;
	}
	return false;
}

/* The command of a #! line, `env NAME` taken as NAME. False: the file is no script. */
static bool read_shebang(const char *path, char *command, size_t size)
{
	char line[256] = "", *word, *save = NULL;
	FILE *file = fopen(path, "re");
	bool script;

	script = file && fgets(line, sizeof(line), file) && !strncmp(line, "#!", 2);
	if (file)
		fclose(file);
	word = script ? strtok_r(line + 2, " \t\n", &save) : NULL;
	if (word && strlen(word) > 4 && !strcmp(word + strlen(word) - 4, "/env"))
		word = strtok_r(NULL, " \t\n", &save);
	if (!word)
		return false;
	snprintf(command, size, "%s", word);
	return true;
}

bool kb_command_path__executable(const char *command, char *path)
{
	char next[PATH_MAX];

	snprintf(next, sizeof(next), "%s", command);
	for (int i = 0; i <= SHEBANGS_MAX; i++) {
		if (!find_in_path(next, path))
			return false;
		if (!read_shebang(path, next, sizeof(next)))
			return true;
	}
	return false;
}
