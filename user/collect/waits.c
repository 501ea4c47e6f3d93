// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
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

struct kb_waits {
	struct kb_sample_programs *programs;
	struct kb_ingest *ingest;
	pid_t tid; /* 0: all */
	bool started;
	uint64_t ended;
	struct noted *noted;
	uint32_t n_noted, capacity;
	struct kb_remote_stack stack;
	struct {
		struct kb_data_stack head;
		uint64_t words[KB_FRAMES_MAX];
	} record;
};

struct kb_error *kb_waits__create(const struct kb_target *target,
				  struct kb_sample_programs *programs, struct kb_ingest *ingest,
				  struct kb_waits **result)
{
	struct kb_waits *waits = calloc(1, sizeof(*waits));

	if (!waits)
		return kb_error__no_memory();
	waits->programs = programs;
	waits->ingest = ingest;
	waits->tid = target->tid;
	*result = waits;
	return NULL;
}

void kb_waits__destroy(struct kb_waits *waits)
{
	if (!waits)
		return;
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
	if (!kb_sample_programs__set_waiting(waits->programs, thread->tid, &wait))
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

static void on_record(const void *record, size_t size, void *context)
{
	struct kb_waits *waits = context;

	kb_ingest__record(waits->ingest, record, size);
}

static void end(struct kb_waits *waits, uint64_t now)
{
	struct kb_wait wait;
	uint32_t tid = 0;

	waits->started = false;
	/* The stacks of the waits that are left. */
	kb_sample_programs__read_data(waits->programs, on_record, waits);
	while (kb_sample_programs__next_waiting(waits->programs, &tid, &wait)) {
		struct kb_stack_key key = { .hash = wait.hash, .proc = wait.proc, .tid = tid };
		struct kb_wait_sum sum = { .ns = now - wait.since, .n = 1 };

		if (!wait.since || wait.since >= now)
			continue;
		waits->ended++;
		if (wait.reason == KB_L_GOOD)
			kb_ingest__waits(waits->ingest, &key, &sum);
		else
			kb_ingest__lost_wait(waits->ingest, wait.reason, sum.ns);
	}
	kb_sample_programs__clear_waiting(waits->programs);
}

struct kb_error *kb_waits__observe(struct kb_waits *waits, bool observe)
{
	if (!waits || observe == waits->started)
		return NULL;
	KB_TRY(kb_sample_programs__attach_switch(waits->programs, observe));
	if (observe)
		start(waits, kb_now(CLOCK_MONOTONIC));
	else
		end(waits, kb_now(CLOCK_MONOTONIC));
	return NULL;
}

static void on_waits(const struct kb_stack_key *key, const struct kb_wait_sum *sum, void *context)
{
	struct kb_waits *waits = context;

	kb_ingest__waits(waits->ingest, key, sum);
}

struct kb_error *kb_waits__drain(struct kb_waits *waits)
{
	return waits ? kb_sample_programs__drain_waits(waits->programs, on_waits, waits) : NULL;
}

uint64_t kb_waits__ended(const struct kb_waits *waits)
{
	return waits ? waits->ended : 0;
}
