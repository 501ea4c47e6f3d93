// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The runs of a check that count exactly. What makes one run of a program differ from the next is
 * taken away: the hashes of strings (PYTHONHASHSEED), and the addresses of objects
 * (personality(2)). What still differs in two runs of base is not compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "collect/check_runner.h"
#include "keelback/call_counter.h"
#include "keelback/memory.h"

#define POLL_MS 100
#define SECONDS_LEAST                                                                              \
	60 /* for a run, however short the time is for pairs: it may take 50 times as long */

/* A kind of session, as the runner sees it. */
struct counter {
	const char *what;
	enum kb_check_metric metric;
	struct kb_error *(*create)(const struct kb_target *target, void **session);
	struct kb_error *(*start)(void *session);
	struct kb_error *(*poll)(void *session, int timeout_ms, bool *done);
	struct kb_error *(*stop)(void *session);
	pid_t (*pid)(const void *session);
	int (*status)(const void *session);
	struct kb_error *(*add)(struct kb_check *check, enum kb_check_series series,
				const void *session);
	void (*destroy)(void *session);
};

/* ---------------------------------------------------------------- calls */

static struct kb_error *calls_create(const struct kb_target *target, void **session)
{
	struct kb_call_counter_opts opts = { .size = sizeof(opts), .timing = KB_CALLS_UNTIMED };

	return kb_call_counter__create(target, &opts, (struct kb_call_counter **)session);
}

static struct kb_error *calls_start(void *session)
{
	return kb_call_counter__start(session);
}

static struct kb_error *calls_poll(void *session, int timeout_ms, bool *done)
{
	return kb_call_counter__poll(session, timeout_ms, done);
}

static struct kb_error *calls_stop(void *session)
{
	return kb_call_counter__stop(session);
}

static pid_t calls_pid(const void *session)
{
	return kb_call_counter__command_pid(session);
}

static int calls_status(const void *session)
{
	return kb_call_counter__command_status(session);
}

static struct kb_error *calls_add(struct kb_check *check, enum kb_check_series series,
				  const void *session)
{
	const struct kb_calls *found = kb_call_counter__calls(session);
	const char *gap = kb_check__gap_of_calls(found);

	if (gap)
		return kb_unsupported("%s", gap);
	return kb_check__add_calls(check, series, found);
}

static void calls_destroy(void *session)
{
	kb_call_counter__destroy(session);
}

static const struct counter calls = {
	.what = "counting calls",
	.metric = KB_CHECK_CALLS,
	.create = calls_create,
	.start = calls_start,
	.poll = calls_poll,
	.stop = calls_stop,
	.pid = calls_pid,
	.status = calls_status,
	.add = calls_add,
	.destroy = calls_destroy,
};

/* ---------------------------------------------------------------- allocations */

static struct kb_error *memory_create(const struct kb_target *target, void **session)
{
	struct kb_memory_opts opts = { .size = sizeof(opts), .want = KB_MEMORY_EXACT };

	return kb_memory_tracer__create(target, &opts, (struct kb_memory_tracer **)session);
}

static struct kb_error *memory_start(void *session)
{
	return kb_memory_tracer__start(session);
}

static struct kb_error *memory_poll(void *session, int timeout_ms, bool *done)
{
	return kb_memory_tracer__poll(session, timeout_ms, done);
}

static struct kb_error *memory_stop(void *session)
{
	return kb_memory_tracer__stop(session);
}

static pid_t memory_pid(const void *session)
{
	return kb_memory_tracer__command_pid(session);
}

static int memory_status(const void *session)
{
	return kb_memory_tracer__command_status(session);
}

static struct kb_error *memory_add(struct kb_check *check, enum kb_check_series series,
				   const void *session)
{
	const struct kb_profile *profile = kb_memory_tracer__profile(session);
	const char *gap = kb_check__gap_of_memory(profile);

	if (gap)
		return kb_unsupported("%s", gap);
	return kb_check__add_memory(check, series, profile);
}

static void memory_destroy(void *session)
{
	kb_memory_tracer__destroy(session);
}

static const struct counter memory = {
	.what = "counting allocations",
	.metric = KB_CHECK_ALLOCATIONS,
	.create = memory_create,
	.start = memory_start,
	.poll = memory_poll,
	.stop = memory_stop,
	.pid = memory_pid,
	.status = memory_status,
	.add = memory_add,
	.destroy = memory_destroy,
};

/* ---------------------------------------------------------------- the same world each time */

/* What this process lends to the command that it starts. */
struct world {
	char *hash_seed;
	int persona, here;
};

static struct kb_error *enter(struct world *world, const char *dir)
{
	const char *seed = getenv("PYTHONHASHSEED");

