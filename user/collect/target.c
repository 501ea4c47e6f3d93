// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "collect/target.h"
#include "system/container.h"

#define ANCESTORS_MAX 4096 /* only a PID that is reused while we look could make a loop */
#define PIDS_MAX      4096 /* what the kernel's table of followed processes holds */

static struct kb_error *check_pid(pid_t pid)
{
	struct kb_process_stat stat;
	struct kb_pids threads;
	bool leads;

	if (pid <= 0 || !kb_process__stat(pid, &stat) || stat.state == 'Z')
		return kb_usage("no process with PID %d", pid);
	if (pid == getpid())
		return kb_usage("PID %d is keelback itself", pid);
	/* /proc has an entry for every thread, but only a leader's is listed. */
	KB_TRY(kb_process__all(&threads));
	leads = kb_pids__contains(&threads, pid);
	kb_pids__free(&threads);
	if (!leads)
		return kb_usage("%d is a thread: give its process with --pid and it with --tid",
				pid);
	return NULL;
}

/* A thread that is none of the processes' would give an empty profile, at the end. */
static struct kb_error *check_tid(const struct kb_target *target, pid_t tid)
{
	char path[64];

	if (target->argv)
		return kb_usage("--tid does not go with a command: its threads do not exist yet");
	if (!target->pids.n || target->children) {
		snprintf(path, sizeof(path), "/proc/%d", tid);
		return access(path, F_OK) ? kb_usage("no thread with TID %d", tid) : NULL;
	}
	for (size_t i = 0; i < target->pids.n; i++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d", target->pids.ids[i], tid);
		if (!access(path, F_OK))
			return NULL;
	}
	return kb_usage("%d is no thread of process %d", tid, target->pids.ids[0]);
}

/* Keeps the pids that exist; none is an error, some a warning. */
static struct kb_error *set_pids(struct kb_target *target, const struct kb_target_opts *opts)
{
	size_t used = 0;

	if (opts->n_pids > PIDS_MAX)
		return kb_usage("more than %d PIDs: use --cgroup or --all", PIDS_MAX);
	target->pids.ids = calloc(opts->n_pids, sizeof(pid_t));
	if (!target->pids.ids)
		return kb_error__no_memory();
	for (size_t i = 0; i < opts->n_pids; i++) {
		struct kb_error *err = check_pid(opts->pids[i]);

		if (!err && !kb_pids__contains(&target->pids, opts->pids[i]))
			target->pids.ids[target->pids.n++] = opts->pids[i];
		if (err && (opts->n_pids == 1 || (i + 1 == opts->n_pids && !target->pids.n)))
			return err;
		if (err)
			kb_warn("%s", kb_error__text(err));
		kb_error__destroy(err);
	}
	target->children = opts->children;
	used = snprintf(target->description, sizeof(target->description), "pid");
	for (size_t i = 0; i < target->pids.n && used + 16 < sizeof(target->description); i++)
		used += snprintf(target->description + used, sizeof(target->description) - used,
				 "%s%d", i ? "," : " ", target->pids.ids[i]);
	if (target->children && used + 16 < sizeof(target->description))
		strcat(target->description, " and children");
	return NULL;
}

static struct kb_error *set_stdio(struct kb_target *target, const int *stdio)
{
	for (int i = 0; i < 3; i++) {
		target->stdio[i] = stdio ? stdio[i] : i;
		if (target->stdio[i] != i && target->stdio[i] < 3)
			return kb_usage("file descriptor %d cannot be the command's %d",
					target->stdio[i], i);
	}
	return NULL;
}

static struct kb_error *set_argv(struct kb_target *target, char *const *argv,
				 const char *interpreter)
{
	size_t n = 0, used = 0;

	while (argv[n])
		n++;
	if (!n || !argv[0][0])
		return kb_usage("no command after '--'");
	target->argv = calloc(n + 1, sizeof(*argv));
	for (size_t i = 0; target->argv && i < n; i++) {
		target->argv[i] = strdup(argv[i]);
		if (!target->argv[i])
			return kb_error__no_memory();
		if (used < sizeof(target->description) - 1)
			used += snprintf(target->description + used,
					 sizeof(target->description) - used, "%s%s", i ? " " : "",
					 argv[i]);
	}
	target->children = true;
	if (!target->argv || !interpreter)
		return target->argv ? NULL : kb_error__no_memory();
	target->interpreter = strdup(interpreter);
	return target->interpreter ? NULL : kb_error__no_memory();
}

