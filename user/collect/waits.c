// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "collect/waits.h"
#include "python/remote_frames.h"
#include "python/remote_threads.h"
#include "system/process.h"

/* As many as BPF knows; others' threads show only from their first switch on. */
#define PROCESSES_MAX 4096

struct noted {
	pid_t pid;
	uint32_t proc;
	struct kb_interpreter interp;
};

/*
 * Waits that last are added bit by bit, at each drain, so that whoever looks meanwhile sees them.
 * When one ends, BPF adds all of it: what was added already is owed by its key, and is kept
 * from what comes under that key next. It makes no difference whether that is this wait or another:
 * both are of one thread and one stack.
 */
#define PARTIAL_NS (500 * KB_NS_PER_MS)

/* In a timeline each bit is an entry. */
#define MOMENT_NS (10 * KB_NS_PER_SECOND)
#define MOMENT_KEEP_NS                                                                             \
	KB_NS_PER_SECOND /* for the last seconds only, where the window's edge counts */

/* Of a thread that waits. */
struct progress {
	uint32_t tid;
	uint32_t seen;	 /* number of the drain */
	uint64_t since;	 /* of the wait */
	uint64_t until;	 /* added up to here */
	uint64_t moment; /* to the timeline up to here */
	UT_hash_handle hh;
};

struct owed {
	struct kb_stack_key key;
	uint64_t ns;
	UT_hash_handle hh;
};

struct kb_waits {
	struct kb_programs *programs;
	struct kb_ingest *ingest;
	kb_record_fn read;
	void *read_context;
	pid_t tid; /* 0: all */
	bool started;
	uint64_t ended;
	uint64_t min_ns;    /* waits that are shorter are not added */
	uint64_t moment_ns; /* 0: no timeline */
	struct progress *progress;
	struct owed *owed;
	uint64_t now; /* of the drain */
	uint32_t drains;
	struct noted *noted;
	uint32_t n_noted, capacity;
	struct kb_remote_stack stack;
	struct {
		struct kb_data_stack head;
		uint64_t words[KB_FRAMES_MAX];
	} record;
};

/* The progress of threads that do not wait any more, or of all. */
static void forget(struct kb_waits *waits, bool all)
{
	struct progress *progress, *next_progress;
	struct owed *owed, *next;

	HASH_ITER (hh, waits->progress, progress, next_progress) {
		/* The timeline's entry of a wait that has just ended comes with the next drain. */
		if (!all && waits->drains - progress->seen < 2)
			continue;
		HASH_DEL(waits->progress, progress);
		free(progress);
	}
	HASH_ITER (hh, waits->owed, owed, next) {
		if (!all && owed->ns)
			continue;
		HASH_DEL(waits->owed, owed);
		free(owed);
	}
}

static struct progress *progress_of(const struct kb_waits *waits, uint32_t tid)
{
	struct progress *found;

	HASH_FIND(hh, waits->progress, &tid, sizeof(tid), found);
	return found;
}

static uint64_t waited(pid_t tid, uint64_t since, void *context)
{
	const struct progress *progress = progress_of(context, tid);

	return progress && progress->since == since ? progress->moment - since : 0;
}

struct kb_error *kb_waits__create(const struct kb_target *target, struct kb_programs *programs,
				  struct kb_ingest *ingest, const struct kb_sample_opts *opts,
				  struct kb_waits **result)
{
	struct kb_waits *waits = calloc(1, sizeof(*waits));

	if (!waits)
		return kb_error__no_memory();
	waits->programs = programs;
	waits->ingest = ingest;
	waits->tid = target->tid;
	waits->min_ns = opts->wait_min_ns;
	if (opts->keep_s || opts->timeline)
		waits->moment_ns = opts->keep_s ? MOMENT_KEEP_NS : MOMENT_NS;
	kb_ingest__set_waited(ingest, waited, waits);
	*result = waits;
	return NULL;
}

void kb_waits__read_by(struct kb_waits *waits, kb_record_fn read, void *context)
{
	waits->read = read;
	waits->read_context = context;
}

void kb_waits__destroy(struct kb_waits *waits)
{
	if (!waits)
		return;
	forget(waits, true);
	kb_remote_stack__free(&waits->stack);
	free(waits->noted);
	free(waits);
}

