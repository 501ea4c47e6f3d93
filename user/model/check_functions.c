// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Who explains the difference in CPU time. A function's seconds in a run are its share of the run's
 * samples times the CPU time that the kernel has accounted, so what functions differ by adds up to
 * what the programs differ by.
 *
 * Which functions are tested must not depend on how they differ, or chance would choose for itself:
 * it depends on what they use on both sides together.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "model/check.h"
#include "model/check_stats.h"

#define SHARE_LEAST 0.002 /* of the CPU time of both sides: what uses less explains nothing */
#define MEMBERS_MAX 256	  /* functions that are tested, those that use most */
#define LINES_OF    20	  /* functions whose lines are shown, as many as a report lists */
#define LINES_EACH  10

struct kb_error *kb_check__add_samples(struct kb_check *check, enum kb_check_side side,
				       uint32_t pair, const struct kb_profile *profile,
				       uint32_t from, double seconds)
{
	const struct kb_sample *samples = kb_profile__samples(profile);
	uint32_t n = kb_profile__n_samples(profile);
	double total = 0;

	for (uint32_t i = from; i < n; i++)
		total += samples[i].count;
	for (uint32_t i = from; i < n; i++) {
		const struct kb_stack_node *node = &kb_profile__nodes(profile)[samples[i].node];
		const struct kb_frame_info *frame = kb_profile__frame(profile, node->frame);
		const struct kb_function_info *function =
			kb_profile__function(profile, frame->function);
		struct kb_check_entry *entries = kb_array__grow(
			check->entries, &check->entries_capacity, check->n_entries + 1,
			sizeof(*entries), KB_CHECK_ENTRIES_MAX);
		uint32_t name = kb_check__name(check, side, function->kind, function->name,
					       function->file, function->first_line);

		if (entries)
			check->entries = entries;
		if (!entries || name == KB_ID_NONE)
			return kb_failed("too many functions, or no memory for their samples");
		entries[check->n_entries++] = (struct kb_check_entry){
			.name = name,
			.pair = pair,
			.side = side,
			.line = frame->line,
			.seconds = samples[i].count / total * seconds,
		};
	}
	return NULL;
}

/* ---------------------------------------------------------------- which functions */

struct member {
	uint32_t name;
	double seconds; /* on both sides together */
};

static int by_seconds(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->seconds != y->seconds)
		return x->seconds > y->seconds ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Their names, at most MEMBERS_MAX, in members, which is free()d by the caller. */
static struct kb_error *choose_members(const struct kb_check *check, struct member **result,
				       uint32_t *n_result)
{
	struct member *members = calloc(check->n_names + 1, sizeof(*members));
	double total = 0;
	uint32_t n = 0;

	if (!members)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < check->n_names; i++)
		members[i].name = i;
	for (uint32_t i = 0; i < check->n_entries; i++) {
		const struct kb_check_entry *entry = &check->entries[i];

		members[check->names[entry->name].same_as].seconds += entry->seconds;
		total += entry->seconds;
	}
	qsort(members, check->n_names, sizeof(*members), by_seconds);
	while (n < check->n_names && n < MEMBERS_MAX && members[n].seconds > 0 &&
	       members[n].seconds >= SHARE_LEAST * total)
		n++;
	*result = members;
	*n_result = n;
	return NULL;
}

/* ---------------------------------------------------------------- their seconds */

/* For each member the seconds of each pair's run, base's after head's: [member][side][pair]. */
struct matrix {
	const struct member *members;
	uint32_t n, n_pairs;
	uint32_t *row_of; /* of a name, KB_ID_NONE: not a member */
	double *seconds;
};

static double *row(const struct matrix *m, uint32_t member, enum kb_check_side side)
{
	return m->seconds + ((size_t)member * KB_CHECK_SIDES + side) * m->n_pairs;
}

