// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Threads that run. What is read of them from outside is torn more often than not, so
 * a sampling session with a fast clock takes their stacks in their own context, and its first
 * sample of a thread is the answer. At the same time each is tried again from outside:
 * most threads sleep now and then, and one that sleeps is not sampled.
 *
 * Values of local variables can only be read from outside. For a sampled thread
 * they are taken from those frames, counted from the root, that are in memory before and after
 * as they were in the sample, and marked as racy.
 */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "inspect/dump.h"
#include "keelback/sample.h"
#include "python/remote_code.h"

#define RATE_HZ	       4000 /* one that runs is seen within a quarter of a millisecond of its time */
#define POLL_MS	       2
#define TARGET_MAX     4096 /* processes of one session */
#define TRIES_FIRST    5    /* before a session is started, which takes some 200 ms */
#define TRIES_PAUSE_NS (2 * KB_NS_PER_MS)

/* ---------------------------------------------------------------- samples */

const char *kb_dump__bare_name(const char *qualname)
{
	const char *dot = strrchr(qualname, '.');

	return dot ? dot + 1 : qualname;
}

static void add_sampled(struct kb_dump *dump, struct kb_dump_thread_data *thread,
			const struct kb_profile *profile, uint32_t frame_id)
{
	const struct kb_frame_info *frame = kb_profile__frame(profile, frame_id);
	const struct kb_function_info *function = kb_profile__function(profile, frame->function);
	struct kb_dump_frame_data *data;

	if (function->kind == KB_FRAME_MARKER && !strcmp(function->name, "<GC>"))
		thread->info.collecting = true;
	if (function->kind == KB_FRAME_MARKER && !strcmp(function->name, "<truncated>"))
		thread->stack.cut = true;
	if (function->kind != KB_FRAME_PYTHON && function->kind != KB_FRAME_NATIVE)
		return;
	if (thread->stack.n == dump->opts.frames) {
		thread->stack.cut = true;
		return;
	}
	data = kb_dump_frames__add(&thread->stack);
	if (!data)
		return;
	data->info.file = kb_dump__string(dump, function->file);
	data->info.qualname = kb_dump__string(dump, function->name);
	data->info.name = kb_dump__string(dump, function->kind == KB_FRAME_NATIVE
							? function->name
							: kb_dump__bare_name(function->name));
	data->info.line = frame->line;
	data->info.opcode = kb_dump__string(dump, frame->opcode);
	data->info.kind = function->kind == KB_FRAME_NATIVE ? KB_DUMP_NATIVE : KB_DUMP_PYTHON;
}

void kb_dump_thread__take_sample(struct kb_dump *dump, struct kb_dump_process_data *process,
				 struct kb_dump_thread_data *thread,
				 const struct kb_profile *profile, uint32_t node)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);

	kb_dump_frames__clear(&thread->stack);
	thread->info.collecting = false;
	for (; node != KB_ID_NONE; node = nodes[node].parent)
		add_sampled(dump, thread, profile, nodes[node].frame);
}

/* ---------------------------------------------------------------- locals of a thread that runs */

/* Is this code object the function that the sample shows? */
static bool is_function(struct kb_remote *remote, uint64_t address,
			const struct kb_dump_frame_data *frame)
{
	struct kb_remote_code code;
	bool same;

	if (!kb_remote_code__read_pages(remote->pages, remote->layout, remote->code_type, address,
					&code))
		return false;
	same = !strcmp(code.file, frame->info.file) && !strcmp(code.name, frame->info.qualname);
	kb_remote_code__free(&code);
	return same;
}

static void read_racy_locals(struct kb_dump *dump, struct kb_remote *remote,
			     struct kb_dump_thread_data *thread)
{
	struct kb_remote_stack before = {}, after = {};
	uint32_t n;

