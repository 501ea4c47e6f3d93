/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_TARGET_H
#define KEELBACK_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "keelback/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What to observe. Exactly one of pids, container, cgroup, all and argv is set.
 * Every options struct starts with its own size, so that it can grow.
 */
struct kb_target_opts {
	size_t size;
	const pid_t *pids; /* host PIDs */
	size_t n_pids;
	bool children;	       /* with pids: also their descendants, present and future */
	const char *container; /* name or id (or a unique prefix) of a runc, crun, podman, docker or
				  containerd container */
	const char *cgroup;    /* cgroup v2 directory, absolute or below the cgroup2 mount */
	bool all;	       /* every Python process on the machine */
	char *const *argv;     /* NULL-terminated command to run; its children are observed too */
	pid_t tid;	       /* 0, or only this thread (host TID) */
	/* With argv: three file descriptors that are to be the command's stdin, stdout and stderr,
	 * copied at the start of the session, each its own number or above 2; NULL: the caller's.
	 */
	const int *stdio;
	/* With argv: the Python that it comes to execute, where argv[0] is a shell or the like, so
	 * that it is known before it runs; NULL: argv[0]. */
	const char *interpreter;
};

struct kb_target;

/*
 * Checks and resolves the options: processes exist, the container has a cgroup,
 * the command can be executed. Nothing is started or attached yet. With several
 * pids those that cannot be observed are dropped with a warning (see
 * kb_log__set) as long as one is left.
 */
KB_API struct kb_error *kb_target__create(const struct kb_target_opts *opts,
					  struct kb_target **target);
KB_API void kb_target__destroy(struct kb_target *target);

/* One line for people, such as "pid 4711" or "container web (/machine/web)". Owned by the target.
 */
KB_API const char *kb_target__describe(const struct kb_target *target);

#ifdef __cplusplus
}
#endif
#endif