static struct kb_error *fill(const struct kb_check *check, struct matrix *m)
{
	m->n_pairs = check->meta.n_pairs;
	m->row_of = malloc((check->n_names + 1) * sizeof(*m->row_of));
	m->seconds = calloc((size_t)m->n * KB_CHECK_SIDES * m->n_pairs + 1, sizeof(*m->seconds));
	if (!m->row_of || !m->seconds)
		return kb_error__no_memory();
	memset(m->row_of, 0xff, (check->n_names + 1) * sizeof(*m->row_of));
	for (uint32_t i = 0; i < m->n; i++)
		m->row_of[m->members[i].name] = i;
	for (uint32_t i = 0; i < check->n_entries; i++) {
		const struct kb_check_entry *e = &check->entries[i];
		uint32_t member = m->row_of[check->names[e->name].same_as];

		if (member != KB_ID_NONE && e->pair < m->n_pairs)
			row(m, member, e->side)[e->pair] += e->seconds;
	}
	return NULL;
}

static double mean(const double *values, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += values[i];
	return n ? sum / n : 0;
}

/* ---------------------------------------------------------------- lines */

struct line_cost {
	uint32_t member;
	int32_t offset; /* from the function's first line */
	double seconds[KB_CHECK_SIDES];
};

static int by_place(const void *a, const void *b)
{
	const struct line_cost *x = a, *y = b;

	if (x->member != y->member)
		return x->member < y->member ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int by_line_change(const void *a, const void *b)
{
	const struct kb_check_line *x = a, *y = b;
	double p = fabs(x->value[KB_CHECK_HEAD] - x->value[KB_CHECK_BASE]);
	double q = fabs(y->value[KB_CHECK_HEAD] - y->value[KB_CHECK_BASE]);

	return p != q ? (p > q ? -1 : 1) : x->line[KB_CHECK_HEAD] - y->line[KB_CHECK_HEAD];
}

/* The seconds of lines of those functions that a report may show, one after the other by place. */
static struct line_cost *gather_lines(const struct kb_check *check, const struct matrix *m,
				      uint32_t *n)
{
	struct line_cost *costs = calloc(check->n_entries + 1, sizeof(*costs));
	uint32_t merged = 0;

	*n = 0;
	for (uint32_t i = 0; costs && i < check->n_entries; i++) {
		const struct kb_check_entry *e = &check->entries[i];
		uint32_t name = check->names[e->name].same_as, member = m->row_of[name];

		if (member == KB_ID_NONE || e->line <= 0 || e->pair >= m->n_pairs)
			continue;
		costs[*n].member = member;
		costs[*n].offset = e->line - check->names[name].line[e->side];
		costs[(*n)++].seconds[e->side] = e->seconds / m->n_pairs;
	}
	if (!costs)
		return NULL;
	qsort(costs, *n, sizeof(*costs), by_place);
	for (uint32_t i = 0; i < *n; i++) {
		if (merged && !by_place(&costs[merged - 1], &costs[i])) {
			for (int side = 0; side < KB_CHECK_SIDES; side++)
				costs[merged - 1].seconds[side] += costs[i].seconds[side];
		} else {
			costs[merged++] = costs[i];
		}
	}
	*n = merged;
	return costs;
}

/* Those of one function into out, which has room for all; returns how many are kept. */
static uint32_t lines_of(const struct kb_check *check, const struct matrix *m,
			 const struct line_cost *costs, uint32_t n, uint32_t member,
			 struct kb_check_line *out)
{
	const struct kb_check_name *name = &check->names[m->members[member].name];
	uint32_t found = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (costs[i].member != member)
			continue;
		for (int side = 0; side < KB_CHECK_SIDES; side++) {
			bool there = name->line[side];

			out[found].line[side] = there ? name->line[side] + costs[i].offset : 0;
			out[found].value[side] = costs[i].seconds[side];
		}
		found++;
	}
	qsort(out, found, sizeof(*out), by_line_change);
	return found < LINES_EACH ? found : LINES_EACH;
}

