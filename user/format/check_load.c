// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* A check of two recordings: what they are, and whether they can be compared at all. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "keelback/diff.h"
#include "keelback/inspect.h"
#include "keelback/memory.h"
#include "model/check.h"

enum kind { OF_SAMPLES, OF_CALLS, OF_MEMORY };

static const char *const kind_names[] = { "samples", "calls", "allocations" };

struct recording {
	const char *path;
	enum kind kind;
	struct kb_profile *profile; /* of samples and memory */
	struct kb_calls *calls;
	const char *target, *python; /* python: the first process's, "" when there is none */
};

static const char *first_python(const struct kb_profile *profile)
{
	return kb_profile__n_processes(profile) ? kb_profile__process(profile, 0)->python : "";
}

static struct kb_error *load(const char *path, struct recording *r)
{
	r->path = path;
	if (kb_calls__is_recording(path)) {
		r->kind = OF_CALLS;
		KB_TRY(kb_calls__load(path, false, &r->calls));
		r->target = kb_calls__meta(r->calls)->target;
		r->python = kb_calls__meta(r->calls)->python;
		return NULL;
	}
	KB_TRY(kb_profile__load(path, false, &r->profile));
	r->kind = kb_profile__memory(r->profile) ? OF_MEMORY : OF_SAMPLES;
	r->target = kb_profile__meta(r->profile)->target;
	r->python = first_python(r->profile);
	return NULL;
}

static void unload(struct recording *r)
{
	kb_profile__destroy(r->profile);
	kb_calls__destroy(r->calls);
}

/* Was it there from the command's first instruction to its last (see kb_target__describe())? */
static bool is_whole(const struct recording *r)
{
	static const char *const running[] = { "pid ", "container ", "cgroup ",
					       "all Python processes" };

	for (size_t i = 0; i < sizeof(running) / sizeof(*running); i++)
		if (!strncmp(r->target, running[i], strlen(running[i])))
			return false;
	return true;
}

/* Up to the second dot of "3.12.1". */
static bool same_minor(const char *a, const char *b)
{
	size_t length = strcspn(a, ".");

	if (a[length])
		length += 1 + strcspn(a + length + 1, ".,");
	return !strncmp(a, b, length) && (!b[length] || b[length] == '.' || b[length] == ',');
}

/* ---------------------------------------------------------------- each alone */

static struct kb_error *check_samples(const struct recording *r)
{
	if (kb_profile__meta(r->profile)->unit != KB_UNIT_SAMPLES)
		return kb_usage("'%s' cannot be checked: in mode %s time is measured, and nothing "
				"tells what is chance; see 'keelback diff'",
				r->path, kb_sample_mode__name(kb_profile__meta(r->profile)->mode));
	if (!kb_profile__total(r->profile))
		return kb_usage("'%s' cannot be checked: it has no samples", r->path);
	return NULL;
}

static struct kb_error *check_calls(const struct recording *r)
{
	const struct kb_calls_meta *meta = kb_calls__meta(r->calls);

	if (meta->n_windows)
		return kb_usage(
			"'%s' cannot be checked: its calls were counted in windows, so they "
			"are not exact (see 'keelback calls --exact')",
			r->path);
	if (kb_calls__n_chosen(r->calls))
		return kb_usage("'%s' cannot be checked: it is of chosen functions alone", r->path);
	return NULL;
}

static struct kb_error *check_one(const struct recording *r)
{
	const char *gap;

	if (r->kind == OF_SAMPLES)
		return check_samples(r);
	if (!is_whole(r))
		return kb_usage("'%s' cannot be checked: it is of a program that ran already (%s), "
				"so its counts depend on when that was",
				r->path, r->target);
	if (r->kind == OF_CALLS)
		KB_TRY(check_calls(r));
	gap = r->kind == OF_CALLS ? kb_check__gap_of_calls(r->calls)
				  : kb_check__gap_of_memory(r->profile);
	return gap ? kb_usage("'%s' cannot be checked: %s", r->path, gap) : NULL;
}

/* ---------------------------------------------------------------- both */

static struct kb_error *check_profiles(const struct recording *base, const struct recording *head)
{
	static const char *const clocks[] = { [KB_CLOCK_CPU] = "cpu-clock",
					      [KB_CLOCK_CYCLES] = "cycles",
					      [KB_CLOCK_TICK] = "timer ticks" };
	enum kb_clock_kind a = kb_profile__meta(base->profile)->clock;
	enum kb_clock_kind b = kb_profile__meta(head->profile)->clock;

	KB_TRY(kb_error__prefix(kb_diff__check(base->profile, head->profile), "'%s' and '%s'",
				base->path, head->path));
	if (a != b)
		return kb_usage("'%s' and '%s' cannot be compared: the clock of one is %s, of the "
				"other %s",
				base->path, head->path, clocks[a], clocks[b]);
	return NULL;
}

