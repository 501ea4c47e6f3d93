// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A check of two commands. Each side has a process that runs its command (system/launcher.h) and a
 * sampling session that observes that process's children; both last for the whole check, so that a
 * run begins without anything being loaded or found out again.
 *
 * Runs come in pairs, in the order base head, head base, base head …: what drifts slowly weighs on
 * both sides alike. There are as many pairs as it takes for the interval to become narrow. That
 * depends on how much the pairs vary and not on which side they favour, so that stopping there does
 * not make chance findings more frequent.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "collect/check_runner.h"
#include "collect/expect.h"
#include "keelback/inspect.h"
#include "model/check_stats.h"
#include "system/shell_command.h"

#define POLL_MS	  100	/* until an interrupt is noticed */
#define BYTES_MAX 65536 /* of a command: what a shell is given in one argument, and more */

const char *kb_check_side__name(enum kb_check_side side)
{
	return side == KB_CHECK_BASE ? "base" : "head";
}

bool kb_check_runner__go_on(struct kb_check_runner *r)
{
	if (!r->stopped && r->opts.go_on && !r->opts.go_on(&r->progress, r->opts.context))
		r->stopped = true;
	return !r->stopped;
}

struct kb_error *kb_check_runner__check_status(const struct kb_check_runner *r,
					       enum kb_check_side side, int status)
{
	char text[128];

	if (!status)
		return NULL;
	kb_launcher__describe(status, text, sizeof(text));
	return kb_failed("%s %s (%s): '%s'%s", kb_check_side__name(side), text, r->progress.what,
			 r->opts.command[side],
			 r->opts.show_output ? "" : "; --show-output shows what it says");
}

/* ---------------------------------------------------------------- sessions */

/* Where the kernel has mapped it says which process runs it. The file is kept open, since its name
 * may be one of a container's. */
static struct kb_error *on_image(uint32_t image, const struct kb_image_info *info, const char *path,
				 void *context)
{
	struct kb_check_runner_side *side = context;
	char exe[64];
	int pid;

	if (side->interpreter >= 0 || sscanf(path, "/proc/%d/map_files/", &pid) != 1)
		return NULL;
	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	side->interpreter = open(exe, O_RDONLY | O_CLOEXEC);
	return NULL;
}

static struct kb_error *open_sampler(struct kb_check_runner *r, enum kb_check_side which)
{
	struct kb_check_runner_side *side = &r->sides[which];
	pid_t pid = kb_launcher__pid(side->launcher);
	struct kb_target_opts target = {
		.size = sizeof(target), .pids = &pid, .n_pids = 1, .children = true
	};
	struct kb_sample_opts opts = { .size = sizeof(opts), .rate_hz = r->opts.rate_hz };
	struct kb_session *session;

	KB_TRY(kb_target__create(&target, &side->target));
	KB_TRY(kb_sampler__create(side->target, &opts, &side->sampler));
	session = kb_sampler__session(side->sampler);
	kb_identifier__on_image(session->identifier, on_image, side);
	KB_TRY(kb_sampler__wake_on(side->sampler, kb_launcher__fd(side->launcher)));
	KB_TRY(kb_sampler__start(side->sampler));
	/* A program that is over in milliseconds may never be met while it runs. */
	return side->program ? kb_expect__command(session->identifier, side->program) : NULL;
}

static void close_sampler(struct kb_check_runner_side *side)
{
	if (side->sampler)
		kb_sampler__destroy(side->sampler);
	kb_target__destroy(side->target);
	side->sampler = NULL;
	side->target = NULL;
}

static struct kb_error *open_samplers(struct kb_check_runner *r)
{
	struct kb_error *err = open_sampler(r, KB_CHECK_BASE);

	if (!err)
		err = open_sampler(r, KB_CHECK_HEAD);
	if (!err || kb_error__status(err) != KB_STATUS_UNSUPPORTED || !r->opts.allow_degraded)
		return err;
	kb_check__add_note(r->check, "only what the kernel accounts of processes is compared: %s",
			   kb_error__text(err));
	kb_error__destroy(err);
	r->check->meta.degraded = true;
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		close_sampler(&r->sides[side]);
	return NULL;
}