static struct kb_error *add_lines(struct kb_check *check, const struct matrix *m)
{
	uint32_t n, used = 0;
	struct line_cost *costs = gather_lines(check, m, &n);

	if (!costs)
		return kb_error__no_memory();
	/* Room for all lines of the last function behind those that are kept of the others. */
	check->lines = calloc(n + LINES_OF * LINES_EACH + 1, sizeof(*check->lines));
	for (uint32_t i = 0; check->lines && i < check->n_functions && i < LINES_OF; i++) {
		struct kb_check_function *f = &check->functions[i];
		uint32_t member = f->n_lines; /* until now */

		f->lines = check->lines + used;
		f->n_lines = lines_of(check, m, costs, n, member, check->lines + used);
		used += f->n_lines;
	}
	for (uint32_t i = LINES_OF; i < check->n_functions; i++)
		check->functions[i].n_lines = 0;
	free(costs);
	return check->lines ? NULL : kb_error__no_memory();
}

/* ---------------------------------------------------------------- comparing */

/* Of recordings: what is known is how many samples there are of each function. */
static struct kb_error *test_recordings(const struct kb_check *check, const struct matrix *m,
					struct kb_member *members)
{
	double z = kb_stats__normal_quantile((1 + check->rules.confidence) / 2);
	double rate[KB_CHECK_SIDES], *p = calloc(m->n + 1, sizeof(*p));
	struct kb_error *err;

	if (!p)
		return kb_error__no_memory();
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		double seconds = check->runs[KB_CHECK_CPU][side][0];

		rate[side] = seconds > 0 ? check->meta.reported[side] / seconds : 0;
	}
	for (uint32_t i = 0; i < m->n; i++) {
		double base = row(m, i, KB_CHECK_BASE)[0], head = row(m, i, KB_CHECK_HEAD)[0];
		double variance =
			(rate[0] > 0 ? base / rate[0] : 0) + (rate[1] > 0 ? head / rate[1] : 0);

		members[i].mean = head - base;
		members[i].low = head - base - z * sqrt(variance);
		members[i].high = head - base + z * sqrt(variance);
		p[i] = variance > 0 ? erfc(fabs(head - base) / sqrt(variance) / M_SQRT2) : 1;
	}
	err = kb_stats__holm(p, m->n);
	for (uint32_t i = 0; i < m->n; i++)
		members[i].p = p[i];
	free(p);
	return err;
}

/* Differences of a member in seconds, and in shares of the run. */
static void set_differences(const struct kb_check *check, const struct matrix *m, uint32_t member,
			    double *seconds, double *shares)
{
	const double *base = row(m, member, KB_CHECK_BASE), *head = row(m, member, KB_CHECK_HEAD);
	double *const *cpu = check->runs[KB_CHECK_CPU];

	for (uint32_t pair = 0; pair < m->n_pairs; pair++) {
		double all_base = cpu[KB_CHECK_BASE][pair], all_head = cpu[KB_CHECK_HEAD][pair];

		seconds[pair] = head[pair] - base[pair];
		shares[pair] = (all_head > 0 ? head[pair] / all_head : 0) -
			       (all_base > 0 ? base[pair] / all_base : 0);
	}
}

/*
 * A function is tested twice, by its seconds and by its share. A run that is disturbed has more
 * seconds of every function, but the same shares; a function that is nearly all of the program can
 * not have a larger share, but more seconds. The correction is for all of these tests. A larger
 * share is more seconds only where the whole has not become less, and the other way round.
 */
static struct kb_error *test_pairs(const struct kb_check *check, const struct matrix *m,
				   struct kb_member *members)
{
	double change = kb_check__measure_of(check, KB_CHECK_CPU)->change;
	double *d = malloc(((size_t)2 * m->n * m->n_pairs + 1) * sizeof(*d));
	struct kb_member *both = calloc(2 * m->n + 1, sizeof(*both));
	struct kb_error *err;

