// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A session that traces allocations: what happens in the kernel is described in bpf/memory.bpf.c,
 * how each process is observed in memory_plan.h. All figures are the kernel's; they are taken when
 * somebody wants to see them, and at the end.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "collect/memory_look.h"
#include "collect/memory_snapshot.h"
#include "keelback/inspect.h"
#include "model/recording.h"

#define DRAIN_MS      1000
#define DATA_BYTES    (8u << 20) /* as for sampling: stacks are new at about the same rate */
#define STACKS_MAX    (1u << 16) /* that allocate, 200 bytes each; a large program has some 20,000 */
#define EXEC_DELAY_MS 10	 /* dynamic linking takes 1 to 2 ms */
#define FRAMES_MAX    2048	 /* KB_FRAMES_MAX */

#define PERIOD_NS    KB_NS_PER_SECOND	     /* of --duty */
#define RATE_LOOK_NS (KB_NS_PER_SECOND / 50) /* between looks at how much has happened */
#define SECONDS_FIRST                                                                              \
	8 /* whose events may all be the first: imports, a heap that grows towards its limit */

/* When growth is observed, and when not. */
struct pace {
	uint64_t period;    /* when the present one began, CLOCK_MONOTONIC, ns */
	uint64_t looked;    /* at the rate */
	uint64_t events;    /* as of then */
	double left;	    /* events that may still come, until more is granted */
	uint64_t paused;    /* since when, 0: it is observed */
	uint64_t resume_at; /* not before, where the rate was too high */
	bool told;
};

struct kb_memory_tracer {
	struct kb_session session;
	struct kb_memory_opts opts;
	struct kb_memory_processes *processes;
	struct kb_memory_look *look;
	struct kb_memory_snapshot snapshot;
	struct pace pace;
	struct kb_recording_writer *recording;
	FILE *recording_file;
	struct kb_error *failed; /* the first process that could not be traced */
	uint32_t traced;
	bool set_malloc; /* PYTHONMALLOC is ours, for the command */
};

/* ---------------------------------------------------------------- processes */

static void note(struct kb_memory_tracer *t, pid_t pid, struct kb_error *err)
{
	struct kb_process_stat stat;

	if (!err) {
		t->traced++;
		return;
	}
	/* It has ended meanwhile: nothing is missing. */
	if (t->session.running && (!kb_process__stat(pid, &stat) || stat.state == 'Z')) {
		kb_error__destroy(err);
		return;
	}
	if (!t->failed && !t->traced && !t->session.running) {
		t->failed = err;
		return;
	}
	kb_warn("%s", kb_error__text(err));
	kb_error__destroy(err);
}

static void on_identified(pid_t pid, uint32_t proc, const struct kb_interpreter *interp,
			  void *context)
{
	struct kb_memory_tracer *t = context;

	note(t, pid, kb_memory_processes__add(t->processes, pid, proc, interp));
}

/* It began without us: its probes come now. */
static void on_new_process(pid_t pid, uint32_t proc, void *context)
{
	struct kb_memory_tracer *t = context;
	struct kb_interpreter interp;
	struct kb_proc known;

	if (!kb_programs__get_proc(t->session.programs, pid, &known) || known.id != proc)
		return;
	if (kb_identifier__interpreter(t->session.identifier, pid, &interp))
		note(t, pid, kb_memory_processes__add(t->processes, pid, proc, &interp));
}

static void executed(pid_t pid, uint32_t image, void *context)
{
	struct kb_memory_tracer *t = context;
	struct kb_error *err = kb_memory_processes__add_executed(t->processes, pid, image);

	/* Said when it has begun, for then it is tried again. */
	if (err)
		kb_debug("%s", kb_error__text(err));
	kb_error__destroy(err);
}

static struct kb_error *on_image(uint32_t image, const struct kb_image_info *info, const char *path,
				 void *context)
{
	struct kb_memory_tracer *t = context;

	KB_TRY(kb_memory_processes__add_image(image, info, path, t->processes));
	/* Before the command is forked: it does not need another allocator to be traced exactly. */
	if (t->set_malloc && kb_memory_processes__is_exact(t->processes)) {
		unsetenv("PYTHONMALLOC");
		t->set_malloc = false;
	}
	return NULL;
}

/* ---------------------------------------------------------------- the session */

static struct kb_error *attach(struct kb_pids *pids, void *context)
{
	struct kb_memory_tracer *t = context;