static struct kb_error *open_launcher(struct kb_check_runner *r, enum kb_check_side side)
{
	struct kb_launcher_opts opts = { .command = r->sides[side].command,
					 .dir = r->opts.dir[side],
					 .show_output = r->opts.show_output };

	return kb_launcher__create(&opts, &r->sides[side].launcher);
}

/* ---------------------------------------------------------------- a run */

static bool has_ended(const struct kb_check_runner_side *side, int timeout_ms)
{
	struct pollfd fd = { .fd = kb_launcher__fd(side->launcher), .events = POLLIN };

	return poll(&fd, 1, timeout_ms) > 0;
}

static struct kb_error *await_end(struct kb_check_runner *r, enum kb_check_side which)
{
	struct kb_check_runner_side *side = &r->sides[which], *other = &r->sides[!which];
	bool done;

	while (!has_ended(side, side->sampler ? 0 : POLL_MS)) {
		if (side->sampler) {
			KB_TRY(kb_sampler__poll(side->sampler, POLL_MS, &done));
			KB_TRY(kb_sampler__poll(other->sampler, 0, &done));
		}
		if (!kb_check_runner__go_on(r))
			kb_launcher__kill(side->launcher);
	}
	return NULL;
}

static void set_values(const struct kb_launched_run *from, struct kb_check_run *to)
{
	for (int i = 0; i < KB_CHECK_OF_RUNS; i++)
		to->value[i] = NAN;
	to->value[KB_CHECK_CPU] = from->cpu_ns / 1e9;
	to->value[KB_CHECK_WALL] = from->wall_ns / 1e9;
	to->value[KB_CHECK_WAITS] = from->voluntary;
	to->value[KB_CHECK_PREEMPTIONS] = from->involuntary;
	to->value[KB_CHECK_FAULTS] = from->faults;
	to->value[KB_CHECK_RSS] = from->rss;
	if (from->instructions != KB_LAUNCHED_UNKNOWN)
		to->value[KB_CHECK_INSTRUCTIONS] = from->instructions;
	if (from->cycles != KB_LAUNCHED_UNKNOWN)
		to->value[KB_CHECK_CYCLES] = from->cycles;
}

/* After it r->stopped says whether the run is one. */
static struct kb_error *run_once(struct kb_check_runner *r, enum kb_check_side which,
				 struct kb_check_run *run)
{
	struct kb_check_runner_side *side = &r->sides[which];
	struct kb_launched_run launched;

	r->progress.side = which;
	if (!kb_check_runner__go_on(r))
		return NULL;
	if (side->sampler)
		side->n_samples = kb_profile__n_samples(kb_sampler__profile(side->sampler));
	KB_TRY(kb_launcher__run(side->launcher));
	KB_TRY(await_end(r, which));
	KB_TRY(kb_launcher__result(side->launcher, &launched));
	side->left_behind |= launched.left_behind > 0;
	if (r->stopped)
		return NULL;
	KB_TRY(kb_check_runner__check_status(r, which, launched.status));
	set_values(&launched, run);
	return side->sampler ? kb_sampler__drain(side->sampler) : NULL;
}

static struct kb_error *pause_samplers(struct kb_check_runner *r, bool pause)
{
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		if (r->sides[side].sampler)
			KB_TRY(kb_sampler__pause(r->sides[side].sampler, pause));
	return NULL;
}

/* Byte code is compiled and files are read; the interpreter becomes known. */
static struct kb_error *warm_up(struct kb_check_runner *r)
{
	struct kb_check_run ignored;

	r->progress.what = "warm-up";
	KB_TRY(pause_samplers(r, true));
	for (int side = 0; side < KB_CHECK_SIDES && !r->stopped; side++)
		KB_TRY(run_once(r, side, &ignored));
	return pause_samplers(r, false);
}

/* ---------------------------------------------------------------- pairs */

static struct kb_error *run_pair(struct kb_check_runner *r)
{
	uint32_t pair = r->check->meta.n_pairs;
	struct kb_check_run runs[KB_CHECK_SIDES];

