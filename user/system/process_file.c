// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "system/process_file.h"

/* NGROUPS_MAX is 65,536, but who has that many? Of more, the rest is left out: less may be read. */
#define GROUPS_MAX 256

static int open_directory(pid_t pid, const char *link)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, link);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Below a directory; links in a working directory must stay there, for its root is not known. */
static int open_below(int directory, const char *name, int flags)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.resolve =
			RESOLVE_NO_MAGICLINKS | (*name == '/' ? RESOLVE_IN_ROOT : RESOLVE_BENEATH),
	};

	return (int)syscall(SYS_openat2, directory, name, &how, sizeof(how));
}

int kb_process_file__open(pid_t pid, const char *name, int flags)
{
	int directory = open_directory(pid, *name == '/' ? "root" : "cwd"), fd, err;

	if (directory < 0)
		return -1;
	fd = open_below(directory, name, flags);
	err = errno;
	close(directory);
	errno = err;
	return fd;
}

/* ---------------------------------------------------------------- with the rights of another */

struct rights {
	uid_t user;
	gid_t group;
	gid_t groups[GROUPS_MAX];
	size_t n_groups;
};

/* Those with which a process opens files: the fourth of its user and group ids. */
static bool read_rights(pid_t pid, struct rights *rights)
{
	bool user = false, group = false;
	char path[64], *line = NULL;
	size_t capacity = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (getline(&line, &capacity, file) > 0) {
		user |= sscanf(line, "Uid: %*u %*u %*u %u", &rights->user) == 1;
		group |= sscanf(line, "Gid: %*u %*u %*u %u", &rights->group) == 1;
		if (strncmp(line, "Groups:", 7))
			continue;
		for (char *at = line + 7, *end; rights->n_groups < GROUPS_MAX; at = end) {
			unsigned long id = strtoul(at, &end, 10);

			if (end == at)
				break;
			rights->groups[rights->n_groups++] = (gid_t)id;
		}
	}
	free(line);
	fclose(file);
	return user && group;
}

/* Of this thread alone: the C library would change all of them. */
static bool set_groups(const gid_t *groups, size_t n)
{
	return syscall(SYS_setgroups, n, groups) == 0;
}

/* setfsuid() drops CAP_DAC_OVERRIDE and its like when it leaves 0, and tells nothing: asked again,
 * it answers with what is set. */
static bool take_rights(const struct rights *rights)
{
	setfsgid(rights->group);
	setfsuid(rights->user);
	return (gid_t)setfsgid((gid_t)-1) == rights->group &&
	       (uid_t)setfsuid((uid_t)-1) == rights->user;
}

/* Opens a path only (O_PATH) first, which says what the file is without waking it. */
static int open_regular(int directory, const char *name, int *fd)
{
	struct stat st;
	char path[64];
	int found = open_below(directory, name, O_PATH), err = found < 0 ? errno : 0;

	if (!err && (fstat(found, &st) || !S_ISREG(st.st_mode)))
		err = EINVAL;
	if (!err) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", found);
		*fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		err = *fd < 0 ? errno : 0;
	}
	if (found >= 0)
		close(found);
	return err;
}

static int open_regular_as(const struct rights *rights, int directory, const char *name, int *fd)
{
	gid_t own[GROUPS_MAX];
	int n = getgroups(GROUPS_MAX, own), err;

	if (n < 0 || !set_groups(rights->groups, rights->n_groups))
		return EPERM;
	err = take_rights(rights) ? open_regular(directory, name, fd) : EPERM;
	setfsuid(geteuid());
	setfsgid(getegid());
	set_groups(own, (size_t)n);
	return err;
}

static int open_of(pid_t pid, const char *name, int *fd)
{
	struct rights rights = {};
	int directory, err;

	/* What a process is allowed is asked before its root, which we alone may see. */
	if (!read_rights(pid, &rights))
		return ESRCH;
	directory = open_directory(pid, *name == '/' ? "root" : "cwd");
	if (directory < 0)
		return errno;
	if (geteuid() == 0 && rights.user != 0)
		err = open_regular_as(&rights, directory, name, fd);
	else
		err = open_regular(directory, name, fd);
	close(directory);
	return err;
}

/* Our own files: any link may lead to them. */
static int open_own(const char *name, int *fd)
{
	struct stat st;

	if (stat(name, &st))
		return errno;
	if (!S_ISREG(st.st_mode))
		return EINVAL;
	*fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return *fd < 0 ? errno : 0;
}

/* ---------------------------------------------------------------- reading */

/* May grow or shrink meanwhile. */
static int read_all(int fd, size_t max, char **bytes, size_t *size, struct stat *st)
{
	size_t capacity, used = 0;
	ssize_t n = 0;
	char *text;

	if (fstat(fd, st))
		return errno;
	if (!S_ISREG(st->st_mode))
		return EINVAL;
	if ((uint64_t)st->st_size > max)
		return EFBIG;
	capacity = (size_t)st->st_size;
	text = malloc(capacity + 1);
	if (!text)
		return ENOMEM;
	while (used < capacity && (n = read(fd, text + used, capacity - used)) > 0)
		used += (size_t)n;
	if (n < 0) {
		free(text);
		return errno;
	}
	text[used] = 0;
	*bytes = text;
	*size = used;
	return 0;
}

int kb_process_file__read(pid_t pid, const char *name, size_t max, char **bytes, size_t *size,
			  struct stat *st)
{
	int fd = -1, err = pid ? open_of(pid, name, &fd) : open_own(name, &fd);

	if (err)
		return err;
	err = read_all(fd, max, bytes, size, st);
	close(fd);
	return err;
}