	kb_remote__begin(remote);
	if (thread->stack.cut ||
	    kb_remote_frames__walk(remote, thread->remote.tstate, &before) != KB_REMOTE_OK)
		goto out;
	for (n = 0; n < before.n && n < thread->stack.n; n++) {
		const struct kb_remote_frame *from = &before.frames[before.n - 1 - n];
		struct kb_dump_frame_data *frame = &thread->stack.frames[thread->stack.n - 1 - n];

		if (!is_function(remote, from->code, frame))
			break;
		kb_dump_frame__read_locals(dump, remote, from, frame);
		frame->info.racy = true;
	}
	kb_remote__begin(remote);
	if (kb_remote_frames__walk(remote, thread->remote.tstate, &after) != KB_REMOTE_OK)
		after.n = 0;
	for (uint32_t i = 0; i < n; i++) {
		bool stayed =
			i < after.n &&
			after.frames[after.n - 1 - i].address ==
				before.frames[before.n - 1 - i].address &&
			after.frames[after.n - 1 - i].code == before.frames[before.n - 1 - i].code;

		if (!stayed)
			thread->stack.frames[thread->stack.n - 1 - i].info.n_locals = 0;
	}
out:
	kb_remote_stack__free(&before);
	kb_remote_stack__free(&after);
}

/* ---------------------------------------------------------------- which thread state */

/*
 * A thread that works in several interpreters has a state in each, and a sample is of the one that
 * it runs in. The others do not change: they have no frame, or wait in a call whose root is
 * another's.
 */
static bool is_of(struct kb_remote *remote, const struct kb_dump_thread_data *thread)
{
	const struct kb_dump_frame_data *root = &thread->stack.frames[thread->stack.n - 1];
	struct kb_remote_stack stack = {};
	bool same;

	kb_remote__begin(remote);
	/* Torn, but a root is seldom replaced. */
	kb_remote_frames__walk(remote, thread->remote.tstate, &stack);
	same = stack.n && is_function(remote, stack.frames[stack.n - 1].code, root);
	kb_remote_stack__free(&stack);
	return same;
}

static uint32_t states_of(const struct kb_dump_process_data *process, pid_t tid)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < process->n_threads; i++)
		n += process->threads[i].remote.tid == tid;
	return n;
}

static void settle_idle_state(struct kb_dump_process_data *process,
			      struct kb_dump_thread_data *thread)
{
	struct kb_remote_stack stack = {};

	kb_remote__begin(&process->remote);
	if (kb_remote_frames__walk(&process->remote, thread->remote.tstate, &stack) ==
	    KB_REMOTE_NO_FRAME) {
		thread->settled = true;
		thread->info.how = KB_DUMP_ASLEEP;
		thread->info.error = "";
	}
	kb_remote_stack__free(&stack);
}

/* Does the stack begin with native frames, as each does whose native part is complete? */
static bool has_native_root(const struct kb_profile *profile, uint32_t node)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);
	const struct kb_frame_info *root;

	while (nodes[node].parent != KB_ID_NONE)
		node = nodes[node].parent;
	root = kb_profile__frame(profile, nodes[node].frame);
	return kb_profile__function(profile, root->function)->kind == KB_FRAME_NATIVE;
}

/* A sample of the thread, if there is one yet; native: that begins with native frames. */
static uint32_t find_sample(const struct kb_profile *profile, pid_t pid, pid_t tid, bool native)
{
	const struct kb_sample *samples = kb_profile__samples(profile);

	for (uint32_t i = 0; i < kb_profile__n_samples(profile); i++) {
		const struct kb_thread_info *info = kb_profile__thread(profile, samples[i].thread);

		if (info->tid == tid && kb_profile__process(profile, info->process)->pid == pid &&
		    (!native || has_native_root(profile, samples[i].node)))
			return samples[i].node;
	}
	return KB_ID_NONE;
}

static void settle_by_sample(struct kb_dump *dump, struct kb_dump_process_data *process,
			     struct kb_dump_thread_data *thread, const struct kb_profile *profile)
{
	/* Tables are made when a stack is first seen that needs them: later ones are complete. */
	bool native = dump->native && kb_now(CLOCK_MONOTONIC) < dump->native_until;
	uint32_t node = find_sample(profile, process->info.pid, thread->remote.tid, native);