	for (int i = 0; i < KB_CHECK_SIDES; i++) {
		enum kb_check_side which = (pair + i) % 2;

		KB_TRY(run_once(r, which, &runs[which]));
		if (r->stopped)
			return NULL;
	}
	KB_TRY(kb_check__add_pair(r->check, runs));
	for (int which = 0; which < KB_CHECK_SIDES; which++) {
		const struct kb_check_runner_side *side = &r->sides[which];

		if (side->sampler)
			KB_TRY(kb_check__add_samples(
				r->check, which, pair, kb_sampler__profile(side->sampler),
				side->n_samples, runs[which].value[KB_CHECK_CPU]));
	}
	return NULL;
}

/* Are all intervals that decide something as narrow as half their threshold? */
static struct kb_error *is_narrow(struct kb_check_runner *r, bool *narrow)
{
	const struct kb_check_rules *rules = &r->check->rules;
	double half;

	*narrow = true;
	for (int metric = 0; metric < KB_CHECK_OF_RUNS; metric++) {
		if (!rules->gated[metric] || !r->check->runs[metric][0])
			continue;
		KB_TRY(kb_check__half_width(r->check, metric, &half));
		if (half > rules->threshold[metric] / 2)
			*narrow = false;
	}
	return kb_check__half_width(r->check, KB_CHECK_CPU, &r->progress.half_width);
}

static struct kb_error *run_pairs(struct kb_check_runner *r)
{
	uint64_t start = kb_now(CLOCK_MONOTONIC), now = start, last;
	uint64_t end = start + (uint64_t)(r->opts.seconds_max * KB_NS_PER_SECOND);
	struct kb_check_meta *meta = &r->check->meta;
	bool narrow = false;

	r->progress.what = "comparing";
	while (meta->n_pairs < KB_CHECK_PAIRS_MAX && !narrow) {
		last = now;
		KB_TRY(run_pair(r));
		if (r->stopped)
			return NULL;
		now = kb_now(CLOCK_MONOTONIC);
		r->progress.n_pairs = meta->n_pairs;
		if (meta->n_pairs < r->opts.min_pairs)
			continue;
		KB_TRY(is_narrow(r, &narrow));
		if (!narrow && now + (now - last) > end) {
			meta->out_of_time = true;
			return NULL;
		}
	}
	return NULL;
}

/* ---------------------------------------------------------------- the whole */

static bool seen_before(const struct kb_profile *profile, uint32_t process)
{
	for (uint32_t i = 0; i < process; i++)
		if (!strcmp(kb_profile__process(profile, i)->python,
			    kb_profile__process(profile, process)->python))
			return true;
	return false;
}

/* The versions of Python that were seen, each once. */
static const char *pythons_of(struct kb_check *check, const struct kb_profile *profile)
{
	char text[256] = "";

	for (uint32_t i = 0; i < kb_profile__n_processes(profile); i++) {
		const char *python = kb_profile__process(profile, i)->python;
		size_t used = strlen(text);

		if (*python && !seen_before(profile, i))
			snprintf(text + used, sizeof(text) - used, "%s%s", used ? "," : "", python);
	}
	return kb_check__text(check, text);
}

static uint64_t reported(const struct kb_profile *profile)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.reported && !entry.note)
			sum += entry.count;
	}
	return sum;
}

static struct kb_error *take_profile(struct kb_check_runner *r, enum kb_check_side which)
{
	struct kb_check_runner_side *side = &r->sides[which];
	struct kb_check *check = r->check;
	struct kb_profile *profile;

	if (!side->sampler)
		return NULL;
	KB_TRY(kb_sampler__stop(side->sampler));
	profile = check->profiles[which] = kb_sampler__take_profile(side->sampler);
	close_sampler(side);
	check->meta.rate_hz = kb_profile__meta(profile)->rate_hz;
	check->meta.python[which] = pythons_of(check, profile);
	check->meta.attempted[which] = kb_profile__attempted(profile);
	check->meta.reported[which] = reported(profile);
	if (!kb_profile__n_processes(profile))
		kb_check__add_note(check, "no Python was seen in %s: functions cannot be named",
				   kb_check_side__name(which));
	return NULL;
}