	if (t->session.launch.pid)
		note(t, t->session.launch.pid,
		     kb_memory_processes__add_command(t->processes, t->session.launch.pid,
						      getenv("PYTHONMALLOC")));
	kb_memory_programs__clear(t->session.programs);
	if (t->failed && (!t->traced || t->session.target->argv)) {
		struct kb_error *err = t->failed;

		t->failed = NULL;
		return err;
	}
	if (t->failed)
		kb_warn("%s", kb_error__text(t->failed));
	return NULL;
}

static void on_notice(const struct kb_notice *notice, void *context)
{
	struct kb_memory_tracer *t = context;

	if (notice->kind == KB_NOTICE_PROCESS)
		t->session.drain_now = true;
}

static struct kb_error *drained(void *context)
{
	struct kb_memory_tracer *t = context;

	kb_memory_processes__look(t->processes);
	return NULL;
}

/* ---------------------------------------------------------------- pace */

static void add_events(uint32_t proc, const struct kb_memory_process *process, void *context)
{
	uint64_t *events = context;

	for (int i = 0; i < KB_GROUP_IDS; i++)
		*events += process->sums[i].total_blocks;
	*events += process->frees + process->frees_before;
}

/*
 * Have there been more events than may be? So many a second are granted, and a second's worth is
 * good for a burst; more at the start. True: until a second's worth has come together again,
 * *until.
 */
static bool too_fast(struct kb_memory_tracer *t, uint64_t now, uint64_t *until)
{
	struct pace *pace = &t->pace;
	double max = t->opts.rate_max, left = pace->left;
	uint64_t events = 0;

	if (now - pace->looked < RATE_LOOK_NS)
		return false;
	kb_error__destroy(
		kb_memory_programs__each_process(t->session.programs, add_events, &events));
	if (!pace->looked)
		left = max * SECONDS_FIRST;
	else if (left < max)
		left = fmin(max, left + max * (now - pace->looked) / KB_NS_PER_SECOND);
	if (events > pace->events)
		left -= events - pace->events;
	pace->left = left;
	pace->events = events;
	pace->looked = now;
	if (left >= 0)
		return false;
	*until = now + (uint64_t)((max - left) / max * KB_NS_PER_SECOND);
	return true;
}

static void warn(struct kb_error *err)
{
	if (err)
		kb_warn("%s", kb_error__text(err));
	kb_error__destroy(err);
}

static void count_pause(struct kb_memory_tracer *t, uint64_t now)
{
	t->snapshot.paused_ms += (now - t->pace.paused) / KB_NS_PER_MS;
}

/* What was freed meanwhile is found before anything is recorded again. */
static void set_paused(struct kb_memory_tracer *t, bool paused, uint64_t now)
{
	struct pace *pace = &t->pace;

	if (paused == (pace->paused != 0))
		return;
	if (!paused) {
		count_pause(t, now);
		warn(kb_memory_look__take(t->look, false));
	}
	pace->paused = paused ? now : 0;
	warn(kb_memory_processes__pause(t->processes, paused));
}

static int keep_pace(struct kb_memory_tracer *t, int wait_ms)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), on = PERIOD_NS, next = now + RATE_LOOK_NS;
	struct pace *pace = &t->pace;

	if (!kb_memory_processes__may_pause(t->processes))
		return wait_ms;
	if (t->opts.duty)
		on = PERIOD_NS / 100 * t->opts.duty;
	if (now - pace->period >= PERIOD_NS)
		pace->period = now;
	if (!pace->paused && too_fast(t, now, &pace->resume_at)) {
		if (!pace->told)
			kb_warn("more than %u allocations a second: observation pauses now and "
				"then "
				"(see the ledger)",
				t->opts.rate_max);
		pace->told = true;
	}
	set_paused(t, now < pace->resume_at || now - pace->period >= on, now);
	if (on < PERIOD_NS)
		next = pace->period + (pace->paused ? PERIOD_NS : on);
	return kb_ms_until(now, next, wait_ms);
}

#define RETRY_MS 1

static int work(int wait_ms, void *context)
{
	struct kb_memory_tracer *t = context;

	wait_ms = keep_pace(t, wait_ms);
	return kb_memory_processes__retry(t->processes) && wait_ms > RETRY_MS ? RETRY_MS : wait_ms;
}

static const struct kb_collector collector = { .attach = attach,
					       .executed = executed,
					       .notice = on_notice,
					       .drained = drained,
					       .work = work };

