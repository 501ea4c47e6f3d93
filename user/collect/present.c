// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include "base/error.h"
#include "base/log.h"
#include "collect/cover.h"
#include "collect/present.h"

/* Each pass looks for what was started during the one before. A process tree that is still not
 * covered then starts others faster than they can be listed: the rest is found when it executes or
 * is sampled. */
#define PASSES_MAX 16

static enum kb_identity follow(const struct kb_present *present, pid_t pid, char *reason)
{
	if (present->target->filter == KB_FILTER_PIDS) {
		struct kb_error *err = kb_programs__follow(present->programs, pid);

		if (err)
			kb_warn("%s", kb_error__text(err));
		kb_error__destroy(err);
	}
	return kb_identifier__identify(present->identifier, pid, 0, reason);
}

/* Follows what the processes started since they were listed and adds it to pids. */
static struct kb_error *follow_more(const struct kb_present *present, struct kb_pids *pids)
{
	struct kb_error *err = NULL;
	struct kb_pids now;

	KB_TRY(kb_target__processes(present->target, &now));
	for (size_t i = 0; i < now.n && !err; i++) {
		if (kb_pids__contains(pids, now.ids[i]))
			continue;
		err = kb_pids__add(pids, now.ids[i]);
		if (!err)
			follow(present, now.ids[i], NULL);
	}
	kb_pids__free(&now);
	return err;
}

struct kb_error *kb_present__identify(const struct kb_present *present, struct kb_pids *pids)
{
	const struct kb_target *target = present->target;
	bool must = target->filter == KB_FILTER_PIDS && !target->children;
	char reason[KB_REASON_MAX] = "";
	size_t python = 0, before = 0;

	for (size_t i = 0; i < pids->n; i++) {
		pid_t pid = pids->ids[i];
		enum kb_identity identity;

		identity = follow(present, pid, must ? reason : NULL);
		if (identity == KB_IS_PYTHON) {
			python++;
			continue;
		}
		if (identity == KB_IS_NOT_PYTHON)
			snprintf(reason, sizeof(reason), "it is not a Python process");
		else if (identity == KB_IS_GONE)
			snprintf(reason, sizeof(reason), "it has ended");
		if (must && pids->n > 1)
			kb_warn("process %d cannot be observed: %s", pid, reason);
	}
	if (must && !python)
		return kb_unsupported("process %d cannot be observed: %s", pids->ids[0], reason);
	for (int pass = 0; pass < PASSES_MAX && target->children && before < pids->n; pass++) {
		before = pids->n;
		KB_TRY(follow_more(present, pids));
	}
	return NULL;
}

static struct kb_error *add_thread(pid_t tid, void *clock)
{
	return kb_clock__add_thread(clock, tid, false);
}

struct kb_error *kb_present__cover(const struct kb_present *present, struct kb_pids *pids)
{
	struct kb_error *err = NULL;
	struct kb_cover *cover;
	size_t done = 0;

	KB_TRY(kb_cover__create(present->programs, add_thread, present->clock, &cover));
	for (int pass = 0; pass < PASSES_MAX && done < pids->n && !err; pass++) {
		for (; done < pids->n && !err; done++)
			err = kb_cover__process(cover, pids->ids[done]);
		if (!err && present->target->children)
			err = follow_more(present, pids);
	}
	kb_cover__destroy(cover);
	return err;
}
