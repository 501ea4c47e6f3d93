/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TESTS_UNIT_PYTHONS_H
#define KB_TESTS_UNIT_PYTHONS_H

/*
 * The interpreters of this machine, for tests that read real files and real
 * processes: pyenv's, the system's, and those in the root file systems that
 * scripts/python-matrix.sh makes (these can be run by root only).
 */
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PYTHONS_MAX 32

struct python {
	unsigned int minor;
	bool pyenv;	      /* has symbols and debug information */
	char root[256];	      /* "" or of its root file system */
	char path[PATH_MAX];  /* of the executable, in that root */
	char image[PATH_MAX]; /* of the file that holds the interpreter, from here */
};

static inline void pythons__add(struct python *pythons, size_t *n, const char *root,
				const char *path, bool pyenv)
{
	struct python *python = &pythons[*n];
	const char *name = strrchr(path, '/') + 1;
	char pattern[PATH_MAX];
	unsigned int minor;
	glob_t library;
	int end = 0;

	if (*n == PYTHONS_MAX || sscanf(name, "python3.%u%n", &minor, &end) != 1 || name[end])
		return;
	memset(python, 0, sizeof(*python));
	python->minor = minor;
	python->pyenv = pyenv;
	snprintf(python->root, sizeof(python->root), "%s", root);
	snprintf(python->path, sizeof(python->path), "%s", path + strlen(root));
	snprintf(python->image, sizeof(python->image), "%s", path);
	snprintf(pattern, sizeof(pattern), "%.*s/../lib/libpython3.%u*.so.1.0",
		 (int)(name - path - 1), path, minor);
	if (pyenv && !glob(pattern, 0, NULL, &library)) {
		if (!realpath(library.gl_pathv[0], python->image))
			python->image[0] = '\0';
		globfree(&library);
	}
	(*n)++;
}

static inline void pythons__glob(struct python *pythons, size_t *n, const char *root,
				 const char *pattern, bool pyenv)
{
	glob_t paths;

	if (glob(pattern, 0, NULL, &paths))
		return;
	for (size_t i = 0; i < paths.gl_pathc; i++)
		pythons__add(pythons, n, root, paths.gl_pathv[i], pyenv);
	globfree(&paths);
}

static inline size_t pythons__find(struct python pythons[PYTHONS_MAX])
{
	static const char *const suites[] = { "trixie", "sid" };
	const char *pyenv = getenv("PYENV_ROOT"), *home = getenv("HOME");
	const char *cache = getenv("KEELBACK_CACHE");
	char pattern[512], root[256];
	size_t n = 0;

	if (pyenv)
		snprintf(pattern, sizeof(pattern), "%s/versions/3.*/bin/python3.*", pyenv);
	else
		snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.*/bin/python3.*",
			 home ? home : "");
	pythons__glob(pythons, &n, "", pattern, true);
	pythons__glob(pythons, &n, "", "/usr/bin/python3.*", false);
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		snprintf(root, sizeof(root), "%s/rootfs/%s", cache ? cache : "/var/cache/keelback",
			 suites[i]);
		snprintf(pattern, sizeof(pattern), "%s/usr/bin/python3.*", root);
		pythons__glob(pythons, &n, root, pattern, false);
	}
	return n;
}

/* Whether we may run it: chroot needs root. */
static inline bool python__runs(const struct python *python)
{
	return !python->root[0] || !geteuid();
}

/*
 * Runs a script, which must print a line when it is where the test wants it. Returns the
 * PID after that, -1 when the interpreter does not start. The process dies with us.
 */
static inline pid_t python__spawn(const struct python *python, const char *script)
{
	int ready[2];
	char byte = 0;
	pid_t pid;
	bool ok;

	if (pipe2(ready, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], STDOUT_FILENO);
		if (!python->root[0] || (!chroot(python->root) && !chdir("/")))
			execl(python->path, python->path, "-B", "-S", "-E", "-u", "-c", script,
			      (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	/* To the end of the line: some versions write that apart. */
	do
		ok = pid > 0 && read(ready[0], &byte, 1) == 1;
	while (ok && byte != '\n');
	close(ready[0]);
	if (pid > 0 && !ok) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ok ? pid : -1;
}

static inline void python__kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#endif
