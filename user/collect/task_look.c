// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tasks that wait are on no stack, so no clock meets them: they are read from outside, all at a
 * time, while the process runs on. A task that waits does not change, but while the list is gone
 * through some of them run. So everything is read twice, and what is not the same both times
 * is thrown away and counted.
 *
 * A sample is a leaf: a task that waits for no other task, with those that wait for it above. A
 * task that is on no leaf's way to the root (several may wait for one, of which one is followed; or
 * they wait for each other in a circle) is one of its own, so that each shows.
 */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/id_map.h"
#include "collect/task_look.h"
#include "collect/task_records.h"
#include "python/remote_asyncio.h"

#define PROCESSES_MAX 4096 /* as many as BPF knows */

/* Reading takes a half of the time at most, of one processor. */
#define PAUSE_PART 1

/* A process without tasks is looked at less and less often. */
#define IDLE_FIRST_NS (50 * KB_NS_PER_MS)
#define IDLE_LAST_NS  KB_NS_PER_SECOND

struct process {
	pid_t pid;
	uint32_t proc;
	uint64_t start_ns;
	uint64_t next_ns; /* without tasks: not looked at before */
	uint64_t idle_ns;
	bool open; /* asyncio is known */
	struct kb_remote_asyncio asyncio;
};

struct kb_task_look {
	struct kb_task_look_opts opts;
	struct kb_task_records *records;
	struct process *processes; /* as of the last look */
	uint32_t n, capacity;
	struct kb_id_map places; /* the kernel's id → place in the list */
	bool paused;
	uint64_t slot, due, interval_ns,
		random; /* the present slot's beginning, and the look in it */
	uint64_t taken;
};

struct kb_error *kb_task_look__create(const struct kb_task_look_opts *opts,
				      struct kb_task_look **result)
{
	struct kb_task_look *look = calloc(1, sizeof(*look));

	if (!look)
		return kb_error__no_memory();
	look->opts = *opts;
	look->paused = true;
	look->interval_ns = KB_NS_PER_SECOND / opts->rate_hz;
	look->random = kb_now(CLOCK_MONOTONIC) | 1; /* xorshift must not start at 0 */
	kb_id_map__init(&look->places, PROCESSES_MAX);
	look->processes = calloc(PROCESSES_MAX, sizeof(*look->processes));
	look->records = kb_task_records__create(opts->session->ingest, opts->session->profile);
	if (!look->records || !look->processes) {
		kb_task_look__destroy(look);
		return kb_error__no_memory();
	}
	*result = look;
	return NULL;
}

void kb_task_look__destroy(struct kb_task_look *look)
{
	if (!look)
		return;
	kb_task_records__destroy(look->records);
	kb_id_map__free(&look->places);
	free(look->processes);
	free(look);
}

/* ---- when */

/*
 * Time is cut into slots of an interval, and there is one look in each, at its beginning or at a
 * random place, so that looks do not beat with what the program does. The rate is what it is said
 * to be for as long as no slot is left out.
 */
static void choose_time(struct kb_task_look *look)
{
	look->due = look->slot;
	if (!look->opts.jitter)
		return;
	look->random ^= look->random << 13;
	look->random ^= look->random >> 7;
	look->random ^= look->random << 17;
	look->due += look->random % look->interval_ns;
}

static void set_due(struct kb_task_look *look, uint64_t began)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), free = now + (now - began) * PAUSE_PART;

	for (look->slot += look->interval_ns; look->slot + look->interval_ns <= free;
	     look->slot += look->interval_ns)
		kb_profile__ledger_add(look->opts.session->profile, KB_L_LOOKS_SKIPPED, 1);
	choose_time(look);
	if (look->due < free)
		look->due = free;
}

void kb_task_look__pause(struct kb_task_look *look, bool paused)
{
	if (paused == look->paused)
		return;
	look->paused = paused;
	look->slot = kb_now(CLOCK_MONOTONIC);
	choose_time(look);
}

uint64_t kb_task_look__taken(const struct kb_task_look *look)
{
	return look ? look->taken : 0;
}

/* ---- which processes */

static void add_process(struct kb_task_look *look, struct process *processes, uint32_t *n,
			uint32_t tgid, const struct kb_proc *proc)
{
	uint32_t place = kb_id_map__get(&look->places, proc->id, 0);
	struct process *to = &processes[(*n)++];

	if (place != KB_ID_MAP_NONE)
		*to = look->processes[place];
	else
		*to = (struct process){ .pid = tgid,
					.proc = proc->id,
					.start_ns = proc->start_time };
}

