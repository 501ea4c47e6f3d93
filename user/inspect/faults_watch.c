// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Reports of processes that run on: after a time, when they hang, when a signal is sent to them.
 * All are dumps from outside (dump.c), each of one process.
 *
 * Hanging. A look at a process is a dump, a few times within the period. A thread has not moved
 * when its stack is the same and it has not gone to sleep in between: one that waits in an event
 * loop has the same stack whenever one looks, but it wakes up and waits again. What has slept all
 * the time needs no second dump to say so: the kernel's counts of switches do.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "inspect/faults.h"
#include "system/container.h"
#include "system/process.h"

#define PROCESSES_MAX 4096
#define THREADS_MAX   1024 /* of a process: further ones are not watched */
#define SIGNALS_MAX   256  /* waiting to be answered */
#define LOOKS	      4	   /* in the time that a thread may stand still */
#define COMPUTES      5	   /* a fifth of the time on a CPU: no loop that waits for events */
#define LOOK_MIN_NS   (50 * KB_NS_PER_MS)
#define LOOK_MAX_NS   (30 * KB_NS_PER_SECOND)

/* A thread, by its id, as it was at the last look. */
struct seen_thread {
	pid_t tid;
	uint64_t stack;	   /* hash of its frames */
	uint64_t switches; /* all that it has made */
	uint64_t waits;	   /* those that it made by itself */
	uint64_t ran;	   /* ns on a CPU */
	uint64_t since;	   /* CLOCK_MONOTONIC, ns */
	uint64_t looked;   /* likewise: the last look that found it */
	bool reported;
};

struct watched {
	pid_t pid;
	uint64_t start_ns;
	uint64_t due; /* CLOCK_MONOTONIC, ns; UINT64_MAX: not any more */
	struct seen_thread *threads;
	uint32_t n_threads, capacity;
	UT_hash_handle hh;
};

struct sent_signal {
	pid_t pid, sender;
	int number;
};

struct kb_fault_watch {
	struct kb_faults *faults;
	struct watched *processes;
	struct sent_signal signals[SIGNALS_MAX];
	uint32_t n_signals;
	uint64_t next_look;
};

struct kb_error *kb_fault_watch__create(struct kb_faults *faults, struct kb_fault_watch **result)
{
	struct kb_fault_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return kb_error__no_memory();
	watch->faults = faults;
	*result = watch;
	return NULL;
}

static void forget(struct kb_fault_watch *watch, struct watched *process)
{
	HASH_DEL(watch->processes, process);
	free(process->threads);
	free(process);
}

void kb_fault_watch__destroy(struct kb_fault_watch *watch)
{
	struct watched *process, *next;

	if (!watch)
		return;
	HASH_ITER (hh, watch->processes, process, next)
		forget(watch, process);
	free(watch);
}

static uint64_t to_ns(double seconds)
{
	return (uint64_t)(seconds * KB_NS_PER_SECOND);
}

void kb_fault_watch__add(struct kb_fault_watch *watch, pid_t pid, uint64_t start_ns)
{
	const struct kb_faults_opts *opts = &watch->faults->opts;
	struct kb_process_stat stat;
	struct watched *process;

	if (!kb_process__stat(pid, &stat))
		return;
	HASH_FIND_INT(watch->processes, &pid, process);
	if (process && process->start_ns == stat.start_ns)
		return; /* it executes another program, or was identified twice */
	if (process)
		forget(watch, process);
	if (HASH_COUNT(watch->processes) >= PROCESSES_MAX)
		return;
	process = calloc(1, sizeof(*process));
	if (!process)
		return;
	process->pid = pid;
	process->start_ns = stat.start_ns;
	process->due =
		opts->later_s > 0 ? kb_now(CLOCK_MONOTONIC) + to_ns(opts->later_s) : UINT64_MAX;
	HASH_ADD_INT(watch->processes, pid, process);
}