static struct kb_error *complete(struct kb_memory_opts *opts)
{
	if (opts->frames_max > FRAMES_MAX)
		return kb_usage("%u frames are too many: at most %d", opts->frames_max, FRAMES_MAX);
	if (!opts->blocks_max)
		opts->blocks_max = KB_MEMORY_BLOCKS_DEFAULT;
	if (opts->blocks_max > KB_MEMORY_BLOCKS_MAX)
		return kb_usage("%u live blocks are too many: at most %u", opts->blocks_max,
				KB_MEMORY_BLOCKS_MAX);
	if (opts->duty > 100)
		return kb_usage("a duty of %u %% is too much: at most 100", opts->duty);
	if (!opts->rate_max)
		opts->rate_max = KB_MEMORY_RATE_DEFAULT;
	return NULL;
}

static struct kb_error *open_recording(struct kb_memory_tracer *t)
{
	if (!t->opts.recording)
		return NULL;
	t->recording_file = fopen(t->opts.recording, "we");
	if (!t->recording_file)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write %s",
					    t->opts.recording);
	return kb_error__prefix(kb_recording_writer__create(t->recording_file, &t->recording), "%s",
				t->opts.recording);
}

static struct kb_error *create(struct kb_memory_tracer *t, const struct kb_target *target)
{
	struct kb_memory_plan_opts plan = { .want = t->opts.want, .libc = t->opts.libc };
	struct kb_programs_opts programs = {
		.runs = KB_RUN_MEMORY,
		.data_bytes = DATA_BYTES,
		.counts_max = 1,
		.blocks_max = t->opts.blocks_max,
		.memory_stacks_max = STACKS_MAX,
		.config = {
			.cgroup_id = target->cgroup.id,
			.cgroup_level = target->cgroup.level,
			.filter = target->filter,
			.children = target->children,
			.self_tgid = getpid(),
			.ring_high = DATA_BYTES / 4,
			.frames_max = t->opts.frames_max,
			.want = KB_WANT_PROCESSES |
				(t->opts.native ? KB_WANT_NATIVE | KB_WANT_NATIVE_MARKS : 0),
		},
	};
	struct kb_session_opts session = { .target = target,
					   .programs = &programs,
					   .collector = &collector,
					   .context = t,
					   .drain_ms = DRAIN_MS,
					   .frames_native = t->opts.native };

	KB_TRY(kb_session__open(&t->session, &session));
	KB_TRY(kb_memory_processes__create(t->session.programs, &plan, &t->processes));
	KB_TRY(kb_memory_look__create(t->session.programs, t->processes, &t->look));
	kb_identifier__set_exec_delay(t->session.identifier, EXEC_DELAY_MS);
	kb_identifier__on_image(t->session.identifier, on_image, t);
	kb_identifier__on_identified(t->session.identifier, on_identified, t);
	kb_identifier__on_new_process(t->session.identifier, on_new_process, t);
	t->snapshot = (struct kb_memory_snapshot){ .session = &t->session,
						   .processes = t->processes,
						   .frames_max = t->opts.frames_max };
	return open_recording(t);
}

struct kb_error *kb_memory_tracer__create(const struct kb_target *target,
					  const struct kb_memory_opts *opts,
					  struct kb_memory_tracer **result)
{
	struct kb_memory_tracer *t = calloc(1, sizeof(*t));
	struct kb_error *err;

	if (!t)
		return kb_error__no_memory();
	kb_session__init(&t->session);
	err = KB_COPY_OPTIONS(&t->opts, opts);
	if (!err)
		err = complete(&t->opts);
	if (!err)
		err = create(t, target);
	if (err)
		kb_memory_tracer__destroy(t);
	else
		*result = t;
	return err;
}

struct kb_error *kb_memory_tracer__start(struct kb_memory_tracer *t)
{
	struct kb_error *err;

	/* Where the command's interpreter is not known yet, it may need it. */
	t->set_malloc = t->opts.want == KB_MEMORY_EXACT && t->session.target->argv &&
			!getenv("PYTHONMALLOC");
	if (t->set_malloc)
		setenv("PYTHONMALLOC", "malloc", 1);
	err = kb_session__start(&t->session);
	if (t->set_malloc)
		unsetenv("PYTHONMALLOC");
	t->set_malloc = false;
	return err;
}

struct kb_error *kb_memory_tracer__poll(struct kb_memory_tracer *t, int timeout_ms, bool *done)
{
	return kb_session__poll(&t->session, timeout_ms, done);
}

struct kb_error *kb_memory_tracer__snapshot(struct kb_memory_tracer *t)
{
	struct kb_profile_meta meta;

