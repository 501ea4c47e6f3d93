// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One process of a dump: its thread states, and the stacks of those threads that sleep. */
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "inspect/dump.h"
#include "python/interpreter.h"
#include "system/process.h"

#define COMMAND_BYTES 1024

static struct kb_dump_process_data *append(struct kb_dump *dump)
{
	struct kb_dump_process_data *grown = kb_array__grow(
		dump->processes, &dump->capacity, dump->n + 1, sizeof(*grown), KB_PIDS_MAX);

	if (!grown)
		return NULL;
	dump->processes = grown;
	return memset(&grown[dump->n++], 0, sizeof(*grown));
}

static struct kb_error *add_thread(struct kb_dump *dump, struct kb_dump_process_data *process,
				   const struct kb_remote_thread *from)
{
	struct kb_dump_thread_data *grown =
		kb_array__grow(process->threads, &process->capacity, process->n_threads + 1,
			       sizeof(*grown), KB_REMOTE_THREADS_MAX);
	struct kb_dump_thread_data *thread;

	if (!grown)
		return kb_error__no_memory();
	process->threads = grown;
	thread = memset(&grown[process->n_threads++], 0, sizeof(*thread));
	thread->remote = *from;
	thread->remote.name = NULL;
	thread->info = (struct kb_dump_thread){
		.tid = from->tid,
		.ident = from->ident,
		.name = from->name ? kb_dump__string(dump, from->name) : "",
		.comm = "",
		.interpreter = from->interp_id,
		.holds_gil = from->holds_gil,
		.collecting = from->collecting,
		.how = KB_DUMP_UNREAD,
		.error = "",
	};
	return NULL;
}

static struct kb_error *add_threads(struct kb_dump *dump, struct kb_dump_process_data *process,
				    pid_t tid)
{
	struct kb_remote_threads list;
	struct kb_error *err = NULL;

	KB_TRY(kb_remote_threads__read(&process->remote, &list));
	kb_remote_threads__names(&process->remote, &list);
	for (uint32_t i = 0; i < list.n && !err; i++) {
		const struct kb_remote_thread *thread = &list.threads[i];

		if ((tid && thread->tid != tid) ||
		    (dump->opts.main_only &&
		     (thread->tid != process->info.pid || thread->interp_id)))
			continue;
		err = add_thread(dump, process, thread);
	}
	kb_remote_threads__free(&list);
	return err;
}

struct kb_error *kb_dump__add_failed(struct kb_dump *dump, pid_t pid)
{
	struct kb_dump_process_data *process = append(dump);

	if (!process)
		return kb_error__no_memory();
	process->info = (struct kb_dump_process){
		.pid = pid, .ns_pid = pid, .python = "", .command = "", .error = ""
	};
	return NULL;
}

/* Opens it, once its layout is known to fit. */
static struct kb_error *open_process(struct kb_image_cache *images, pid_t pid, bool *found,
				     struct kb_interpreter *interp)
{
	*found = false;
	KB_TRY(kb_interpreter__find(images, pid, found, interp));
	if (!*found)
		return NULL;
	if (!interp->initialized)
		return kb_unsupported("process %d: its interpreter is not initialized yet", pid);
	return kb_interpreter__validate(pid, interp);
}

struct kb_error *kb_dump__add_process(struct kb_dump *dump, struct kb_image_cache *images,
				      pid_t pid, pid_t tid, bool *found)
{
	struct kb_dump_process_data *process;
	struct kb_interpreter interp;
	char command[COMMAND_BYTES];

	KB_TRY(open_process(images, pid, found, &interp));
	if (!*found)
		return NULL;
	process = append(dump);
	if (!process)
		return kb_error__no_memory();
	kb_process__command(pid, command, sizeof(command));
	process->info = (struct kb_dump_process){
		.pid = pid,
		.ns_pid = kb_process__ns_pid(pid),
		.python = kb_dump__string(dump, interp.image->version),
		.command = kb_dump__string(dump, command),
		.error = "",
	};
	KB_TRY(kb_remote__open(pid, &interp, &process->remote));
	process->interp = interp;
	process->open = true;
	if (dump->native)
		kb_dump_native__add_process(dump, process);
	return add_threads(dump, process, tid);
}

/* ---------------------------------------------------------------- threads that sleep */

struct filling {
	struct kb_dump *dump;
	struct kb_dump_process_data *process;
	struct kb_dump_thread_data *thread;
};

static void fill(struct kb_remote *remote, const struct kb_remote_stack *stack, void *context)
{
	struct filling *filling = context;

	kb_remote_threads__look_at_gil(remote, &filling->thread->remote);
	kb_dump_frames__fill(filling->dump, remote, stack, &filling->thread->stack);
	if (filling->dump->native)
		kb_dump_native__walk(filling->dump, filling->process, filling->thread);
}

static void settle(struct kb_dump_thread_data *thread, enum kb_dump_how how)
{
	thread->settled = true;
	thread->info.how = how;
	thread->info.error = "";
}

static void try_thread(struct kb_dump *dump, struct kb_dump_process_data *process,
		       struct kb_dump_thread_data *thread, struct kb_remote_stack *stack)
{
	struct filling filling = { .dump = dump, .process = process, .thread = thread };
	struct kb_thread_look look;

	thread->walk = kb_remote_frames__asleep(&process->remote, &thread->remote, stack, &look,
						fill, &filling);
	if (look.name[0])
		thread->info.comm = kb_dump__string(dump, look.name);
	switch (thread->walk) {
	case KB_REMOTE_OK:
	case KB_REMOTE_NO_FRAME:
		thread->info.holds_gil = thread->remote.holds_gil;
		thread->info.collecting = thread->remote.collecting;
		if (dump->native)
			kb_dump_native__merge(dump, process, thread);
		settle(thread, KB_DUMP_ASLEEP);
		return;
	case KB_REMOTE_GONE:
		thread->gone = thread->settled = true;
		return;
	default:
		kb_dump_frames__clear(&thread->stack);
		thread->info.error = kb_remote_walk__text(thread->walk);
	}
}

/* A thread state that no thread is known for: nothing says whether it runs. */
static void give_up(struct kb_dump_process_data *process, struct kb_dump_thread_data *thread,
		    struct kb_remote_stack *stack)
{
	kb_remote__begin(&process->remote);
	thread->settled = true;
	thread->info.error = "the thread that it belongs to is not known";
	if (kb_remote_frames__walk(&process->remote, thread->remote.tstate, stack) ==
	    KB_REMOTE_NO_FRAME)
		settle(thread, KB_DUMP_ASLEEP);
}

uint32_t kb_dump__try_asleep(struct kb_dump *dump, struct kb_dump_process_data *process)
{
	struct kb_remote_stack stack = {};
	uint32_t left = 0;

	for (uint32_t i = 0; i < process->n_threads; i++) {
		struct kb_dump_thread_data *thread = &process->threads[i];

		if (!thread->settled && !thread->remote.tid)
			give_up(process, thread, &stack);
		if (!thread->settled)
			try_thread(dump, process, thread, &stack);
		left += !thread->settled;
	}
	kb_remote_stack__free(&stack);
	return left;
}
