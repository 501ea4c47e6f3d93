/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TESTS_UNIT_REMOTE_TARGET_H
#define KB_TESTS_UNIT_REMOTE_TARGET_H

/* A real process of each interpreter of the machine, for tests that read it. cmocka comes first. */
#include <string.h>
#include "base/error.h"
#include "python/remote_threads.h"
#include "unit/pythons.h"

static struct python pythons[PYTHONS_MAX];
static size_t n_pythons;
static struct kb_image_cache *cache;

#define EACH(python)                                                                               \
	for (const struct python *python = pythons; python < pythons + n_pythons; python++)        \
		if (python__runs(python))

static inline void ok(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

/* A process that runs a script, opened. */
struct target {
	pid_t pid;
	struct kb_remote remote;
	struct kb_remote_threads threads;
};

static inline void target__start(struct target *target, const struct python *python,
				 const char *script)
{
	struct kb_interpreter interp;
	bool found = false;

	memset(target, 0, sizeof(*target));
	target->pid = python__spawn(python, script);
	if (target->pid < 0)
		fail_msg("%s%s does not start", python->root, python->path);
	ok(kb_interpreter__find(cache, target->pid, &found, &interp));
	assert_true(found && interp.initialized);
	ok(kb_remote__open(target->pid, &interp, &target->remote));
	ok(kb_remote_threads__read(&target->remote, &target->threads));
}

static inline void target__end(struct target *target)
{
	kb_remote_threads__free(&target->threads);
	kb_remote__close(&target->remote);
	python__kill(target->pid);
}

#endif