void kb_fault_watch__signal(struct kb_fault_watch *watch, const struct kb_notice *notice)
{
	struct sent_signal *sent;

	for (uint32_t i = 0; i < watch->n_signals; i++) {
		if (watch->signals[i].pid == (pid_t)notice->tgid &&
		    watch->signals[i].number == (int)notice->code)
			return; /* one dump answers both */
	}
	if (watch->n_signals == SIGNALS_MAX) {
		kb_profile__ledger_add(watch->faults->session.profile, KB_L_FAULT_DUMPS_FAILED, 1);
		return;
	}
	sent = &watch->signals[watch->n_signals++];
	sent->pid = (pid_t)notice->tgid;
	sent->sender = (pid_t)notice->proc;
	sent->number = (int)notice->code;
}

/* ---------------------------------------------------------------- taking and reporting */

/* NULL, and counted: it cannot be read. */
static struct kb_dump *take(struct kb_fault_watch *watch, pid_t pid)
{
	const struct kb_faults_opts *opts = &watch->faults->opts;
	struct kb_target_opts which = { .size = sizeof(which), .pids = &pid, .n_pids = 1 };
	struct kb_dump_opts how = { .size = sizeof(how),
				    .frames = opts->frames,
				    .locals = opts->locals,
				    .native = opts->native };
	struct kb_dump *dump = NULL;
	struct kb_target *target;
	struct kb_error *err = kb_target__create(&which, &target);

	if (!err) {
		err = kb_dump__take(target, &how, &dump);
		kb_target__destroy(target);
	}
	if (err) {
		kb_info("process %d: %s", pid, kb_error__text(err));
		kb_error__destroy(err);
		return NULL;
	}
	return dump;
}

static void read_comm(pid_t pid, char *comm, size_t size)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	*comm = '\0';
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(comm, (int)size, file))
		*comm = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	fclose(file);
}

static void report(struct kb_fault_watch *watch, struct kb_fault *fault, struct kb_dump *dump)
{
	char comm[32], sender[32] = "", container[KB_CONTAINER_NAME_MAX];
	const struct kb_dump_process *process = kb_dump__process(dump, 0);
	char cgroup[KB_CGROUP_PATH_MAX];

	read_comm(fault->pid, comm, sizeof(comm));
	if (fault->sender)
		read_comm(fault->sender, sender, sizeof(sender));
	if (!kb_cgroup__of_pid(fault->pid, cgroup, sizeof(cgroup)))
		*cgroup = '\0';
	kb_container__of_pid(fault->pid, container, sizeof(container));
	fault->size = sizeof(*fault);
	fault->time_unix_ns = (int64_t)kb_now(CLOCK_REALTIME);
	fault->signal_name = kb_signal__name(fault->signal);
	fault->access = fault->guess = fault->native_end = "";
	fault->sender_name = sender;
	fault->comm = comm;
	fault->cgroup = cgroup;
	fault->container = container;
	fault->ns_pid = process->ns_pid;
	fault->command = process->command;
	fault->python = process->python;
	kb_profile__ledger_add(watch->faults->session.profile, KB_L_FAULT_DUMPS, 1);
	kb_faults__report_dump(watch->faults, fault, dump);
}

/* True: it could be taken. */
static bool dump_and_report(struct kb_fault_watch *watch, struct kb_fault *fault)
{
	struct kb_dump *dump = take(watch, fault->pid);

	if (!dump) {
		kb_profile__ledger_add(watch->faults->session.profile, KB_L_FAULT_DUMPS_FAILED, 1);
		return false;
	}
	report(watch, fault, dump);
	kb_dump__destroy(dump);
	return true;
}

/* ---------------------------------------------------------------- hanging */

static bool read_switches(pid_t pid, pid_t tid, uint64_t *all, uint64_t *own)
{
	uint64_t forced = 0;
	char path[64], line[256];
	int found = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		found += sscanf(line, "voluntary_ctxt_switches: %" SCNu64, own) == 1;
		found += sscanf(line, "nonvoluntary_ctxt_switches: %" SCNu64, &forced) == 1;
	}
	fclose(file);
	*all = *own + forced;
	return found == 2;
}

