/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_CGROUP_H
#define KB_SYSTEM_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"

#define KB_CGROUP_PATH_MAX 4096

/* A cgroup of the v2 hierarchy. */
struct kb_cgroup {
	uint64_t id;	/* what bpf_get_current_ancestor_cgroup_id() gives: the directory's inode */
	unsigned level; /* below the root of the hierarchy */
	char path[KB_CGROUP_PATH_MAX]; /* below the mount, begins with a slash */
};

/* Where cgroup2 is mounted (also beside v1, as /sys/fs/cgroup/unified). KB_STATUS_UNSUPPORTED:
 * nowhere. */
struct kb_error *kb_cgroup__mount(char *path, size_t size);

/* By a directory, absolute or below the cgroup2 mount. */
struct kb_error *kb_cgroup__find(const char *directory, struct kb_cgroup *cgroup);

/* The process's v2 path (begins with a slash). False when it has none. */
bool kb_cgroup__of_pid(pid_t pid, char *path, size_t size);

/* Is the process in the cgroup or below it? */
bool kb_cgroup__contains(const struct kb_cgroup *cgroup, pid_t pid);

#endif
