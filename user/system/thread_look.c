// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "system/thread_look.h"

#define STATUS_BYTES 4096 /* a kernel with all options writes some 1,500 */

static bool read_file(pid_t pid, pid_t tid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static bool read_status(pid_t pid, pid_t tid, struct kb_thread_look *look)
{
	char text[STATUS_BYTES], *state;

	if (!read_file(pid, tid, "status", text, sizeof(text)) ||
	    !(state = strstr(text, "\nState:\t")))
		return false;
	sscanf(text, "Name:\t%15[^\n]", look->name);
	look->state = state[8];
	look->switches = field(text, "\nvoluntary_ctxt_switches:\t") +
			 field(text, "\nnonvoluntary_ctxt_switches:\t");
	return true;
}

/*
 * The file says "running", or "-1 SP PC" for a thread that waits outside a system call (a page
 * fault), or "NUMBER ARGUMENTS SP PC". Where it cannot be read (a kernel without it), the state
 * alone has to do.
 */
static bool is_off_cpu(pid_t pid, pid_t tid, struct kb_thread_look *look)
{
	char text[256], *at;

	if (!read_file(pid, tid, "syscall", text, sizeof(text)))
		return true;
	if (!strncmp(text, "running", 7))
		return false;
	at = strrchr(text, ' ');
	if (at) {
		look->program_counter = strtoull(at + 1, NULL, 16);
		*at = '\0';
		at = strrchr(text, ' ');
		look->stack_pointer = at ? strtoull(at + 1, NULL, 16) : 0;
	}
	return true;
}

void kb_thread_look__take(pid_t pid, pid_t tid, struct kb_thread_look *look)
{
	struct kb_thread_look before = {};

	memset(look, 0, sizeof(*look));
	if (!read_status(pid, tid, &before) || !is_off_cpu(pid, tid, look) ||
	    !read_status(pid, tid, look)) {
		look->state = before.state;
		memcpy(look->name, before.name, sizeof(look->name));
		return;
	}
	/* Stopped by somebody else (T, t) is as good. */
	look->asleep = before.state != 'R' && look->state != 'R' && look->state != 'Z' &&
		       look->state != 'X' && before.switches == look->switches;
}

bool kb_thread_look__slept(const struct kb_thread_look *before, const struct kb_thread_look *after)
{
	return before->asleep && after->asleep && before->switches == after->switches;
}