static void set_meta(struct kb_check_runner *r)
{
	struct kb_check_meta *meta = &r->check->meta;
	struct utsname name;

	uname(&name);
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		char *path = r->opts.dir[side] ? realpath(r->opts.dir[side], NULL) : NULL;

		meta->side[side] = kb_check__text(r->check, r->opts.command[side]);
		meta->dir[side] = kb_check__text(r->check, path ?: "");
		free(path);
	}
	meta->host = kb_check__text(r->check, name.nodename);
	meta->version = kb_version();
	meta->start_unix_ns = kb_now(CLOCK_REALTIME);
	meta->seconds_max = r->opts.seconds_max;
}

static struct kb_error *run(struct kb_check_runner *r)
{
	struct kb_check_meta *meta = &r->check->meta;
	uint64_t start = kb_now(CLOCK_MONOTONIC);

	set_meta(r);
	/* Before anything that makes this process large. */
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		KB_TRY(open_launcher(r, side));
	KB_TRY(open_samplers(r));
	KB_TRY(warm_up(r));
	if (!r->stopped)
		KB_TRY(run_pairs(r));
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		KB_TRY(take_profile(r, side));
	if (!r->stopped && !meta->degraded)
		KB_TRY(kb_check_runner__count(r));
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		if (r->sides[side].left_behind)
			kb_check__add_note(r->check,
					   "%s leaves processes behind; they are killed after each "
					   "run",
					   kb_check_side__name(side));
	meta->interrupted = r->stopped;
	if (*meta->python[0] && *meta->python[1] && strcmp(meta->python[0], meta->python[1]))
		kb_check__add_note(r->check, "base runs Python %s, head Python %s", meta->python[0],
				   meta->python[1]);
	meta->duration_ns = kb_now(CLOCK_MONOTONIC) - start;
	return kb_check__finish(r->check);
}

static struct kb_error *complete(struct kb_check_runner *r, const struct kb_check_opts *given)
{
	struct kb_check_opts *opts = &r->opts;
	uint32_t least;

	KB_TRY(KB_COPY_OPTIONS(opts, given));
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		const char *command = opts->command[side];

		if (!command || !command[strspn(command, " \t\n")])
			return kb_usage("no command for %s", kb_check_side__name(side));
		if (strlen(command) > BYTES_MAX)
			return kb_usage("the command for %s is longer than %d bytes",
					kb_check_side__name(side), BYTES_MAX);
		r->sides[side].command = kb_shell_command__with_exec(command);
		r->sides[side].program = kb_shell_command__program(command);
		if (!r->sides[side].command)
			return kb_error__no_memory();
	}
	KB_TRY(kb_check__create(&opts->rules, &r->check));
	least = kb_stats__least_pairs(kb_check__confidence_of_each(r->check));
	if (opts->min_pairs && opts->min_pairs < least)
		return kb_usage("%u pairs can show nothing with a confidence of %g %%: at least %u",
				opts->min_pairs, opts->rules.confidence * 100, least);
	if (opts->min_pairs > KB_CHECK_PAIRS_MAX)
		return kb_usage("%u pairs are too many: at most %d", opts->min_pairs,
				KB_CHECK_PAIRS_MAX);
	if (!opts->min_pairs)
		opts->min_pairs = least > KB_CHECK_PAIRS_DEFAULT ? least : KB_CHECK_PAIRS_DEFAULT;
	if (!opts->seconds_max)
		opts->seconds_max = KB_CHECK_SECONDS_DEFAULT;
	if (!opts->rate_hz)
		opts->rate_hz = KB_CHECK_RATE_DEFAULT;
	return NULL;
}

struct kb_error *kb_check__run(const struct kb_check_opts *opts, struct kb_check **check)
{
	struct kb_check_runner *r = calloc(1, sizeof(*r));
	struct kb_error *err;

	if (!r)
		return kb_error__no_memory();
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		r->sides[side].interpreter = -1;
	err = complete(r, opts);
	if (!err)
		err = run(r);
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		close_sampler(&r->sides[side]);
		kb_launcher__destroy(r->sides[side].launcher);
		if (r->sides[side].interpreter >= 0)
			close(r->sides[side].interpreter);
		free(r->sides[side].command);
		free(r->sides[side].program);
	}
	if (err)
		kb_check__destroy(r->check);
	else
		*check = r->check;
	free(r);
	return err;
}
