// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "cli/browser.h"
#include "cli/report.h"

#define OPENER "xdg-open"
/* Some browsers stay in the foreground: after this long it is taken to have worked. */
#define WAIT_MS 3000
#define STEP_MS 20
/* Exit statuses of the child before it has become xdg-open; those of xdg-open are 1 to 4. */
#define STATUS_NOT_FOUND 127
#define STATUS_NOT_RUN	 126
#define STATUS_NO_TOOL	 3 /* xdg-open(1): a required tool could not be found */

/* The user who called sudo, when we are root; NULL: nobody else. */
static const struct passwd *calling_user(void)
{
	const char *text = getenv("SUDO_UID");
	char *end;
	unsigned long uid;

	if (geteuid() != 0 || !text || !*text)
		return NULL;
	uid = strtoul(text, &end, 10);
	return *end || !uid || uid >= (uid_t)-1 ? NULL : getpwuid((uid_t)uid);
}

/* A browser must not run as root, and finds its session by the user's environment. */
static bool become(const struct passwd *user)
{
	char directory[64];

	snprintf(directory, sizeof(directory), "/run/user/%u", user->pw_uid);
	return !initgroups(user->pw_name, user->pw_gid) && !setgid(user->pw_gid) &&
	       !setuid(user->pw_uid) && !setenv("HOME", user->pw_dir, 1) &&
	       !setenv("USER", user->pw_name, 1) && !setenv("LOGNAME", user->pw_name, 1) &&
	       !setenv("XDG_RUNTIME_DIR", directory, 0);
}

static void run(const struct passwd *user, const char *path)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		_exit(STATUS_NOT_RUN);
	/* Nothing that ends us shall end the browser. */
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (user && !become(user))
		_exit(STATUS_NOT_RUN);
	execlp(OPENER, OPENER, path, (char *)NULL);
	_exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN);
}

/* Its exit status, or 0 where it still runs. */
static int await(pid_t pid)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
	int status;

	for (int waited = 0; waited < WAIT_MS; waited += STEP_MS) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_NOT_RUN;
		nanosleep(&step, NULL);
	}
	return 0;
}

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

static const char *reason(int status)
{
	static char text[64];

	if (status == STATUS_NOT_FOUND)
		return OPENER " is not installed (xdg-utils)";
	if (status == STATUS_NOT_RUN)
		return OPENER " cannot be run";
	if (!is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY"))
		return "there is no graphical session (neither DISPLAY nor WAYLAND_DISPLAY)";
	if (status == STATUS_NO_TOOL)
		return OPENER " knows no browser";
	snprintf(text, sizeof(text), OPENER " ended with status %d", status);
	return text;
}

void kb_browser__open(const char *path)
{
	const struct passwd *user = calling_user();
	char *full = realpath(path, NULL);
	int status = STATUS_NOT_RUN;
	pid_t pid = -1;

	if (full)
		pid = fork();
	if (pid == 0)
		run(user, full);
	if (pid > 0)
		status = await(pid);
	if (status)
		kb_say("warning: '%s' is written, but cannot be opened in a browser: %s", path,
		       reason(status));
	free(full);
}