static uint64_t read_run_time(pid_t pid, pid_t tid)
{
	uint64_t ran = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64, &ran) != 1)
		ran = 0;
	fclose(file);
	return ran;
}

static uint64_t hash_stack(const struct kb_dump *dump, size_t thread)
{
	const struct kb_dump_thread *info = kb_dump__thread(dump, 0, thread);
	uint64_t hash = info->n_frames;

	for (size_t i = 0; i < info->n_frames; i++) {
		const struct kb_dump_frame *frame = kb_dump__frame(dump, 0, thread, i);
		struct {
			uint64_t hash, file, name;
			int64_t line;
		} part = { hash, kb_hash__bytes(frame->file, strlen(frame->file)),
			   kb_hash__bytes(frame->name, strlen(frame->name)), frame->line };

		hash = kb_hash__bytes(&part, sizeof(part));
	}
	return hash;
}

static struct seen_thread *thread_of(struct watched *process, pid_t tid)
{
	struct seen_thread *grown;

	for (uint32_t i = 0; i < process->n_threads; i++) {
		if (process->threads[i].tid == tid)
			return &process->threads[i];
	}
	grown = kb_array__grow(process->threads, &process->capacity, process->n_threads + 1,
			       sizeof(*grown), THREADS_MAX);
	if (!grown)
		return NULL;
	process->threads = grown;
	memset(&grown[process->n_threads], 0, sizeof(*grown));
	return &grown[process->n_threads++];
}

/* Has every thread slept since the last look, and is none new? */
static bool all_asleep(const struct watched *process)
{
	struct kb_pids tids = {};
	bool asleep;

	kb_error__destroy(kb_process__threads(process->pid, &tids));
	asleep = process->n_threads && tids.n == process->n_threads;
	kb_pids__free(&tids);
	for (uint32_t i = 0; i < process->n_threads && asleep; i++) {
		const struct seen_thread *thread = &process->threads[i];
		uint64_t all, own;

		asleep = read_switches(process->pid, thread->tid, &all, &own) &&
			 all == thread->switches;
	}
	return asleep;
}

static void update_thread(struct watched *process, const struct kb_dump *dump, size_t index,
			  uint64_t now)
{
	const struct kb_dump_thread *info = kb_dump__thread(dump, 0, index);
	struct seen_thread *thread = thread_of(process, info->tid);
	uint64_t stack, ran, all = 0, own = 0;
	bool waited;

	if (!thread)
		return;
	stack = hash_stack(dump, index);
	read_switches(process->pid, info->tid, &all, &own);
	ran = read_run_time(process->pid, info->tid);
	waited = thread->waits != own && (ran - thread->ran) * COMPUTES < now - thread->looked;
	if (!thread->tid || thread->stack != stack || waited) {
		thread->since = now;
		thread->reported = false;
	}
	thread->tid = info->tid;
	thread->stack = stack;
	thread->switches = all;
	thread->waits = own;
	thread->ran = ran;
	thread->looked = now;
}

static void drop_ended(struct watched *process, uint64_t now)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < process->n_threads; i++) {
		if (process->threads[i].looked == now)
			process->threads[n++] = process->threads[i];
	}
	process->n_threads = n;
}

/* The first thread that has stood still for too long and is not known for it. */
static struct seen_thread *hanging(struct kb_fault_watch *watch, struct watched *process,
				   uint64_t now)
{
	uint64_t most = to_ns(watch->faults->opts.hang_s);

	for (uint32_t i = 0; i < process->n_threads; i++) {
		struct seen_thread *thread = &process->threads[i];

		if (!thread->reported && now - thread->since >= most)
			return thread;
	}
	return NULL;
}

