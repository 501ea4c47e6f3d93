// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Samples a process, or a command, for two seconds and prints its hottest functions.
 *
 *     cc sample.c -o sample $(pkg-config --cflags --libs keelback)
 *     sudo ./sample 4711
 *     sudo ./sample python3 program.py
 *
 * The life of a session is target → sampler → profile. Every call that can fail
 * returns an error that the caller destroys; results come in the last parameter.
 */
#include <inttypes.h>
#include <keelback/keelback.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS 2
#define TOP	10

/* Samples by function, to be sorted. */
struct count {
	uint32_t function;
	uint64_t samples;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A number is a PID, anything else a command with its arguments. */
static struct kb_error *make_target(char **argv, struct kb_target **target)
{
	struct kb_target_opts opts = { .size = sizeof(opts) };
	pid_t pid = strtol(argv[1], NULL, 10);

	if (pid > 0) {
		opts.pids = &pid;
		opts.n_pids = 1;
	} else {
		opts.argv = argv + 1;
	}
	return kb_target__create(&opts, target);
}

/* Samples until the time is over or the target has ended. */
static struct kb_error *collect(struct kb_sampler *sampler)
{
	struct kb_error *err = kb_sampler__start(sampler);
	double end = now() + SECONDS;
	bool done = false;

	while (!err && !done && now() < end)
		err = kb_sampler__poll(sampler, 100, &done);
	return err;
}

static int by_samples(const void *a, const void *b)
{
	const struct count *left = a, *right = b;

	return (left->samples < right->samples) - (left->samples > right->samples);
}

/*
 * A sample names the leaf of its stack, a node of the tree. The node names a frame,
 * the frame a function. Ids are dense, so arrays hold what one wants to know of them.
 */
static void print_functions(const struct kb_profile *profile)
{
	uint32_t n = kb_profile__n_functions(profile);
	uint64_t total = kb_profile__total(profile);
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);
	const struct kb_sample *samples = kb_profile__samples(profile);
	struct count *counts = calloc(n ? n : 1, sizeof(*counts));

	if (!counts)
		return;
	for (uint32_t i = 0; i < n; i++)
		counts[i].function = i;
	for (uint32_t i = 0; i < kb_profile__n_samples(profile); i++) {
		uint32_t frame = nodes[samples[i].node].frame;

		counts[kb_profile__frame(profile, frame)->function].samples += samples[i].count;
	}
	qsort(counts, n, sizeof(*counts), by_samples);
	for (uint32_t i = 0; i < n && i < TOP && counts[i].samples; i++) {
		const struct kb_function_info *function =
			kb_profile__function(profile, counts[i].function);

		printf("%6.1f %%  %s (%s:%d)\n", 100.0 * counts[i].samples / total, function->name,
		       function->file, function->first_line);
	}
	free(counts);
}

/* What became of every sample, also of those that are not in the profile. */
static void print_ledger(const struct kb_profile *profile)
{
	printf("%" PRIu64 " samples attempted\n", kb_profile__attempted(profile));
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.count)
			printf("%8" PRIu64 "  %s: %s%s\n", entry.count, entry.name, entry.text,
			       entry.note ? " (no sample)" : "");
	}
}

static struct kb_error *run(char **argv)
{
	struct kb_sample_opts opts = { .size = sizeof(opts) };
	struct kb_target *target = NULL;
	struct kb_sampler *sampler = NULL;
	struct kb_error *err = make_target(argv, &target);

	if (!err)
		err = kb_sampler__create(target, &opts, &sampler);
	if (!err)
		err = collect(sampler);
	if (!err)
		err = kb_sampler__stop(sampler);
	if (!err) {
		print_functions(kb_sampler__profile(sampler));
		print_ledger(kb_sampler__profile(sampler));
	}
	if (sampler)
		kb_sampler__destroy(sampler);
	if (target)
		kb_target__destroy(target);
	return err;
}

int main(int argc, char **argv)
{
	struct kb_error *err;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: %s PID | COMMAND [ARG…]\n", argv[0]);
		return KB_STATUS_USAGE;
	}
	err = run(argv);
	status = kb_error__status(err);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[0], kb_error__text(err));
	kb_error__destroy(err);
	return status;
}