static struct kb_error *set_cgroup(struct kb_target *target, const struct kb_target_opts *opts)
{
	target->filter = KB_FILTER_CGROUP;
	if (opts->container)
		KB_TRY(kb_container__find(opts->container, &target->cgroup));
	else
		KB_TRY(kb_cgroup__find(opts->cgroup, &target->cgroup));
	if (!target->cgroup.level)
		target->filter = KB_FILTER_ALL; /* the root of the hierarchy holds everything */
	snprintf(target->description, sizeof(target->description), "%s %.200s",
		 opts->container ? "container" : "cgroup",
		 opts->container ? opts->container : target->cgroup.path);
	return NULL;
}

static struct kb_error *resolve(struct kb_target *target, const struct kb_target_opts *opts)
{
	int kinds = !!opts->n_pids + !!opts->container + !!opts->cgroup + opts->all + !!opts->argv;

	if (!kinds)
		return kb_usage(
			"no target: give --pid, --container, --cgroup, --all or -- COMMAND");
	if (kinds > 1)
		return kb_usage(
			"more than one target: give one of --pid, --container, --cgroup, --all "
			"and -- COMMAND");
	if (opts->children && !opts->n_pids)
		return kb_usage("--children goes with --pid");
	target->tid = opts->tid;
	if (opts->n_pids)
		return set_pids(target, opts);
	if (opts->argv) {
		KB_TRY(set_stdio(target, opts->stdio));
		return set_argv(target, opts->argv, opts->interpreter);
	}
	if (opts->container || opts->cgroup)
		return set_cgroup(target, opts);
	target->filter = KB_FILTER_ALL;
	strcpy(target->description, "all Python processes");
	return NULL;
}

struct kb_error *kb_target__create(const struct kb_target_opts *opts, struct kb_target **result)
{
	struct kb_target *target = calloc(1, sizeof(*target));
	struct kb_target_opts known;
	struct kb_error *err;

	if (!target)
		return kb_error__no_memory();
	err = KB_COPY_OPTIONS(&known, opts);
	if (!err)
		err = resolve(target, &known);
	if (!err && known.tid)
		err = check_tid(target, known.tid);
	if (err)
		kb_target__destroy(target);
	else
		*result = target;
	return err;
}

void kb_target__destroy(struct kb_target *target)
{
	if (!target)
		return;
	for (size_t i = 0; target->argv && target->argv[i]; i++)
		free(target->argv[i]);
	free(target->argv);
	free(target->interpreter);
	kb_pids__free(&target->pids);
	free(target);
}

const char *kb_target__describe(const struct kb_target *target)
{
	return target->description;
}

bool kb_target__matches(const struct kb_target *target, pid_t pid)
{
	struct kb_process_stat stat;

	if (target->filter == KB_FILTER_ALL)
		return pid != getpid();
	if (target->filter == KB_FILTER_CGROUP)
		return kb_cgroup__contains(&target->cgroup, pid);
	for (int depth = 0; depth < ANCESTORS_MAX; depth++) {
		if (kb_pids__contains(&target->pids, pid))
			return true;
		if (!target->children || !kb_process__stat(pid, &stat) || !stat.parent)
			return false;
		pid = stat.parent;
	}
	return false;
}

struct kb_error *kb_target__processes(const struct kb_target *target, struct kb_pids *pids)
{
	struct kb_pids all;
	size_t n = 0;

	if (target->filter == KB_FILTER_PIDS)
		return target->children ? kb_process__with_descendants(target->pids.ids,
								       target->pids.n, pids)
					: kb_pids__copy(&target->pids, pids);
	KB_TRY(kb_process__all(&all));
	for (size_t i = 0; i < all.n; i++) {
		if (kb_target__matches(target, all.ids[i]))
			all.ids[n++] = all.ids[i];
	}
	all.n = n;
	*pids = all;
	return NULL;
}