	KB_TRY(kb_session__drain(&t->session));
	if (t->pace.paused)
		KB_TRY(kb_memory_look__take(t->look, !t->session.running));
	t->snapshot.freed_unseen = kb_memory_look__freed(t->look);
	KB_TRY(kb_memory_snapshot__take(&t->snapshot));
	kb_session__meta(&t->session, &meta);
	return kb_profile__set_meta(t->session.profile, &meta);
}

struct kb_error *kb_memory_tracer__stop(struct kb_memory_tracer *t)
{
	if (!t->session.running)
		return NULL;
	t->session.running = false;
	if (t->pace.paused)
		count_pause(t, kb_now(CLOCK_MONOTONIC));
	KB_TRY(kb_session__finish(&t->session));
	KB_TRY(kb_memory_tracer__snapshot(t));
	if (!t->recording)
		return NULL;
	return kb_error__prefix(kb_recording_writer__finish(t->recording, t->session.profile), "%s",
				t->opts.recording);
}

void kb_memory_tracer__clear(struct kb_memory_tracer *t)
{
	kb_memory_programs__clear(t->session.programs);
}

void kb_memory_tracer__reset_peak(struct kb_memory_tracer *t)
{
	kb_memory_programs__reset_peak(t->session.programs);
}

const struct kb_profile *kb_memory_tracer__profile(const struct kb_memory_tracer *t)
{
	return t->session.profile;
}

/* The smallest of those that hold an address. */
struct search {
	uint32_t proc;
	uint64_t address;
	struct kb_block_key key;
	struct kb_block block; /* size 0: none yet */
};

static void consider_block(const struct kb_block_key *key, const struct kb_block *block,
			   void *context)
{
	struct search *search = context;

	if (key->proc != search->proc || search->address < key->address ||
	    search->address - key->address >= block->size)
		return;
	if (search->block.size && search->block.size <= block->size)
		return;
	search->key = *key;
	search->block = *block;
}

struct kb_error *kb_memory_tracer__block(const struct kb_memory_tracer *t, uint32_t process,
					 uint64_t address, struct kb_memory_block *result)
{
	*result = (struct kb_memory_block){ .entry = KB_ID_NONE };
	for (uint32_t i = 0; i < kb_memory_processes__count(t->processes); i++) {
		const struct kb_traced_process *traced = kb_memory_processes__at(t->processes, i);
		struct search search = { .proc = traced->proc, .address = address };

		if (kb_ingest__process(t->session.ingest, traced->proc) != process)
			continue;
		KB_TRY(kb_memory_programs__each_block(t->session.programs, consider_block,
						      &search));
		if (!search.block.size || search.block.stack >= t->snapshot.n_entries)
			continue;
		result->address = search.key.address;
		result->size = search.block.size;
		if (search.block.time > t->session.started)
			result->time_ns = search.block.time - t->session.started;
		result->entry = t->snapshot.entries[search.block.stack];
		return NULL;
	}
	return NULL;
}

uint64_t kb_memory_tracer__rss(const struct kb_memory_tracer *t)
{
	uint64_t rss = 0;

	for (uint32_t i = 0; i < kb_memory_processes__count(t->processes); i++) {
		const struct kb_traced_process *traced = kb_memory_processes__at(t->processes, i);

		struct kb_process_memory now;

		if (!traced->ended && kb_process__memory(traced->pid, &now))
			rss += now.rss;
	}
	return rss;
}

const char *kb_memory_tracer__way_text(const struct kb_memory_tracer *t)
{
	const struct kb_traced_process *last = NULL;

	for (uint32_t i = 0; i < kb_memory_processes__count(t->processes); i++) {
		const struct kb_traced_process *traced = kb_memory_processes__at(t->processes, i);

		if (traced->ended)
			continue;
		if (last && last->way != traced->way)
			return "processes by different ways";
		last = traced;
	}
	return last ? kb_memory_way__text(last->way) : NULL;
}

pid_t kb_memory_tracer__command_pid(const struct kb_memory_tracer *t)
{
	return t->session.launch.pid;
}

int kb_memory_tracer__command_status(const struct kb_memory_tracer *t)
{
	return t->session.launch.status;
}

void kb_memory_tracer__destroy(struct kb_memory_tracer *t)
{
	if (!t)
		return;
	kb_recording_writer__destroy(t->recording);
	if (t->recording_file)
		fclose(t->recording_file);
	kb_memory_look__destroy(t->look);
	kb_memory_processes__destroy(t->processes);
	kb_memory_snapshot__free(&t->snapshot);
	kb_error__destroy(t->failed);
	kb_session__close(&t->session);
	free(t);
}
