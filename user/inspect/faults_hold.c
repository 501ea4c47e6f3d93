// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Values of a thread that dies. The kernel holds it for a moment (bpf/faults_hold.bpf.c): it is
 * seized and let go, and stops where it takes its signal. What its variables and those of
 * sleeping threads hold is read then, and it goes on dying, with the same signal. Its stack comes
 * from the kernel all the same, so that a report never depends on this.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "inspect/faults.h"
#include "kernel/faults_programs.h"

#define HELD_MAX 64 /* threads whose death has not been told yet */
#define LOOK_NS	 20000
/* From being let go to its signal it takes some 30 µs; a busy machine may take long to run it. */
#define STOP_NS (KB_FAULTS_HOLD_MS * KB_NS_PER_MS)

/* What was read of a thread that was held. */
struct held {
	pid_t pid, tid;
	struct kb_dump *dump; /* its threads: by ident */
};

struct kb_fault_holder {
	struct kb_faults *faults;
	struct held held[HELD_MAX];
	uint32_t next;
};

struct kb_error *kb_fault_holder__create(struct kb_faults *faults, struct kb_fault_holder **result)
{
	struct kb_fault_holder *holder = calloc(1, sizeof(*holder));

	if (!holder)
		return kb_error__no_memory();
	holder->faults = faults;
	*result = holder;
	return NULL;
}

void kb_fault_holder__destroy(struct kb_fault_holder *holder)
{
	if (!holder)
		return;
	for (int i = 0; i < HELD_MAX; i++)
		kb_dump__destroy(holder->held[i].dump);
	free(holder);
}

/* ---------------------------------------------------------------- reading */

struct filling {
	struct kb_dump *dump;
	struct kb_dump_frames *stack;
};

static void fill(struct kb_remote *remote, const struct kb_remote_stack *stack, void *context)
{
	struct filling *filling = context;

	kb_dump_frames__fill(filling->dump, remote, stack, filling->stack);
}

static void read_thread(struct kb_dump *dump, struct kb_remote *remote,
			const struct kb_remote_thread *from, pid_t dying,
			struct kb_remote_stack *stack)
{
	struct kb_dump_process_data *process = &dump->processes[0];
	struct kb_dump_thread_data *thread = &process->threads[process->n_threads++];
	struct filling filling = { .dump = dump, .stack = &thread->stack };
	struct kb_thread_look look;

	thread->info.ident = from->ident;
	thread->info.name = from->name ? kb_dump__string(dump, from->name) : "";
	if (from->tid == dying) {
		kb_remote__begin(remote);
		if (kb_remote_frames__walk(remote, from->tstate, stack) == KB_REMOTE_OK)
			kb_dump_frames__fill(dump, remote, stack, &thread->stack);
	} else if (kb_remote_frames__asleep(remote, from, stack, &look, fill, &filling) !=
		   KB_REMOTE_OK) {
		kb_dump_frames__clear(&thread->stack);
	}
}

static void read_threads(struct kb_dump *dump, struct kb_remote *remote,
			 const struct kb_remote_threads *list, pid_t dying)
{
	uint64_t until = kb_now(CLOCK_MONOTONIC) + KB_FAULTS_HOLD_MS * KB_NS_PER_MS;
	struct kb_remote_stack stack = {};

	/* First the one that it is about. */
	for (uint32_t i = 0; i < list->n; i++) {
		if (list->threads[i].tid == dying)
			read_thread(dump, remote, &list->threads[i], dying, &stack);
	}
	for (uint32_t i = 0; i < list->n && kb_now(CLOCK_MONOTONIC) < until; i++) {
		if (list->threads[i].tid && list->threads[i].tid != dying)
			read_thread(dump, remote, &list->threads[i], dying, &stack);
	}
	kb_remote_stack__free(&stack);
}

/* NULL: it cannot be read. */
static struct kb_dump *read_values(struct kb_faults *faults, pid_t pid, pid_t tid)
{
	struct kb_remote_threads list = {};
	struct kb_dump *dump = NULL;
	struct kb_remote remote;
	struct kb_error *err;
	struct kb_proc known;

	if (!kb_programs__get_proc(faults->session.programs, pid, &known) ||
	    !kb_identifier__open(faults->session.identifier, pid, known.start_time, &remote))
		return NULL;
	err = kb_dump__create_empty(faults->opts.frames, &dump);
	if (!err)
		err = kb_remote_threads__read(&remote, &list);
	if (!err) {
		kb_remote_threads__names(&remote, &list);
		err = kb_dump__add_empty(dump, list.n);
	}
	if (!err) {
		dump->opts.locals = true;
		read_threads(dump, &remote, &list, tid);
	}
	kb_remote_threads__free(&list);
	kb_remote__close(&remote);
	if (err) {
		kb_info("process %d: %s", pid, kb_error__text(err));
		kb_error__destroy(err);
		kb_dump__destroy(dump);
		dump = NULL;
	}
	return dump;
}

