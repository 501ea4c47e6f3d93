/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_TARGET_H
#define KB_COLLECT_TARGET_H

#include "bpf/shared/config.h"
#include "keelback/target.h"
#include "system/cgroup.h"
#include "system/process.h"

struct kb_target {
	enum kb_filter filter;
	struct kb_pids pids; /* as given; empty with a command until it is started */
	bool children;
	struct kb_cgroup cgroup;
	char **argv;	   /* NULL, or the command: a copy */
	char *interpreter; /* or NULL: argv[0] */
	int stdio[3];	   /* the command's stdin, stdout, stderr */
	pid_t tid;
	char description[256];
};

/* Is this process part of the target now? With children: also a descendant. */
bool kb_target__matches(const struct kb_target *target, pid_t pid);

/* The processes that are part of the target now. */
struct kb_error *kb_target__processes(const struct kb_target *target, struct kb_pids *pids);

#endif
