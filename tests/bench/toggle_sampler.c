// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Drives a sampling session for benchmarks: samples processes, either without a
 * break or in every other window of a schedule, and tells as JSON what it cost.
 *
 *   toggle_sampler [-a] [-p PID] -r HZ|tick [-n] [-s] [-o FILE] [-T]
 *
 * When it is set up it prints "ready" and waits for one line on stdin:
 *
 *   START WINDOW COUNT PARITY    seconds of CLOCK_MONOTONIC, seconds, windows, 0 or 1
 *
 * It samples during the windows whose number has the given parity. Then it prints
 * one line of JSON, with the times at which sampling was really on.
 *
 * -n has native frames in the stacks. -s switches the kernel's statistics on BPF run time on, which
 * cost time themselves. -o writes collapsed stacks with lines. -T samples in all windows without a
 * break.
 *
 * The kernel's tables are drained in windows that are on, and half as often as
 * usual, since half of the time there is nothing to drain: what draining costs
 * falls on the samples drained, in the usual proportion.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <json-c/json.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "keelback/keelback.h"

#define WINDOWS_MAX 100000
#define FDS_MAX	    4096
#define DRAIN_MS    1000

struct bench {
	struct kb_target_opts target_opts;
	struct kb_sample_opts sample_opts;
	pid_t pid;
	bool run_stats, always;
	const char *collapsed;
	struct kb_target *target;
	struct kb_sampler *sampler;
	double start, window;
	long count, parity;
	double setup_cpu, cpu, toggle_cpu, stop_cpu; /* seconds */
	double *on, *off; /* when sampling began and ended, one pair a window */
	long n_on;
	struct json_object *programs, *memory;
};

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void sleep_until(double when)
{
	struct timespec t = { .tv_sec = (time_t)when,
			      .tv_nsec = (long)((when - (time_t)when) * 1e9) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static void die_on(struct kb_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "toggle_sampler: %s\n", kb_error__text(err));
	exit(kb_error__status(err));
}

static void log_line(int level, const char *line, void *context)
{
	fprintf(stderr, "toggle_sampler: %s\n", line);
}

static void parse(struct bench *b, int argc, char **argv)
{
	int option;

	b->target_opts.size = sizeof(b->target_opts);
	b->sample_opts.size = sizeof(b->sample_opts);
	while ((option = getopt(argc, argv, "ap:r:nso:T")) != -1) {
		if (option == 'a') {
			b->target_opts.all = true;
		} else if (option == 'p') {
			b->pid = atoi(optarg);
			b->target_opts.pids = &b->pid;
			b->target_opts.n_pids = 1;
		} else if (option == 'r') {
			b->sample_opts.tick = !strcmp(optarg, "tick");
			b->sample_opts.rate_hz = b->sample_opts.tick ? 0 : atoi(optarg);
		} else if (option == 'n') {
			b->sample_opts.native = true;
		} else if (option == 's') {
			b->run_stats = true;
		} else if (option == 'o') {
			b->collapsed = optarg;
		} else if (option == 'T') {
			b->always = true;
		} else {
			exit(2);
		}
	}
	b->sample_opts.drain_ms = b->always ? DRAIN_MS : 2 * DRAIN_MS;
}

/* Reads the schedule; without one there is nothing to do. */
static void await_schedule(struct bench *b)
{
	printf("ready\n");
	fflush(stdout);
	if (scanf("%lf %lf %ld %ld", &b->start, &b->window, &b->count, &b->parity) != 4 ||
	    b->count < 1 || b->count > WINDOWS_MAX)
		exit(2);
	if (b->always) {
		b->window *= b->count;
		b->count = 1;
		b->parity = 0;
	}
	b->on = calloc(b->count, sizeof(*b->on));
	b->off = calloc(b->count, sizeof(*b->off));
	if (!b->on || !b->off)
		exit(1);
}

/* What switching costs is not the sampler's: a user does not do it seven times a second. */
static void set_paused(struct bench *b, bool paused)
{
	double cpu = now(CLOCK_PROCESS_CPUTIME_ID);

	die_on(kb_sampler__pause(b->sampler, paused));
	b->toggle_cpu += now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
}

static void sample_until(struct bench *b, double end)
{
	bool done = false;
	double left;

	/* The last part of a millisecond is left out: waiting is by whole ones. */
	while (!done && (left = end - now(CLOCK_MONOTONIC)) > 0.001)
		die_on(kb_sampler__poll(b->sampler, left < 1 ? (int)(left * 1000) : 1000, &done));
}

static void run_windows(struct bench *b)
{
	double cpu = now(CLOCK_PROCESS_CPUTIME_ID);

	for (long i = 0; i < b->count; i++) {
		if (i % 2 != b->parity)
			continue;
		sleep_until(b->start + i * b->window);
		b->on[b->n_on] = now(CLOCK_MONOTONIC);
		set_paused(b, false);
		sample_until(b, b->start + (i + 1) * b->window);
		set_paused(b, true);
		b->off[b->n_on++] = now(CLOCK_MONOTONIC);
	}
	b->cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu - b->toggle_cpu;
}

/* The number in the line of a file that begins with the name; 0: no such line. */
static unsigned long long field(const char *path, const char *name)
{
	unsigned long long value = 0;
	char line[512];
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			value += strtoull(line + strlen(name), NULL, 10);
	if (file)
		fclose(file);
	return value;
}

/* Resident memory apart from the mapped rings, which are memory of the maps. In kB. */
static unsigned long long resident_kb(void)
{
	unsigned long long rss = 0;
	bool counts = true;
	char line[4096];
	FILE *file = fopen("/proc/self/smaps", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (strchr("0123456789abcdef", line[0]))
			counts = !strstr(line, "bpf-map");
		else if (counts && !strncmp(line, "Rss:", 4))
			rss += strtoull(line + 4, NULL, 10);
	}
	if (file)
		fclose(file);
	return rss;
}

static void add_program(struct bench *b, int fd)
{
	struct bpf_prog_info info = {};
	struct json_object *program;
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) || !info.run_cnt)
		return;
	program = json_object_new_object();
	json_object_object_add(program, "runs", json_object_new_int64(info.run_cnt));
	json_object_object_add(program, "ns_per_run",
			       json_object_new_double((double)info.run_time_ns / info.run_cnt));
	json_object_object_add(b->programs, info.name, program);
}