/* ---------------------------------------------------------------- holding */

/* Waits for it to take the signal. Others that come first are passed on. False: it does not come.
 */
static bool await_signal(pid_t tid, int number)
{
	uint64_t until = kb_now(CLOCK_MONOTONIC) + STOP_NS;
	struct timespec pause = { .tv_nsec = LOOK_NS };

	while (kb_now(CLOCK_MONOTONIC) < until) {
		/* Only stops: its end is its parent's, which may be we ourselves. */
		siginfo_t info = {};

		if (waitid(P_PID, (id_t)tid, &info, WSTOPPED | WNOHANG | __WALL))
			return false;
		if (!info.si_pid) {
			nanosleep(&pause, NULL);
			continue;
		}
		if (info.si_status == number)
			return true;
		ptrace(PTRACE_CONT, tid, NULL, (void *)(long)(info.si_status & 0x7f));
	}
	return false;
}

/* From a thread that runs one can only part when it has stopped. */
static void let_go(pid_t tid)
{
	struct timespec pause = { .tv_nsec = LOOK_NS };
	siginfo_t info = {};

	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return;
	for (int i = 0; i < 1000; i++) {
		if (waitid(P_PID, (id_t)tid, &info, WSTOPPED | WNOHANG | __WALL))
			return;
		if (info.si_pid) {
			int pending = info.si_status >> 8 ? 0 : info.si_status;

			ptrace(PTRACE_DETACH, tid, NULL, (void *)(long)pending);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

static void keep(struct kb_fault_holder *holder, pid_t pid, pid_t tid, struct kb_dump *dump)
{
	struct held *held = &holder->held[holder->next++ % HELD_MAX];

	kb_dump__destroy(held->dump);
	*held = (struct held){ .pid = pid, .tid = tid, .dump = dump };
}

void kb_fault_holder__notice(struct kb_fault_holder *holder, const struct kb_notice *notice)
{
	pid_t pid = (pid_t)notice->tgid, tid = (pid_t)notice->proc;
	struct kb_programs *programs = holder->faults->session.programs;
	struct kb_dump *dump = NULL;
	int number = (int)notice->code;
	bool seized;

	seized = !ptrace(PTRACE_SEIZE, tid, NULL, NULL);
	kb_faults_programs__release(programs, notice->reserved, (uint32_t)notice->start_time);
	if (seized && await_signal(tid, number)) {
		dump = read_values(holder->faults, pid, tid);
		ptrace(PTRACE_DETACH, tid, NULL, (void *)(long)number);
	} else if (seized) {
		let_go(tid);
	}
	if (dump)
		keep(holder, pid, tid, dump);
}

/* ---------------------------------------------------------------- into the report */

static void copy_locals(struct kb_dump *dump, struct kb_dump_frame_data *to,
			const struct kb_dump_frame_data *from)
{
	to->locals = calloc(from->info.n_locals + 1, sizeof(*to->locals));
	for (size_t i = 0; to->locals && i < from->info.n_locals; i++) {
		to->locals[i] = from->locals[i];
		to->locals[i].name = kb_dump__string(dump, from->locals[i].name);
		to->locals[i].value = kb_dump__string(dump, from->locals[i].value);
		to->info.n_locals++;
	}
}

/* Values belong to a frame if all down to it are the same functions. */
static void merge_thread(struct kb_dump *dump, struct kb_dump_thread_data *to,
			 const struct kb_dump_thread_data *from)
{
	if (from->info.name[0])
		to->info.name = kb_dump__string(dump, from->info.name);
	for (uint32_t i = 0; i < to->stack.n && i < from->stack.n; i++) {
		if (strcmp(to->stack.frames[i].info.qualname,
			   from->stack.frames[i].info.qualname) ||
		    to->stack.frames[i].info.line != from->stack.frames[i].info.line)
			return;
		copy_locals(dump, &to->stack.frames[i], &from->stack.frames[i]);
	}
}

bool kb_fault_holder__merge(struct kb_fault_holder *holder, pid_t pid, pid_t tid,
			    struct kb_dump *dump)
{
	struct held *held = NULL;

	for (int i = 0; i < HELD_MAX && !held; i++) {
		if (holder->held[i].dump && holder->held[i].pid == pid &&
		    holder->held[i].tid == tid)
			held = &holder->held[i];
	}
	if (!held)
		return false;
	for (uint32_t i = 0; i < dump->processes[0].n_threads; i++) {
		struct kb_dump_thread_data *to = &dump->processes[0].threads[i];

		for (uint32_t j = 0; j < held->dump->processes[0].n_threads; j++) {
			const struct kb_dump_thread_data *from =
				&held->dump->processes[0].threads[j];

			if (from->info.ident == to->info.ident)
				merge_thread(dump, to, from);
		}
	}
	kb_dump__destroy(held->dump);
	held->dump = NULL;
	return true;
}