/* The stack that was read becomes a record like BPF's. Returns its hash. */
static uint64_t add_stack(struct kb_waits *waits, uint32_t proc)
{
	const struct kb_remote_stack *stack = &waits->stack;
	uint32_t n = stack->n < KB_FRAMES_MAX ? stack->n : KB_FRAMES_MAX;

	for (uint32_t i = 0; i < n; i++)
		waits->record.words[i] =
			stack->frames[i].code << (KB_LASTI_BITS - 3) | stack->frames[i].lasti;
	waits->record.head = (struct kb_data_stack){
		.kind = KB_DATA_STACK,
		.proc = proc,
		.hash = kb_hash__bytes(waits->record.words, n * sizeof(uint64_t)),
		.flags = KB_STACK_WAIT | (stack->cut || n < stack->n ? KB_STACK_TRUNCATED : 0),
		.n_words = n,
	};
	kb_ingest__record(waits->ingest, &waits->record,
			  sizeof(waits->record.head) + n * sizeof(uint64_t));
	return waits->record.head.hash;
}

static void add_thread(struct kb_waits *waits, uint32_t proc, pid_t tid,
		       const struct kb_thread_look *look)
{
	struct kb_data_thread record = {
		.kind = KB_DATA_THREAD,
		.proc = proc,
		.tid = tid,
		.ns_tid = kb_process__ns_pid(tid),
	};

	memcpy(record.comm, look->name, sizeof(record.comm));
	kb_ingest__record(waits->ingest, &record, sizeof(record));
}

static void look_at_thread(struct kb_waits *waits, struct kb_remote *remote, uint32_t proc,
			   const struct kb_remote_thread *thread, uint64_t since)
{
	struct kb_wait wait = { .since = since, .proc = proc, .hash = KB_WAIT_BEFORE_START };
	struct kb_thread_look look = {};
	enum kb_remote_walk walk;

	walk = kb_remote_frames__asleep(remote, thread, &waits->stack, &look, NULL, NULL);
	/* BPF has its stack when it leaves the CPU. */
	if (walk == KB_REMOTE_RUNNING || walk == KB_REMOTE_GONE)
		return;
	wait.reason = walk == KB_REMOTE_NO_FRAME ? KB_L_NO_FRAME : KB_L_GOOD;
	if (walk == KB_REMOTE_OK)
		wait.hash = add_stack(waits, proc);
	add_thread(waits, proc, thread->tid, &look);
	if (!kb_programs__set_waiting(waits->programs, thread->tid, &wait))
		kb_warn("more than %d waiting threads: those left out show when they wake up",
			KB_WAITING_MAX);
}

static void look_at_process(struct kb_waits *waits, const struct noted *noted, uint64_t since)
{
	struct kb_remote_threads threads = {};
	struct kb_remote remote = {};
	struct kb_error *err = kb_remote__open(noted->pid, &noted->interp, &remote);

	if (!err)
		err = kb_remote_threads__read(&remote, &threads);
	for (uint32_t i = 0; i < threads.n && !err; i++) {
		const struct kb_remote_thread *thread = &threads.threads[i];

		if (thread->tid && (!waits->tid || thread->tid == waits->tid))
			look_at_thread(waits, &remote, noted->proc, thread, since);
	}
	if (err)
		kb_debug("process %d: waits that began before: %s", noted->pid,
			 kb_error__text(err));
	kb_error__destroy(err);
	kb_remote_threads__free(&threads);
	kb_remote__close(&remote);
}

void kb_waits__add_process(pid_t pid, uint32_t proc, const struct kb_interpreter *interp,
			   void *context)
{
	struct kb_waits *waits = context;
	struct noted now = { pid, proc, *interp }, *grown;

	if (waits->started)
		look_at_process(waits, &now, kb_now(CLOCK_MONOTONIC));
	grown = kb_array__grow(waits->noted, &waits->capacity, waits->n_noted + 1, sizeof(*grown),
			       PROCESSES_MAX);
	if (!grown)
		return;
	waits->noted = grown;
	waits->noted[waits->n_noted++] = now;
}

static void start(struct kb_waits *waits, uint64_t now)
{
	waits->started = true;
	for (uint32_t i = 0; i < waits->n_noted; i++)
		look_at_process(waits, &waits->noted[i], now);
}

/* Adds time under a key, but not what is owed. */
static void add_sum(struct kb_waits *waits, const struct kb_stack_key *key,
		    const struct kb_wait_sum *sum)
{
	struct kb_wait_sum rest = *sum;
	struct owed *owed;

	HASH_FIND(hh, waits->owed, key, sizeof(*key), owed);
	if (owed) {
		uint64_t paid = owed->ns < rest.ns ? owed->ns : rest.ns;

		owed->ns -= paid;
		rest.ns -= paid;
	}
	kb_ingest__waits(waits->ingest, key, &rest);
}

