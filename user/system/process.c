// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "system/process.h"

/* Reads up to size - 1 bytes of a file in /proc/PID; returns their number, -1 when it cannot be
 * read. */
static ssize_t read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	text[0] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

bool kb_process__stat(pid_t pid, struct kb_process_stat *stat)
{
	unsigned long long start;
	char text[1024], *name, *end;
	size_t length;
	int parent;

	/* comm may hold blanks and parentheses: it ends at the last one. */
	if (read_proc(pid, "stat", text, sizeof(text)) <= 0 || !(name = strchr(text, '(')) ||
	    !(end = strrchr(text, ')')))
		return false;
	memset(stat, 0, sizeof(*stat));
	length = end - name - 1;
	if (length >= sizeof(stat->comm))
		length = sizeof(stat->comm) - 1;
	memcpy(stat->comm, name + 1, length);
	if (sscanf(end + 1,
		   " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%llu",
		   &stat->state, &parent, &start) != 3)
		return false;
	stat->pid = pid;
	stat->parent = parent;
	stat->start_ns = start * (1000000000ull / sysconf(_SC_CLK_TCK));
	return true;
}

/* A number of bytes in /proc/PID/status, which has it in kB. */
static uint64_t status_bytes(const char *status, const char *name)
{
	const char *at = strstr(status, name);
	unsigned long long kb = 0;

	if (at)
		sscanf(at + strlen(name), " %llu", &kb);
	return kb * 1024;
}

bool kb_process__memory(pid_t pid, struct kb_process_memory *memory)
{
	char text[4096], *end;
	unsigned long long minor, major;

	if (read_proc(pid, "stat", text, sizeof(text)) <= 0 || !(end = strrchr(text, ')')) ||
	    sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %llu %*u %llu", &minor, &major) != 2 ||
	    read_proc(pid, "status", text, sizeof(text)) <= 0)
		return false;
	*memory = (struct kb_process_memory){ .rss = status_bytes(text, "\nVmRSS:"),
					      .rss_peak = status_bytes(text, "\nVmHWM:"),
					      .minor_faults = minor,
					      .major_faults = major };
	return true;
}

pid_t kb_process__ns_pid(pid_t pid)
{
	char text[4096], *line, *end, *last;

	if (read_proc(pid, "status", text, sizeof(text)) <= 0 || !(line = strstr(text, "\nNSpid:")))
		return pid;
	end = strchr(line + 1, '\n');
	if (end)
		*end = '\0';
	last = strrchr(line, '\t');
	return last && atoi(last + 1) > 0 ? atoi(last + 1) : pid;
}

void kb_process__command(pid_t pid, char *text, size_t size)
{
	ssize_t n = read_proc(pid, "cmdline", text, size);

	if (n <= 0) {
		text[0] = '\0';
		return;
	}
	while (n > 0 && !text[n - 1])
		n--;
	for (ssize_t i = 0; i < n; i++) {
		if (!text[i])
			text[i] = ' ';
	}
}

static bool same_line(const char *a, const char *b, const char *name)
{
	size_t length;

	a = strstr(a, name);
	b = strstr(b, name);
	if (!a || !b)
		return !a && !b;
	length = strcspn(a + 1, "\n") + 1;
	return !strncmp(a, b, length) && (b[length] == '\n' || !b[length]);
}