static void find_processes(struct kb_task_look *look)
{
	struct process *processes = calloc(PROCESSES_MAX, sizeof(*processes));
	struct kb_proc proc;
	uint32_t n = 0, tgid = 0;

	if (!processes)
		return;
	while (n < PROCESSES_MAX && kb_programs__next_proc(look->opts.session->programs, &tgid)) {
		if (kb_programs__get_proc(look->opts.session->programs, tgid, &proc) &&
		    proc.state == KB_PROC_PYTHON)
			add_process(look, processes, &n, tgid, &proc);
	}
	free(look->processes);
	look->processes = processes;
	look->n = n;
	kb_id_map__clear(&look->places);
	for (uint32_t i = 0; i < n; i++)
		kb_id_map__set(&look->places, processes[i].proc, 0, i);
}

/* ---- is it the same both times? */

static bool same_frames(const struct kb_remote_task *a, const struct kb_remote_task *b)
{
	const struct kb_remote_stack *x = &a->coroutines, *y = &b->coroutines;

	if (x->n != y->n)
		return false;
	for (uint32_t i = 0; i < x->n; i++) {
		if (x->frames[i].address != y->frames[i].address ||
		    x->frames[i].code != y->frames[i].code)
			return false;
		/* The innermost of a task that runs is at another instruction each time. */
		if (x->frames[i].lasti != y->frames[i].lasti && (i || !a->running))
			return false;
	}
	return true;
}

static bool same_task(const struct kb_remote_task *a, const struct kb_remote_task *b)
{
	return a->running == b->running && !strcmp(a->name, b->name) &&
	       a->waits_for == b->waits_for && a->n_awaited_by == b->n_awaited_by &&
	       !memcmp(a->awaited_by ?: &a->address, b->awaited_by ?: &a->address,
		       a->n_awaited_by * sizeof(*a->awaited_by)) &&
	       same_frames(a, b);
}

/* ---- one process */

/* A look at a process: what was read first, and of it … */
struct reading {
	struct kb_task_look *look;
	const struct kb_task_process *process;
	const struct kb_remote_tasks *tasks;
	struct kb_id_map places; /* address → place among the tasks */
	uint8_t *marks;		 /* … MARK_* of each */
};

#define MARK_SAME  1 /* the second time as well */
#define MARK_WAITS 2 /* for another task */
#define MARK_SHOWN 4

static void mark(struct reading *in, const struct kb_remote_tasks *second)
{
	for (uint32_t i = 0; i < in->tasks->n; i++)
		kb_id_map__set(&in->places, in->tasks->tasks[i].address, 0, i);
	for (uint32_t i = 0; i < second->n; i++) {
		uint32_t place = kb_id_map__get(&in->places, second->tasks[i].address, 0);

		if (place != KB_ID_MAP_NONE &&
		    same_task(&in->tasks->tasks[place], &second->tasks[i]))
			in->marks[place] |= MARK_SAME;
	}
	for (uint32_t i = 0; i < in->tasks->n; i++) {
		const struct kb_remote_task *task = &in->tasks->tasks[i];

		for (uint32_t j = 0; j < task->n_awaited_by; j++) {
			uint32_t place = kb_id_map__get(&in->places, task->awaited_by[j], 0);

			if (place != KB_ID_MAP_NONE)
				in->marks[place] |= MARK_WAITS;
		}
	}
}

/* The one at the lowest address, as in the kernel. */
static uint32_t waiter_of(const struct reading *in, const struct kb_remote_task *task)
{
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < task->n_awaited_by; i++) {
		if (task->awaited_by[i] < first &&
		    kb_id_map__get(&in->places, task->awaited_by[i], 0) != KB_ID_MAP_NONE)
			first = task->awaited_by[i];
	}
	return first == UINT64_MAX ? KB_ID_MAP_NONE : kb_id_map__get(&in->places, first, 0);
}