/* Adds time under a key that BPF will add once more. */
static void add_partial(struct kb_waits *waits, const struct kb_stack_key *key, uint64_t ns)
{
	struct kb_wait_sum sum = { .ns = ns };
	struct owed *owed;

	HASH_FIND(hh, waits->owed, key, sizeof(*key), owed);
	if (!owed) {
		owed = calloc(1, sizeof(*owed));
		if (!owed) /* it is added when it ends */
			return;
		owed->key = *key;
		HASH_ADD(hh, waits->owed, key, sizeof(owed->key), owed);
	}
	owed->ns += ns;
	kb_ingest__waits(waits->ingest, key, &sum);
}

static void add_moment(struct kb_waits *waits, uint32_t tid, const struct kb_wait *wait,
		       uint64_t from, uint64_t to)
{
	struct kb_data_moment moment = { .kind = KB_DATA_MOMENT,
					 .proc = wait->proc,
					 .hash = wait->hash,
					 .time = from,
					 .count = to - from,
					 .tid = tid,
					 .flags = wait->state | KB_STATE_OFF_CPU };

	if (waits->moment_ns)
		kb_ingest__record(waits->ingest, &moment, sizeof(moment));
}

static struct progress *make_progress(struct kb_waits *waits, uint32_t tid, uint64_t since)
{
	struct progress *progress = progress_of(waits, tid);

	if (!progress) {
		progress = calloc(1, sizeof(*progress));
		if (!progress)
			return NULL;
		progress->tid = tid;
		HASH_ADD(hh, waits->progress, tid, sizeof(progress->tid), progress);
	}
	if (progress->since != since)
		progress->since = progress->until = progress->moment = since;
	progress->seen = waits->drains;
	return progress;
}

static void on_waiting(uint32_t tid, const struct kb_wait *wait, void *context)
{
	struct kb_waits *waits = context;
	struct kb_stack_key key = { .hash = wait->hash, .proc = wait->proc, .tid = tid };
	struct progress *progress;

	if (!wait->since || wait->reason != KB_L_GOOD || wait->since >= waits->now ||
	    waits->now - wait->since < PARTIAL_NS || waits->now - wait->since < waits->min_ns)
		return;
	progress = make_progress(waits, tid, wait->since);
	if (!progress)
		return;
	add_partial(waits, &key, waits->now - progress->until);
	progress->until = waits->now;
	if (!waits->moment_ns || waits->now - progress->moment < waits->moment_ns)
		return;
	add_moment(waits, tid, wait, progress->moment, waits->now);
	progress->moment = waits->now;
}

static void on_end(uint32_t tid, const struct kb_wait *wait, void *context)
{
	struct kb_waits *waits = context;
	struct kb_stack_key key = { .hash = wait->hash, .proc = wait->proc, .tid = tid };
	struct kb_wait_sum sum = { .ns = waits->now - wait->since, .n = 1 };

	if (!wait->since || wait->since >= waits->now)
		return;
	waits->ended++;
	if (wait->reason != KB_L_GOOD) {
		kb_ingest__lost_wait(waits->ingest, wait->reason, sum.ns);
		return;
	}
	add_sum(waits, &key, &sum);
	add_moment(waits, tid, wait, wait->since, waits->now);
}

static struct kb_error *end(struct kb_waits *waits)
{
	waits->started = false;
	waits->now = kb_now(CLOCK_MONOTONIC);
	/* The stacks of the waits that are left. */
	kb_programs__read_data(waits->programs, waits->read, waits->read_context);
	KB_TRY(kb_programs__each_waiting(waits->programs, on_end, waits));
	kb_programs__clear_waiting(waits->programs);
	return NULL;
}

struct kb_error *kb_waits__observe(struct kb_waits *waits, bool observe)
{
	if (!waits || observe == waits->started)
		return NULL;
	KB_TRY(kb_programs__attach_switch(waits->programs, observe));
	if (observe)
		start(waits, kb_now(CLOCK_MONOTONIC));
	return observe ? NULL : end(waits);
}

static void on_waits(const struct kb_stack_key *key, const struct kb_wait_sum *sum, void *context)
{
	add_sum(context, key, sum);
}

struct kb_error *kb_waits__drain(struct kb_waits *waits)
{
	if (!waits)
		return NULL;
	KB_TRY(kb_programs__drain_waits(waits->programs, on_waits, waits));
	if (!waits->started)
		return NULL;
	waits->now = kb_now(CLOCK_MONOTONIC);
	waits->drains++;
	KB_TRY(kb_programs__each_waiting(waits->programs, on_waiting, waits));
	forget(waits, false);
	return NULL;
}

uint64_t kb_waits__ended(const struct kb_waits *waits)
{
	return waits ? waits->ended : 0;
}