	if (node == KB_ID_NONE)
		return;
	kb_dump_thread__take_sample(dump, process, thread, profile, node);
	if (!thread->stack.n)
		return;
	if (states_of(process, thread->remote.tid) > 1 && !is_of(&process->remote, thread)) {
		kb_dump_frames__clear(&thread->stack);
		settle_idle_state(process, thread);
		return;
	}
	if (dump->opts.locals)
		read_racy_locals(dump, &process->remote, thread);
	kb_remote__begin(&process->remote);
	kb_remote_threads__look_at_gil(&process->remote, &thread->remote);
	thread->info.holds_gil = thread->remote.holds_gil;
	thread->info.collecting |= thread->remote.collecting;
	thread->info.how = KB_DUMP_SAMPLED;
	thread->info.error = "";
	thread->settled = true;
}

/* ---------------------------------------------------------------- session */

static uint32_t try_all(struct kb_dump *dump, const struct kb_profile *profile)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < dump->n; i++) {
		struct kb_dump_process_data *process = &dump->processes[i];

		for (uint32_t j = 0; profile && j < process->n_threads; j++) {
			if (!process->threads[j].settled)
				settle_by_sample(dump, process, &process->threads[j], profile);
		}
		if (process->open)
			left += kb_dump__try_asleep(dump, process);
	}
	return left;
}

static bool is_unsettled(const struct kb_dump_process_data *process)
{
	for (uint32_t i = 0; i < process->n_threads; i++) {
		if (!process->threads[i].settled)
			return true;
	}
	return false;
}

static struct kb_error *start_session(struct kb_dump *dump, struct kb_target **target,
				      struct kb_sampler **sampler)
{
	struct kb_sample_opts opts = { .size = sizeof(opts),
				       .rate_hz = RATE_HZ,
				       .software = true,
				       .no_native_marks = true,
				       .opcodes = dump->opts.opcodes,
				       .native = dump->native };
	struct kb_target_opts which = { .size = sizeof(which) };
	pid_t pids[TARGET_MAX];

	for (uint32_t i = 0; i < dump->n && which.n_pids < TARGET_MAX; i++) {
		if (is_unsettled(&dump->processes[i]))
			pids[which.n_pids++] = dump->processes[i].info.pid;
	}
	which.pids = pids;
	KB_TRY(kb_target__create(&which, target));
	KB_TRY(kb_sampler__create(*target, &opts, sampler));
	return kb_sampler__start(*sampler);
}

/* Counted from when threads can be caught: starting a session may take as long on a busy machine.
 */
static uint64_t deadline(const struct kb_dump *dump)
{
	return kb_now(CLOCK_MONOTONIC) + dump->opts.timeout_ms * KB_NS_PER_MS;
}

static void sample(struct kb_dump *dump, struct kb_sampler *sampler)
{
	uint64_t end = deadline(dump);
	struct kb_error *err = NULL;
	bool done = false;

	/* The unwind tables of all libraries that a thread runs take their time. */
	dump->native_until = end - dump->opts.timeout_ms * KB_NS_PER_MS / 4;
	while (kb_now(CLOCK_MONOTONIC) < end && !err) {
		err = kb_sampler__poll(sampler, POLL_MS, &done);
		if (!err)
			err = kb_sampler__drain(sampler);
		if (!err && !try_all(dump, kb_sampler__profile(sampler)))
			break;
	}
	if (err)
		kb_warn("threads that run cannot be sampled: %s", kb_error__text(err));
	kb_error__destroy(err);
}

struct kb_error *kb_dump__catch_running(struct kb_dump *dump)
{
	const struct timespec pause = { .tv_nsec = TRIES_PAUSE_NS };
	struct kb_sampler *sampler = NULL;
	struct kb_target *target = NULL;
	struct kb_error *err;
	uint64_t end;

	for (int i = 0; i < TRIES_FIRST; i++) {
		if (!try_all(dump, NULL))
			return NULL;
		nanosleep(&pause, NULL);
	}
	err = start_session(dump, &target, &sampler);
	if (err) {
		/* Perhaps they sleep once. */
		kb_warn("threads that run cannot be sampled: %s", kb_error__text(err));
		kb_error__destroy(err);
		end = deadline(dump);
		while (kb_now(CLOCK_MONOTONIC) < end && try_all(dump, NULL))
			nanosleep(&pause, NULL);
	} else {
		sample(dump, sampler);
	}
	kb_sampler__destroy(sampler);
	kb_target__destroy(target);
	return NULL;
}