static struct kb_error *check_ways(const struct recording *base, const struct recording *head)
{
	const struct kb_memory *a = kb_profile__memory(base->profile);
	const struct kb_memory *b = kb_profile__memory(head->profile);
	enum kb_memory_way x, y;

	if (!kb_memory__n_processes(a) || !kb_memory__n_processes(b))
		return NULL;
	x = kb_memory__process(a, 0)->way;
	y = kb_memory__process(b, 0)->way;
	if (x != y)
		return kb_usage("'%s' and '%s' cannot be compared: one is %s, the other %s",
				base->path, head->path, kb_memory_way__text(x),
				kb_memory_way__text(y));
	return NULL;
}

static struct kb_error *check_both(const struct recording *base, const struct recording *head)
{
	if (base->kind != head->kind)
		return kb_usage("'%s' and '%s' cannot be compared: one is a recording of %s, the "
				"other of %s",
				base->path, head->path, kind_names[base->kind],
				kind_names[head->kind]);
	KB_TRY(check_one(base));
	KB_TRY(check_one(head));
	if (*base->python && *head->python && !same_minor(base->python, head->python))
		return kb_usage("'%s' and '%s' cannot be compared: one is of Python %s, the other "
				"of %s",
				base->path, head->path, base->python, head->python);
	if (is_whole(base) != is_whole(head))
		return kb_usage("'%s' and '%s' cannot be compared: one is of a whole command, the "
				"other of a program that ran already",
				base->path, head->path);
	if (base->kind == OF_SAMPLES)
		return check_profiles(base, head);
	if (base->kind == OF_MEMORY)
		return check_ways(base, head);
	if (kb_calls__meta(base->calls)->builtins != kb_calls__meta(head->calls)->builtins)
		return kb_usage("'%s' and '%s' cannot be compared: only one has calls of C "
				"functions",
				base->path, head->path);
	return NULL;
}

/* ---------------------------------------------------------------- comparing */

static double seconds_of(const struct recording *r)
{
	double seconds = kb_profile__seconds(r->profile, kb_profile__total(r->profile));

	return is_whole(r) ? seconds : seconds * 1e9 / kb_profile__meta(r->profile)->duration_ns;
}

static struct kb_error *add_samples(struct kb_check *check,
				    struct recording recordings[KB_CHECK_SIDES])
{
	struct kb_check_run runs[KB_CHECK_SIDES];

	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		const struct kb_profile *profile = recordings[side].profile;

		for (int i = 0; i < KB_CHECK_OF_RUNS; i++)
			runs[side].value[i] = NAN;
		runs[side].value[KB_CHECK_CPU] = seconds_of(&recordings[side]);
		check->meta.attempted[side] = kb_profile__attempted(profile);
		check->meta.reported[side] = kb_profile__total(profile);
		check->meta.rate_hz = kb_profile__meta(profile)->rate_hz;
	}
	KB_TRY(kb_check__add_pair(check, runs));
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		KB_TRY(kb_check__add_samples(check, side, 0, recordings[side].profile, 0,
					     runs[side].value[KB_CHECK_CPU]));
	if (!is_whole(&recordings[0]))
		kb_check__add_note(check, "these are of programs that ran already: CPU time is "
					  "that of a second of observation");
	return NULL;
}

static struct kb_error *compare(struct kb_check *check, struct recording recordings[KB_CHECK_SIDES])
{
	check->meta.recordings = true;
	check->meta.version = kb_version();
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		check->meta.side[side] = kb_check__text(check, recordings[side].path);
		check->meta.python[side] = kb_check__text(check, recordings[side].python);
	}
	if (recordings[0].kind == OF_SAMPLES)
		KB_TRY(add_samples(check, recordings));
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		if (recordings[side].kind == OF_CALLS)
			KB_TRY(kb_check__add_calls(check, (enum kb_check_series)side,
						   recordings[side].calls));
		else if (recordings[side].kind == OF_MEMORY)
			KB_TRY(kb_check__add_memory(check, (enum kb_check_series)side,
						    recordings[side].profile));
		if (recordings[side].kind != OF_SAMPLES)
			continue;
		check->profiles[side] = recordings[side].profile;
		recordings[side].profile = NULL;
	}
	KB_TRY(kb_check__finish(check));
	check->meta.n_pairs = 0;
	return NULL;
}

struct kb_error *kb_check__load(const char *base, const char *head,
				const struct kb_check_rules *rules, struct kb_check **result)
{
	struct recording recordings[KB_CHECK_SIDES] = {};
	struct kb_check *check = NULL;
	struct kb_error *err;

	err = load(base, &recordings[KB_CHECK_BASE]);
	if (!err)
		err = load(head, &recordings[KB_CHECK_HEAD]);
	if (!err)
		err = check_both(&recordings[KB_CHECK_BASE], &recordings[KB_CHECK_HEAD]);
	if (!err)
		err = kb_check__create(rules, &check);
	if (!err)
		err = compare(check, recordings);
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		unload(&recordings[side]);
	if (err)
		kb_check__destroy(check);
	else
		*result = check;
	return err;
}