	*world = (struct world){ .hash_seed = seed ? strdup(seed) : NULL,
				 .persona = personality(0xffffffff),
				 .here = open(".", O_PATH | O_CLOEXEC) };
	setenv("PYTHONHASHSEED", "0", 1);
	/* Not where a container's filter forbids it: then what depends on addresses varies. */
	if (world->persona != -1)
		personality(world->persona | ADDR_NO_RANDOMIZE);
	if (dir && (world->here < 0 || chdir(dir)))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot enter '%s'", dir);
	return NULL;
}

static void leave(struct world *world)
{
	if (world->hash_seed)
		setenv("PYTHONHASHSEED", world->hash_seed, 1);
	else
		unsetenv("PYTHONHASHSEED");
	free(world->hash_seed);
	if (world->persona != -1)
		personality(world->persona);
	if (world->here >= 0) {
		if (fchdir(world->here))
			abort(); /* relative paths would mean something else from here on */
		close(world->here);
	}
}

/* ---------------------------------------------------------------- a run */

static bool is_file(int fd, const char *path)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static struct kb_error *create_target(const struct kb_check_runner *r, enum kb_check_side side,
				      int null, struct kb_target **target)
{
	char *argv[] = { "/bin/sh", "-c", r->sides[side].command, NULL };
	int out = r->opts.show_output ? STDERR_FILENO : null;
	int stdio[] = { null, out, out };
	struct kb_target_opts opts = { .size = sizeof(opts), .argv = argv, .stdio = stdio };
	int interpreter = r->sides[side].interpreter;
	char path[64], *real = NULL;
	struct kb_error *err;

	opts.interpreter = r->sides[side].program;
	if (interpreter >= 0) {
		/* Libraries are looked for beside it, so its name is better where it is right. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", interpreter);
		real = realpath(path, NULL);
		opts.interpreter = real && is_file(interpreter, real) ? real : path;
	}
	err = kb_target__create(&opts, target);
	free(real);
	return err;
}

static struct kb_error *collect(struct kb_check_runner *r, const struct counter *counter,
				enum kb_check_side side, void *session)
{
	struct kb_error *err;
	struct world world;
	double seconds = fmax(r->opts.seconds_max / 2, SECONDS_LEAST);
	uint64_t end = kb_now(CLOCK_MONOTONIC) + (uint64_t)(seconds * KB_NS_PER_SECOND);
	bool done = false;

	err = enter(&world, r->opts.dir[side]);
	if (!err)
		err = counter->start(session);
	leave(&world);
	while (!err && !done) {
		err = counter->poll(session, POLL_MS, &done);
		if (!err && !done && kb_now(CLOCK_MONOTONIC) > end)
			err = kb_unsupported("a run takes longer than %g s (see --max-time)",
					     seconds);
		if (!kb_check_runner__go_on(r))
			break;
	}
	if (!done && counter->pid(session) > 0)
		kill(counter->pid(session), SIGKILL);
	return kb_error__first(err, counter->stop(session));
}

static struct kb_error *count_once(struct kb_check_runner *r, const struct counter *counter,
				   enum kb_check_series series)
{
	enum kb_check_side side = series == KB_CHECK_SERIES_HEAD ? KB_CHECK_HEAD : KB_CHECK_BASE;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct kb_target *target = NULL;
	void *session = NULL;
	struct kb_error *err;

	if (null < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open /dev/null");
	r->progress.side = side;
	err = create_target(r, side, null, &target);
	if (!err)
		err = counter->create(target, &session);
	if (!err)
		err = collect(r, counter, side, session);
	if (!err && !r->stopped)
		err = kb_check_runner__check_status(r, side, counter->status(session));
	if (!err && !r->stopped)
		err = counter->add(r->check, series, session);
	if (session)
		counter->destroy(session);
	kb_target__destroy(target);
	close(null);
	return err;
}

/* What cannot be counted here is a note, and half of the counts are none. */
static struct kb_error *count_all(struct kb_check_runner *r, const struct counter *counter)
{
	static const enum kb_check_series order[] = { KB_CHECK_SERIES_BASE, KB_CHECK_SERIES_HEAD,
						      KB_CHECK_SERIES_AGAIN };
	struct kb_error *err = NULL;

	r->progress.what = counter->what;
	for (size_t i = 0; i < sizeof(order) / sizeof(*order) && !err; i++)
		if (kb_check_runner__go_on(r))
			err = count_once(r, counter, order[i]);
	if (!err && !r->stopped)
		return NULL;
	kb_check__forget_counts(r->check, counter->metric);
	if (kb_error__status(err) != KB_STATUS_UNSUPPORTED)
		return err;
	kb_check__add_note(r->check, "%s is not possible: %s", counter->what, kb_error__text(err));
	kb_error__destroy(err);
	return NULL;
}

struct kb_error *kb_check_runner__count(struct kb_check_runner *r)
{
	if (!r->opts.no_calls)
		KB_TRY(count_all(r, &calls));
	return r->opts.no_memory ? NULL : count_all(r, &memory);
}