/* A sample: the task and those that wait for it. */
static void take(struct reading *in, uint32_t place)
{
	const struct kb_remote_task *chain[KB_TASKS_MAX];
	uint32_t n = 0;
	bool same = true, circle = false;

	for (; place != KB_ID_MAP_NONE && n < KB_TASKS_MAX && !circle;
	     place = waiter_of(in, chain[n - 1])) {
		chain[n] = &in->tasks->tasks[place];
		same &= in->marks[place] & MARK_SAME;
		in->marks[place] |= MARK_SHOWN;
		for (uint32_t i = 0; i < n; i++)
			circle |= chain[i] == chain[n];
		n += !circle;
	}
	in->look->taken++;
	if (same)
		kb_task_records__add(in->look->records, in->process, chain, n,
				     place != KB_ID_MAP_NONE && !circle);
	else
		kb_profile__ledger_add(in->look->opts.session->profile, KB_L_TASK_CHANGED, 1);
}

static void take_all(struct reading *in, const struct kb_remote_tasks *second)
{
	kb_id_map__init(&in->places, KB_REMOTE_TASKS_MAX);
	in->marks = calloc(in->tasks->n + 1, sizeof(*in->marks));
	if (in->marks) {
		mark(in, second);
		for (uint32_t i = 0; i < in->tasks->n; i++) {
			if (!(in->marks[i] & MARK_WAITS))
				take(in, i);
		}
		for (uint32_t i = 0; i < in->tasks->n; i++) {
			if (!(in->marks[i] & MARK_SHOWN))
				take(in, i);
		}
	}
	if (in->tasks->cut)
		kb_profile__ledger_add(in->look->opts.session->profile, KB_L_TASKS_CUT, 1);
	free(in->marks);
	kb_id_map__free(&in->places);
}

static void note_idle(struct process *process, bool idle, uint64_t now)
{
	process->idle_ns = !idle ? 0 : process->idle_ns ? process->idle_ns * 2 : IDLE_FIRST_NS;
	if (process->idle_ns > IDLE_LAST_NS)
		process->idle_ns = IDLE_LAST_NS;
	process->next_ns = now + process->idle_ns;
}

/* Reads twice, and hands over. False: it has no tasks. */
static bool read_tasks(struct kb_task_look *look, struct process *process, struct kb_remote *remote,
		       uint64_t now)
{
	struct kb_remote_threads threads = {};
	struct kb_remote_tasks first = {}, second = {};
	struct kb_task_process of = {
		.remote = remote,
		.proc = process->proc,
		.threads = &threads,
		.generation = look->opts.session->generation,
		.time = now,
		.moments = look->opts.moments,
	};
	struct reading in = { .look = look, .process = &of, .tasks = &first };
	struct kb_error *err;
	bool any;

	if (!process->open)
		process->open = kb_remote_asyncio__open(remote, &process->asyncio);
	if (!process->open)
		return false;
	err = kb_remote_threads__read(remote, &threads);
	if (!err) {
		kb_remote_tasks__read(remote, &process->asyncio, &threads, &first);
		if (first.n)
			kb_remote_tasks__read(remote, &process->asyncio, &threads, &second);
	}
	/* What was read may be another program's when it was replaced meanwhile. */
	if (!err &&
	    kb_identifier__runs(look->opts.session->identifier, process->pid, process->start_ns))
		take_all(&in, &second);
	any = first.n;
	kb_error__destroy(err);
	kb_remote_tasks__free(&second);
	kb_remote_tasks__free(&first);
	kb_remote_threads__free(&threads);
	return any;
}

static void read_processes(struct kb_task_look *look)
{
	uint64_t began = kb_now(CLOCK_MONOTONIC);

	for (uint32_t i = 0; i < look->n; i++) {
		struct process *process = &look->processes[i];
		struct kb_remote remote;
		bool any;

		if (process->next_ns > began ||
		    !kb_identifier__open(look->opts.session->identifier, process->pid,
					 process->start_ns, &remote))
			continue;
		any = read_tasks(look, process, &remote, began);
		kb_remote__close(&remote);
		note_idle(process, !any, began);
	}
	set_due(look, began);
}

static void on_record(const void *record, size_t size, void *context)
{
	struct kb_task_look *look = context;

	kb_ingest__record(look->opts.session->ingest, record, size);
}

int kb_task_look__work(struct kb_task_look *look, int wait_ms)
{
	if (look->paused)
		return wait_ms;
	if (kb_now(CLOCK_MONOTONIC) >= look->due) {
		find_processes(look);
		/* The records of those that BPF set up are in the ring before they are in its
		 * table. */
		kb_programs__read_data(look->opts.session->programs, on_record, look);
		read_processes(look);
	}
	return kb_ms_until(kb_now(CLOCK_MONOTONIC), look->due, wait_ms);
}
