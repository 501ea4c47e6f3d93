// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/error.h"
#include "system/cgroup.h"

struct kb_error *kb_cgroup__mount(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char buffer[8192];
	bool found = false;

	if (!mounts)
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot read /proc/self/mounts");
	while (!found && getmntent_r(mounts, &entry, buffer, sizeof(buffer))) {
		found = !strcmp(entry.mnt_type, "cgroup2");
		if (found)
			snprintf(path, size, "%s", entry.mnt_dir);
	}
	endmntent(mounts);
	if (!found)
		return kb_unsupported("no cgroup2 file system is mounted here: mount one with "
				      "'mount -t cgroup2 none /mnt' or use --pid or --all");
	return NULL;
}

struct kb_error *kb_cgroup__find(const char *directory, struct kb_cgroup *cgroup)
{
	char mount[PATH_MAX], joined[PATH_MAX * 2 + 2], real[PATH_MAX];
	struct stat status;
	size_t length;

	KB_TRY(kb_cgroup__mount(mount, sizeof(mount)));
	length = strlen(mount);
	snprintf(joined, sizeof(joined), "%s", directory);
	if (strncmp(directory, mount, length) || (directory[length] && directory[length] != '/'))
		snprintf(joined, sizeof(joined), "%s/%s", mount, directory);
	if (!realpath(joined, real) || stat(real, &status) || !S_ISDIR(status.st_mode))
		return kb_usage("no cgroup '%s' below %s", directory, mount);
	if (strncmp(real, mount, length) || (real[length] && real[length] != '/'))
		return kb_usage("'%s' is not below the cgroup2 mount %s", directory, mount);
	cgroup->id = status.st_ino;
	cgroup->level = 0;
	snprintf(cgroup->path, sizeof(cgroup->path), "%s", real[length] ? real + length : "/");
	for (const char *c = cgroup->path; c[0] && c[1]; c++)
		cgroup->level += *c == '/';
	return NULL;
}

bool kb_cgroup__of_pid(pid_t pid, char *path, size_t size)
{
	char name[64], line[KB_CGROUP_PATH_MAX + 64];
	bool found = false;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	file = fopen(name, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, "0::/", 4);
		if (found)
			snprintf(path, size, "%s", line + 3);
	}
	fclose(file);
	return found;
}

bool kb_cgroup__contains(const struct kb_cgroup *cgroup, pid_t pid)
{
	char path[KB_CGROUP_PATH_MAX];
	size_t length = strlen(cgroup->path);

	if (!kb_cgroup__of_pid(pid, path, sizeof(path)))
		return false;
	if (!cgroup->level)
		return true;
	return !strncmp(path, cgroup->path, length) && (!path[length] || path[length] == '/');
}