static ssize_t read_user_namespace(pid_t pid, char *text, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	n = readlink(path, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

bool kb_process__same_rights(pid_t pid)
{
	static const char *const lines[] = {
		"\nUid:",    "\nGid:",	  "\nGroups:",	   "\nCapPrm:",
		"\nCapEff:", "\nCapBnd:", "\nNoNewPrivs:", "\nSeccomp:"
	};
	char ours[4096], theirs[4096];

	if (read_user_namespace(getpid(), ours, sizeof(ours)) <= 0 ||
	    read_user_namespace(pid, theirs, sizeof(theirs)) <= 0 || strcmp(ours, theirs))
		return false;
	/* What a security module says; nothing without one. */
	if (read_proc(getpid(), "attr/current", ours, sizeof(ours)) !=
		    read_proc(pid, "attr/current", theirs, sizeof(theirs)) ||
	    strcmp(ours, theirs))
		return false;
	if (read_proc(getpid(), "status", ours, sizeof(ours)) <= 0 ||
	    read_proc(pid, "status", theirs, sizeof(theirs)) <= 0)
		return false;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (!same_line(ours, theirs, lines[i]))
			return false;
	return true;
}

bool kb_process__may_not_be_read(pid_t pid)
{
	char path[64], byte;
	int fd;
	bool refused;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	refused = fd < 0 || read(fd, &byte, 1) < 0;
	refused = refused && (errno == EACCES || errno == EPERM);
	if (fd >= 0)
		close(fd);
	return refused;
}

struct kb_error *kb_pids__add(struct kb_pids *pids, pid_t pid)
{
	/* Doubled at each power of two. */
	if ((pids->n & (pids->n - 1)) == 0) {
		size_t room = pids->n ? pids->n * 2 : 1;
		pid_t *ids = pids->n < KB_PIDS_MAX ? realloc(pids->ids, room * sizeof(*ids)) : NULL;

		if (!ids)
			return kb_error__no_memory();
		pids->ids = ids;
	}
	pids->ids[pids->n++] = pid;
	return NULL;
}

/* The numeric entries of a directory. */
static struct kb_error *list_numbers(const char *path, struct kb_pids *pids)
{
	struct kb_error *err = NULL;
	struct dirent *entry;
	DIR *dir;

	memset(pids, 0, sizeof(*pids));
	dir = opendir(path);
	if (!dir && (errno == ENOENT || errno == ESRCH))
		return NULL;
	if (!dir)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot list %s", path);
	while (!err && (entry = readdir(dir))) {
		int pid = atoi(entry->d_name);

		if (pid > 0)
			err = kb_pids__add(pids, pid);
	}
	closedir(dir);
	if (err)
		kb_pids__free(pids);
	return err;
}

struct kb_error *kb_process__all(struct kb_pids *pids)
{
	return list_numbers("/proc", pids);
}

struct kb_error *kb_process__threads(pid_t pid, struct kb_pids *pids)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	return list_numbers(path, pids);
}

struct kb_error *kb_pids__copy(const struct kb_pids *from, struct kb_pids *to)
{
	struct kb_error *err = NULL;

	memset(to, 0, sizeof(*to));
	for (size_t i = 0; i < from->n && !err; i++)
		err = kb_pids__add(to, from->ids[i]);
	if (err)
		kb_pids__free(to);
	return err;
}

bool kb_pids__contains(const struct kb_pids *pids, pid_t pid)
{
	for (size_t i = 0; i < pids->n; i++) {
		if (pids->ids[i] == pid)
			return true;
	}
	return false;
}

struct kb_error *kb_process__with_descendants(const pid_t *roots, size_t n, struct kb_pids *pids)
{
	struct kb_process_stat stat;
	struct kb_error *err = NULL;
	struct kb_pids all;
	size_t before;

	memset(pids, 0, sizeof(*pids));
	for (size_t i = 0; i < n && !err; i++)
		err = kb_pids__add(pids, roots[i]);
	if (!err)
		err = kb_process__all(&all);
	if (err)
		return err;
	/* Generation by generation: children mostly, but not always, have higher PIDs. */
	do {
		before = pids->n;
		for (size_t i = 0; i < all.n && !err; i++) {
			if (!kb_pids__contains(pids, all.ids[i]) &&
			    kb_process__stat(all.ids[i], &stat) &&
			    kb_pids__contains(pids, stat.parent))
				err = kb_pids__add(pids, all.ids[i]);
		}
	} while (!err && pids->n > before);
	kb_pids__free(&all);
	if (err)
		kb_pids__free(pids);
	return err;
}

void kb_pids__free(struct kb_pids *pids)
{
	free(pids->ids);
	memset(pids, 0, sizeof(*pids));
}