static void look_at(struct kb_fault_watch *watch, struct watched *process, uint64_t now)
{
	struct seen_thread *thread;
	struct kb_dump *dump = NULL;

	if (!all_asleep(process)) {
		dump = take(watch, process->pid);
		if (!dump)
			return;
		for (size_t i = 0; i < kb_dump__process(dump, 0)->n_threads; i++)
			update_thread(process, dump, i, now);
		drop_ended(process, now);
	}
	thread = hanging(watch, process, now);
	if (thread) {
		struct kb_fault fault = { .kind = KB_FAULT_HANG,
					  .pid = process->pid,
					  .tid = thread->tid,
					  .what = "hangs",
					  .seconds = (double)(now - thread->since) / 1e9 };

		for (; thread; thread = hanging(watch, process, now))
			thread->reported = true;
		if (dump)
			report(watch, &fault, dump);
		else
			dump_and_report(watch, &fault);
	}
	kb_dump__destroy(dump);
}

/* ---------------------------------------------------------------- what is due */

static void answer_signals(struct kb_fault_watch *watch)
{
	for (uint32_t i = 0; i < watch->n_signals; i++) {
		const struct sent_signal *sent = &watch->signals[i];
		struct kb_fault fault = { .kind = KB_FAULT_SIGNAL,
					  .pid = sent->pid,
					  .signal = sent->number,
					  .sender = sent->sender,
					  .what = kb_fault__what(sent->number) };

		dump_and_report(watch, &fault);
	}
	watch->n_signals = 0;
}

static void end_process(const struct watched *process)
{
	struct kb_process_stat stat;

	/* Still the same one. */
	if (kb_process__stat(process->pid, &stat) && stat.start_ns == process->start_ns)
		kill(process->pid, SIGKILL);
}

static void handle_due(struct kb_fault_watch *watch, struct watched *process)
{
	const struct kb_faults_opts *opts = &watch->faults->opts;
	struct kb_fault fault = { .kind = KB_FAULT_LATER,
				  .pid = process->pid,
				  .what = "Timeout",
				  .seconds = opts->later_s };

	dump_and_report(watch, &fault);
	process->due = opts->repeat && !opts->end_it
			       ? kb_now(CLOCK_MONOTONIC) + to_ns(opts->later_s)
			       : UINT64_MAX;
	if (opts->end_it)
		end_process(process);
}

static bool is_gone(const struct watched *process)
{
	struct kb_process_stat stat;

	return !kb_process__stat(process->pid, &stat) || stat.state == 'Z' ||
	       stat.start_ns != process->start_ns;
}

static void look_at_all(struct kb_fault_watch *watch, uint64_t now)
{
	uint64_t interval = to_ns(watch->faults->opts.hang_s) / LOOKS;
	struct watched *process, *next;

	if (interval < LOOK_MIN_NS)
		interval = LOOK_MIN_NS;
	if (interval > LOOK_MAX_NS)
		interval = LOOK_MAX_NS;
	HASH_ITER (hh, watch->processes, process, next) {
		if (is_gone(process))
			forget(watch, process);
		else if (watch->faults->opts.hang_s > 0)
			look_at(watch, process, kb_now(CLOCK_MONOTONIC));
	}
	watch->next_look = now + interval;
}

int kb_fault_watch__work(struct kb_fault_watch *watch, int wait_ms)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), due = UINT64_MAX;
	struct watched *process, *next;

	answer_signals(watch);
	if (now >= watch->next_look)
		look_at_all(watch, now);
	HASH_ITER (hh, watch->processes, process, next) {
		if (process->due <= now && is_gone(process)) {
			forget(watch, process);
			continue;
		}
		if (process->due <= now)
			handle_due(watch, process);
		if (process->due < due)
			due = process->due;
	}
	if (watch->next_look < due)
		due = watch->next_look;
	return kb_ms_until(kb_now(CLOCK_MONOTONIC), due, wait_ms);
}