	err = d && both ? NULL : kb_error__no_memory();
	for (uint32_t i = 0; !err && i < m->n; i++)
		set_differences(check, m, i, d + (size_t)i * m->n_pairs,
				d + (size_t)(m->n + i) * m->n_pairs);
	if (!err)
		err = kb_stats__family(d, 2 * m->n, m->n_pairs, check->rules.confidence, both);
	for (uint32_t i = 0; !err && i < m->n; i++) {
		const struct kb_member *share = &both[m->n + i];

		members[i] = both[i];
		if (share->mean * both[i].mean > 0 && share->mean * change > 0)
			members[i].p = fmin(both[i].p, share->p);
	}
	free(d);
	free(both);
	return err;
}

/*
 * How sure it must be that a function is slower. Where the whole is a regression, that something is
 * slower is as sure as was asked for, and the question is only what: 19 of 20 is enough for that.
 */
#define P_OF_BLAME 0.05

static double p_of_blame(const struct kb_check *check)
{
	double p = 1 - check->rules.confidence;

	return kb_check__measure_of(check, KB_CHECK_CPU)->verdict == KB_CHECK_REGRESSION
		       ? fmax(p, P_OF_BLAME)
		       : p;
}

static int by_change(const void *a, const void *b)
{
	const struct kb_check_function *x = a, *y = b;

	if (x->blamed != y->blamed)
		return x->blamed ? -1 : 1;
	if (x->change != y->change)
		return x->change > y->change ? -1 : 1;
	return strcmp(x->name, y->name) ?: strcmp(x->file, y->file);
}

static struct kb_error *list(struct kb_check *check, const struct matrix *m,
			     const struct kb_member *members)
{
	double *const *cpu = check->runs[KB_CHECK_CPU];
	double whole = mean(cpu[KB_CHECK_HEAD], m->n_pairs) - mean(cpu[KB_CHECK_BASE], m->n_pairs),
	       enough = p_of_blame(check);

	check->functions = calloc(m->n + 1, sizeof(*check->functions));
	if (!check->functions)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < m->n; i++) {
		const struct kb_check_name *name = &check->names[m->members[i].name];
		struct kb_check_function *f = &check->functions[check->n_functions];

		if (name->ignored)
			continue;
		*f = (struct kb_check_function){
			.size = sizeof(*f),
			.kind = name->kind,
			.name = name->name,
			.file = name->file,
			.change = members[i].mean,
			.low = members[i].low,
			.high = members[i].high,
			.p = members[i].p,
			.part = whole != 0 ? members[i].mean / whole : 0,
			.blamed = members[i].p < enough && members[i].mean > 0,
			.n_lines = i, /* the member, until add_lines() */
		};
		for (int side = 0; side < KB_CHECK_SIDES; side++) {
			f->line[side] = name->line[side];
			f->seconds[side] = mean(row(m, i, side), m->n_pairs);
		}
		check->n_functions++;
	}
	qsort(check->functions, check->n_functions, sizeof(*check->functions), by_change);
	return add_lines(check, m);
}

struct kb_error *kb_check__compare_functions(struct kb_check *check)
{
	struct matrix m = {};
	struct member *members;
	struct kb_member *tested;
	struct kb_error *err;

	if (!check->n_entries || !check->meta.n_pairs || !check->runs[KB_CHECK_CPU][0])
		return NULL;
	KB_TRY(choose_members(check, &members, &m.n));
	m.members = members;
	tested = calloc(m.n + 1, sizeof(*tested));
	err = tested ? fill(check, &m) : kb_error__no_memory();
	if (!err)
		err = check->meta.recordings ? test_recordings(check, &m, tested)
					     : test_pairs(check, &m, tested);
	if (!err)
		err = list(check, &m, tested);
	free(tested);
	free(m.row_of);
	free(m.seconds);
	free(members);
	return err;
}
