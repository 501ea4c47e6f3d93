// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The "processed" profile format of the Firefox Profiler, which https://profiler.firefox.com opens
 * from a file: types in src/types/profile.ts of github.com/firefox-devtools/profiler, versions in
 * its docs-developer/CHANGELOG-formats.md. Version 61 is written, the first one but one whose
 * tables of stacks, frames and functions are shared by all threads; newer profilers bring older
 * files up to date themselves.
 *
 * With single samples (moments) a thread's samples have their times, markers say when it held
 * the GIL, collected garbage or waited, and a wait has a frame of its own on its stack. Without
 * them there are only sums: each is one sample with a weight, and they stand one behind the other
 * in preorder, which meta.extra says.
 *
 * What the profiler calls JavaScript is Python here: so its "stacks of JavaScript only" are of
 * Python only.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "format/gecko.h"
#include "format/label.h"
#include "format/pair_index.h"
#include "format/sample_time.h"
#include "format/writers.h"

#define PROCESSED_VERSION 61
#define GECKO_VERSION	  34	     /* of Firefox's own files, which this never was */
#define RATE_SMALLEST	  1e-5	     /* Hz: a day is a long interval */
#define STRING_BYTES	  (1u << 30) /* of all text; the profile holds a quarter of it */
#define STRINGS		  (1u << 24)

static const struct {
	const char *name, *color;
} categories[KB_GECKO_CATEGORIES] = {
	[KB_GECKO_OTHER] = { "Other", "grey" },
	[KB_GECKO_PYTHON] = { "Python", "yellow" },
	[KB_GECKO_NATIVE] = { "Native", "blue" },
	[KB_GECKO_KERNEL] = { "Kernel", "orange" },
	[KB_GECKO_GC] = { "GC", "purple" },
	[KB_GECKO_GIL] = { "GIL", "green" },
	[KB_GECKO_GIL_WAIT] = { "Waiting for the GIL", "red" },
	[KB_GECKO_IDLE] = { "Idle", "transparent" },
	[KB_GECKO_EXCEPTION] = { "Exception", "magenta" },
};

/* ---------------------------------------------------------------- meta */

static void write_entry(struct kb_json_out *out, const char *label, const char *text,
			uint64_t number)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "label", label);
	kb_json_out__text(out, "format", text ? "string" : "integer");
	if (text)
		kb_json_out__text(out, "value", text);
	else
		kb_json_out__uint(out, "value", number);
	kb_json_out__close(out, '}');
}

static void open_section(struct kb_json_out *out, const char *label)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "label", label);
	kb_json_out__open(out, "entries", '[');
}

static void close_section(struct kb_json_out *out)
{
	kb_json_out__close(out, ']');
	kb_json_out__close(out, '}');
}