/* What this process's own descriptors say of its BPF programs and maps. */
static void look_at_bpf(struct bench *b)
{
	char path[64], link[64];
	unsigned long long maps = 0;

	b->programs = json_object_new_object();
	b->memory = json_object_new_object();
	for (int fd = 0; fd < FDS_MAX; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		if (!strcmp(link, "anon_inode:bpf-prog"))
			add_program(b, fd);
		else if (!strcmp(link, "anon_inode:bpf-map"))
			maps += field(path, "memlock:\t");
	}
	json_object_object_add(b->memory, "maps_bytes", json_object_new_int64(maps));
	json_object_object_add(b->memory, "rss_bytes", json_object_new_int64(resident_kb() << 10));
	json_object_object_add(b->memory, "rss_max_bytes",
			       json_object_new_int64(field("/proc/self/status", "VmHWM:") << 10));
}

static void write_collapsed(const struct bench *b)
{
	struct kb_format_opts opts = { .size = sizeof(opts), .lines = true };
	FILE *file;

	if (!b->collapsed)
		return;
	file = fopen(b->collapsed, "we");
	if (!file) {
		perror(b->collapsed);
		exit(1);
	}
	die_on(kb_format__write(kb_format__by_name("collapsed"), kb_sampler__profile(b->sampler),
				&opts, file));
	fclose(file);
}

/* The deepest stack that was sampled. */
static uint32_t max_depth(const struct kb_profile *profile)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);
	const struct kb_sample *samples = kb_profile__samples(profile);
	uint32_t max = 0;

	for (uint32_t i = 0; i < kb_profile__n_samples(profile); i++) {
		uint32_t depth = 0;

		for (uint32_t n = samples[i].node; n != KB_ID_NONE; n = nodes[n].parent)
			depth++;
		if (depth > max)
			max = depth;
	}
	return max;
}

static struct json_object *ledger(const struct kb_profile *profile)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.count)
			json_object_object_add(object, entry.name,
					       json_object_new_int64(entry.count));
	}
	return object;
}

static struct json_object *times(const struct bench *b)
{
	struct json_object *array = json_object_new_array();

	for (long i = 0; i < b->n_on; i++) {
		struct json_object *pair = json_object_new_array();

		json_object_array_add(pair, json_object_new_double(b->on[i]));
		json_object_array_add(pair, json_object_new_double(b->off[i]));
		json_object_array_add(array, pair);
	}
	return array;
}

static void report(const struct bench *b)
{
	const struct kb_profile *profile = kb_sampler__profile(b->sampler);
	struct json_object *out = json_object_new_object();
	struct kb_sampler_stats stats = { .size = sizeof(stats) };

	kb_sampler__stats(b->sampler, &stats);
	json_object_object_add(out, "clock", json_object_new_string(stats.clock));
	json_object_object_add(out, "rate_hz",
			       json_object_new_double(kb_profile__meta(profile)->rate_hz));
	json_object_object_add(out, "attempted",
			       json_object_new_int64(kb_profile__attempted(profile)));
	json_object_object_add(out, "samples", json_object_new_int64(kb_profile__total(profile)));
	json_object_object_add(out, "stacks",
			       json_object_new_int64(kb_profile__n_samples(profile)));
	json_object_object_add(out, "depth", json_object_new_int64(max_depth(profile)));
	json_object_object_add(out, "processes", json_object_new_int64(stats.processes));
	json_object_object_add(out, "setup_cpu", json_object_new_double(b->setup_cpu));
	json_object_object_add(out, "cpu", json_object_new_double(b->cpu));
	json_object_object_add(out, "toggle_cpu", json_object_new_double(b->toggle_cpu));
	json_object_object_add(out, "stop_cpu", json_object_new_double(b->stop_cpu));
	json_object_object_add(out, "ledger", ledger(profile));
	json_object_object_add(out, "programs", b->programs);
	json_object_object_add(out, "memory", b->memory);
	json_object_object_add(out, "on", times(b));
	printf("%s\n", json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN));
	json_object_put(out);
}

int main(int argc, char **argv)
{
	struct bench b = {};
	double cpu;

	parse(&b, argc, argv);
	kb_log__set(log_line, NULL, 0);
	if (b.run_stats && bpf_enable_stats(BPF_STATS_RUN_TIME) < 0) {
		perror("toggle_sampler: cannot switch BPF statistics on");
		return 1;
	}
	die_on(kb_target__create(&b.target_opts, &b.target));
	die_on(kb_sampler__create(b.target, &b.sample_opts, &b.sampler));
	die_on(kb_sampler__start(b.sampler));
	die_on(kb_sampler__pause(b.sampler, true));
	b.setup_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	await_schedule(&b);
	run_windows(&b);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	look_at_bpf(&b);
	die_on(kb_sampler__stop(b.sampler));
	b.stop_cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	write_collapsed(&b);
	report(&b);
	kb_sampler__destroy(b.sampler);
	kb_target__destroy(b.target);
	free(b.on);
	free(b.off);
	return 0;
}