static void write_extra(struct kb_gecko *gecko)
{
	const struct kb_profile_meta *meta = kb_profile__meta(gecko->profile);
	const char *mode = kb_sample_mode__name(meta->mode);
	struct kb_json_out *out = &gecko->out;

	kb_json_out__open(out, "extra", '[');
	open_section(out, "keelback");
	write_entry(out, "Target", meta->target, 0);
	write_entry(out, "Host", meta->host, 0);
	write_entry(out, "Mode", mode ? mode : "?", 0);
	write_entry(out, "Times",
		    gecko->timeline ? "of single samples"
				    : "none: samples of a stack are one, they stand one "
				      "behind the other",
		    0);
	if (meta->incomplete)
		write_entry(out, "Incomplete", "the recording was cut off", 0);
	close_section(out);
	open_section(out, "Samples");
	write_entry(out, "attempted", NULL, kb_profile__attempted(gecko->profile));
	for (size_t i = 0; i < kb_profile__n_ledger(gecko->profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(gecko->profile, i);

		if (entry.count)
			write_entry(out, entry.name, NULL, entry.count);
	}
	close_section(out);
	kb_json_out__close(out, ']');
}

static void write_categories(struct kb_json_out *out)
{
	kb_json_out__open(out, "categories", '[');
	for (size_t i = 0; i < KB_GECKO_CATEGORIES; i++) {
		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "name", categories[i].name);
		kb_json_out__text(out, "color", categories[i].color);
		kb_json_out__open(out, "subcategories", '[');
		kb_json_out__text(out, NULL, "Other");
		kb_json_out__close(out, ']');
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

static bool has_native(const struct kb_profile *profile)
{
	for (uint32_t i = 0; i < kb_profile__n_functions(profile); i++) {
		enum kb_frame_kind kind = kb_profile__function(profile, i)->kind;

		if (kind == KB_FRAME_NATIVE || kind == KB_FRAME_KERNEL)
			return true;
	}
	return false;
}

static void write_meta(struct kb_gecko *gecko, const char *title)
{
	const struct kb_profile_meta *meta = kb_profile__meta(gecko->profile);
	struct kb_json_out *out = &gecko->out;

	kb_json_out__open(out, "meta", '{');
	kb_json_out__uint(out, "version", GECKO_VERSION);
	kb_json_out__uint(out, "preprocessedProfileVersion", PROCESSED_VERSION);
	kb_json_out__ms(out, "interval", gecko->interval_ns ? gecko->interval_ns : KB_NS_PER_MS);
	kb_json_out__ms(out, "startTime",
			meta->start_unix_ns > 0 ? (uint64_t)meta->start_unix_ns : 0);
	kb_json_out__uint(out, "profilingStartTime", 0);
	kb_json_out__ms(out, "profilingEndTime", meta->duration_ns);
	kb_json_out__text(out, "product", title ? title : meta->target);
	kb_json_out__textf(out, "importedFrom", "keelback %s", meta->version);
	kb_json_out__text(out, "platform", "Linux");
	kb_json_out__textf(out, "oscpu", "Linux %s", meta->kernel);
	kb_json_out__uint(out, "processType", 0);
	kb_json_out__uint(out, "stackwalk", 1);
	kb_json_out__bool(out, "symbolicated", true);
	kb_json_out__bool(out, "symbolicationNotSupported", true);
	kb_json_out__bool(out, "usesOnlyOneStackType", !has_native(gecko->profile));
	kb_json_out__bool(out, "sourceCodeIsNotOnSearchfox", true);
	kb_json_out__open(out, "sampleUnits", '{');
	kb_json_out__text(out, "time", "ms");
	kb_json_out__text(out, "eventDelay", "ms");
	kb_json_out__text(out, "threadCPUDelta", "ns");
	kb_json_out__close(out, '}');
	write_categories(out);
	kb_gecko__write_schema(gecko);
	write_extra(gecko);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

/* ---------------------------------------------------------------- threads */

/* What every thread has: its life and its table of pauses are not known. */
static void open_thread(struct kb_json_out *out, const char *name, bool is_main)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "name", name);
	kb_json_out__bool(out, "isMainThread", is_main);
	kb_json_out__text(out, "processType", "default");
	kb_json_out__uint(out, "processStartupTime", 0);
	kb_json_out__null(out, "processShutdownTime");
	kb_json_out__uint(out, "registerTime", 0);
	kb_json_out__null(out, "unregisterTime");
	kb_json_out__open(out, "pausedRanges", '[');
	kb_json_out__close(out, ']');
}

/* The profiler tells processes by PID, which the kernel gives out again: instance counts them. */
static void write_thread(struct kb_gecko *gecko, uint32_t id, uint32_t instance)
{
	const struct kb_thread_info *thread = kb_profile__thread(gecko->profile, id);
	const struct kb_process_info *process =
		kb_profile__process(gecko->profile, thread->process);
	struct kb_json_out *out = &gecko->out;

	open_thread(out, kb_label__of_thread(thread).name, thread->tid == process->pid);
	kb_json_out__text(out, "processName", process->comm);
	if (instance)
		kb_json_out__textf(out, "pid", "%" PRId32 ".%" PRIu32, process->pid, instance);
	else
		kb_json_out__textf(out, "pid", "%" PRId32, process->pid);
	kb_json_out__int(out, "tid", thread->tid);
	kb_gecko__write_samples(gecko, id);
	kb_gecko__write_markers(gecko, id);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

/* Of each process, how many before it had its PID. */
static struct kb_error *count_instances(const struct kb_profile *profile, uint32_t *instance)
{
	uint32_t n = kb_profile__n_processes(profile), id;
	uint32_t *next = calloc((size_t)n + 1, sizeof(*next));
	struct kb_error *err = NULL;
	struct kb_pair_index *pids;

	if (!next)
		return kb_error__no_memory();
	err = kb_pair_index__create(&pids);
	for (uint32_t i = 0; !err && i < n; i++) {
		int32_t pid = kb_profile__process(profile, i)->pid;

		err = kb_pair_index__add(pids, (struct kb_pair){ (uint32_t)pid, 0 }, &id);
		if (!err)
			instance[i] = next[id]++;
	}
	if (pids)
		kb_pair_index__destroy(pids);
	free(next);
	return err;
}

/* The profiler wants at least one thread. */
static void write_no_threads(struct kb_gecko *gecko)
{
	struct kb_json_out *out = &gecko->out;

	open_thread(out, "no samples", true);
	kb_json_out__text(out, "pid", "0");
	kb_json_out__int(out, "tid", 0);
	kb_json_out__open(out, "samples", '{');
	kb_json_out__open(out, "stack", '[');
	kb_json_out__close(out, ']');
	kb_json_out__open(out, "time", '[');
	kb_json_out__close(out, ']');
	kb_json_out__null(out, "weight");
	kb_json_out__text(out, "weightType", "samples");
	kb_json_out__uint(out, "length", 0);
	kb_json_out__close(out, '}');
	kb_json_out__open(out, "markers", '{');
	for (size_t i = 0; i < 6; i++) {
		static const char *const columns[] = { "data",	  "name",  "startTime",
						       "endTime", "phase", "category" };

		kb_json_out__open(out, columns[i], '[');
		kb_json_out__close(out, ']');
	}
	kb_json_out__uint(out, "length", 0);
	kb_json_out__close(out, '}');
	kb_json_out__close(out, '}');
}

static void write_threads(struct kb_gecko *gecko)
{
	uint32_t n = kb_profile__n_threads(gecko->profile), written = 0;
	uint32_t *instance =
		calloc((size_t)kb_profile__n_processes(gecko->profile) + 1, sizeof(*instance));

	if (!gecko->err)
		gecko->err = instance ? count_instances(gecko->profile, instance)
				      : kb_error__no_memory();
	kb_json_out__open(&gecko->out, "threads", '[');
	for (uint32_t i = 0; i < n && !gecko->err && !ferror(gecko->out.stream); i++) {
		if (gecko->rows.first[i] == gecko->rows.first[i + 1])
			continue;
		write_thread(gecko, i, instance[kb_profile__thread(gecko->profile, i)->process]);
		written++;
	}
	if (!written)
		write_no_threads(gecko);
	kb_json_out__close(&gecko->out, ']');
	free(instance);
}

/* ---------------------------------------------------------------- order */

static uint32_t rank_of(const struct kb_gecko *gecko, const struct kb_sample *sample)
{
	uint32_t stack = gecko->stacks->stack_of_node[sample->node];

	return stack == KB_ID_NONE ? KB_ID_NONE : gecko->stacks->rank[stack];
}

static int compare_samples(const void *a, const void *b, void *arg)
{
	const struct kb_gecko *gecko = arg;
	const struct kb_sample *x = &kb_profile__samples(gecko->profile)[*(const uint32_t *)a];
	const struct kb_sample *y = &kb_profile__samples(gecko->profile)[*(const uint32_t *)b];
	uint32_t x_rank, y_rank;

	if (x->thread != y->thread)
		return x->thread < y->thread ? -1 : 1;
	x_rank = rank_of(gecko, x);
	y_rank = rank_of(gecko, y);
	return (x_rank > y_rank) - (x_rank < y_rank);
}

/* Without times: by stack, in preorder. */
static struct kb_error *order_samples(struct kb_gecko *gecko)
{
	const struct kb_sample *samples = kb_profile__samples(gecko->profile);
	uint32_t n_threads = kb_profile__n_threads(gecko->profile), at = 0;
	uint32_t n = kb_profile__n_samples(gecko->profile);
	struct kb_timeline *rows = &gecko->rows;

	rows->order = calloc((size_t)n + 1, sizeof(*rows->order));
	rows->first = calloc((size_t)n_threads + 1, sizeof(*rows->first));
	if (!rows->order || !rows->first)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		rows->order[i] = i;
	if (n)
		qsort_r(rows->order, n, sizeof(*rows->order), compare_samples, gecko);
	for (uint32_t i = 0; i < n_threads; i++) {
		rows->first[i] = at;
		while (at < n && samples[rows->order[at]].thread == i)
			at++;
	}
	rows->first[n_threads] = n;
	return NULL;
}

/* Numbers a stack for each that something waits on, in the order of those. */
static void find_waiting(struct kb_gecko *gecko)
{
	const struct kb_moment *moments = kb_profile__moments(gecko->profile);
	const struct kb_stack_list *stacks = gecko->stacks;

	for (uint32_t i = 0; i < stacks->n; i++)
		gecko->waiting[i] = KB_ID_NONE;
	for (uint32_t i = 0; i < kb_profile__n_moments(gecko->profile); i++)
		if (moments[i].flags & KB_MOMENT_OFF_CPU && moments[i].count)
			gecko->waiting[stacks->stack_of_node[moments[i].node]] = 0;
	for (uint32_t i = 0; i < stacks->n; i++)
		if (gecko->waiting[i] != KB_ID_NONE)
			gecko->waiting[i] = stacks->n + gecko->n_waiting++;
}

static struct kb_error *prepare(struct kb_gecko *gecko)
{
	double rate = kb_sample_time__rate(gecko->profile);

	gecko->timeline = kb_profile__n_moments(gecko->profile) > 0;
	if (rate > RATE_SMALLEST)
		gecko->interval_ns = (uint64_t)llround(KB_NS_PER_SECOND / rate);
	KB_TRY(kb_stack_list__create(gecko->profile, &gecko->stacks));
	gecko->strings = kb_strpool__create(STRING_BYTES, STRINGS);
	gecko->waiting = calloc((size_t)gecko->stacks->n + 1, sizeof(*gecko->waiting));
	if (!gecko->strings || !gecko->waiting)
		return kb_error__no_memory();
	find_waiting(gecko);
	return gecko->timeline ? kb_timeline__init(&gecko->rows, gecko->profile)
			       : order_samples(gecko);
}

struct kb_error *kb_gecko__write(const struct kb_profile *profile,
				 const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_gecko gecko = { .profile = profile, .out = { stream, false } };

	gecko.err = prepare(&gecko);
	if (!gecko.err) {
		kb_json_out__open(&gecko.out, NULL, '{');
		write_meta(&gecko, opts->title);
		write_threads(&gecko);
		kb_gecko__write_tables(&gecko);
		kb_json_out__close(&gecko.out, '}');
		kb_json_out__line(&gecko.out);
	}
	kb_stack_list__destroy(gecko.stacks);
	kb_strpool__destroy(gecko.strings);
	kb_timeline__free(&gecko.rows);
	free(gecko.waiting);
	return gecko.err;
}
