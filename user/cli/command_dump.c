// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/error.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/values.h"
#include "keelback/dump.h"

struct dump_args {
	struct kb_general_args general;
	struct kb_target_args target;
	struct kb_dump_opts opts;
	const char *output;
	bool json;
	double timeout; /* seconds, 0: the default */
	long tid, limit, depth, items, length;
};

enum {
	KEY_MAIN_THREAD = 512,
	KEY_LOCALS,
	KEY_ASYNC,
	KEY_NATIVE,
	KEY_OPCODES,
	KEY_LIMIT,
	KEY_TIMEOUT,
	KEY_DEPTH,
	KEY_ITEMS,
	KEY_LENGTH
};

#define LIMIT_MAX  1000000
#define DEPTH_MAX  20
#define ITEMS_MAX  10000
#define LENGTH_MAX 100000

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "What:", 2 },
	{ "tid", 't', "TID", 0, "Only this thread, by host TID", 0 },
	{ "main-thread", KEY_MAIN_THREAD, NULL, 0, "Only the main thread of each process", 0 },
	{ "limit", KEY_LIMIT, "N", 0,
	  "At most N frames of a thread, from the innermost one; 0: all of them. Default: 100", 0 },
	{ "locals", KEY_LOCALS, NULL, 0, "Local variables and their values, too", 0 },
	{ "native", KEY_NATIVE, NULL, 0, "Native frames among Python's", 0 },
	{ "opcodes", KEY_OPCODES, NULL, 0, "The instruction that the innermost Python frame is at",
	  0 },
	{ "async", KEY_ASYNC, "MODE", 0,
	  "asyncio's tasks, too: running (the current one of each event loop) or all", 0 },
	{ "depth", KEY_DEPTH, "N", 0, "Values: containers within containers; default: 3", 0 },
	{ "items", KEY_ITEMS, "N", 0, "Values: items of each container; default: 10", 0 },
	{ "length", KEY_LENGTH, "N", 0, "Values: characters of each string; default: 120", 0 },
	{ "timeout", KEY_TIMEOUT, "SECONDS", 0,
	  "How long to try to catch a thread that runs all the time; default: 2", 0 },
	{ NULL, 0, NULL, 0, "Result:", 3 },
	{ "output", 'o', "FILE", 0, "Write to FILE; - is stdout, the default", 0 },
	{},
};

static error_t parse_number(int key, char *arg, struct argp_state *state)
{
	struct dump_args *args = state->input;

	switch (key) {
	case 't':
		return kb_cli__fail(state,
				    kb_value__integer("--tid", arg, 1, KB_PID_LARGEST, &args->tid));
	case KEY_LIMIT:
		return kb_cli__fail(state,
				    kb_value__integer("--limit", arg, 0, LIMIT_MAX, &args->limit));
	case KEY_DEPTH:
		return kb_cli__fail(state,
				    kb_value__integer("--depth", arg, 1, DEPTH_MAX, &args->depth));
	case KEY_ITEMS:
		return kb_cli__fail(state,
				    kb_value__integer("--items", arg, 1, ITEMS_MAX, &args->items));
	case KEY_LENGTH:
		return kb_cli__fail(
			state, kb_value__integer("--length", arg, 1, LENGTH_MAX, &args->length));
	case KEY_TIMEOUT:
		return kb_cli__fail(state, kb_value__seconds("--timeout", arg, &args->timeout));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const modes[] = { "running", "all", NULL };
	struct dump_args *args = state->input;
	int mode = 0;
	error_t error;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->target;
		state->child_inputs[1] = &args->json;
		state->child_inputs[2] = &args->general;
		return 0;
	case KEY_MAIN_THREAD:
		args->opts.main_only = true;
		return 0;
	case KEY_LOCALS:
		args->opts.locals = true;
		return 0;
	case KEY_NATIVE:
		args->opts.native = true;
		return 0;
	case KEY_OPCODES:
		args->opts.opcodes = true;
		return 0;
	case KEY_ASYNC:
		error = kb_cli__fail(state, kb_value__choice("--async", arg, modes, &mode));
		args->opts.async = KB_DUMP_RUNNING_TASKS + (enum kb_dump_async)mode;
		return error;
	case 'o':
		args->output = arg;
		return 0;
	default:
		return parse_number(key, arg, state);
	}
}

static const struct argp_child children[] = {
	{ &kb_target_only_argp, 0, "Which processes, one of these:", 1 },
	{ &kb_json_argp, 0, NULL, 3 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Shows the Python stacks of all threads of running processes, as they are now, in the "
	"format of faulthandler. Nothing is stopped, and no system call of the target is "
	"interrupted; each stack is one that the thread really had."
	"\v"
	"Examples:\n"
	"  keelback dump -p 4711              where is it?\n"
	"  keelback dump -p 4711 --locals     and with what?\n"
	"  keelback dump --container web --json\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 4 not possible here.";

static const struct argp argp = {
	.options = options, .parser = parse, .args_doc = "TARGET", .doc = doc, .children = children
};

/* ---------------------------------------------------------------- JSON */

static const char *const kinds[] = {
	[KB_DUMP_LOCAL] = "local", [KB_DUMP_CELL] = "cell", [KB_DUMP_FREE] = "free"
};
static const char *const hows[] = {
	[KB_DUMP_ASLEEP] = "asleep", [KB_DUMP_SAMPLED] = "running", [KB_DUMP_UNREAD] = "unread"
};

/* A stack in the dump, of a thread or of a task. */
struct place {
	const struct kb_dump *dump;
	size_t process, stack, frame;
	bool task;
};

static const struct kb_dump_frame *frame_at(const struct place *at)
{
	return at->task ? kb_dump__task_frame(at->dump, at->process, at->stack, at->frame)
			: kb_dump__frame(at->dump, at->process, at->stack, at->frame);
}

static const struct kb_dump_local *local_at(const struct place *at, size_t local)
{
	return at->task ? kb_dump__task_local(at->dump, at->process, at->stack, at->frame, local)
			: kb_dump__local(at->dump, at->process, at->stack, at->frame, local);
}

static struct json_object *locals_json(const struct place *at, const struct kb_dump_frame *frame)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < frame->n_locals; i++) {
		const struct kb_dump_local *local = local_at(at, i);
		struct json_object *object = json_object_new_object();

		kb_json__add_text(object, "name", local->name);
		kb_json__add_text(object, "kind", kinds[local->kind]);
		kb_json__add_text(object, "value", local->value);
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *frame_json(const struct place *at, bool locals)
{
	const struct kb_dump_frame *frame = frame_at(at);
	struct json_object *object = json_object_new_object();

	kb_json__add_text(object, "kind", frame->kind == KB_DUMP_NATIVE ? "native" : "python");
	kb_json__add_text(object, "file", frame->file);
	if (frame->line)
		kb_json__add_int(object, "line", frame->line);
	else
		json_object_object_add(object, "line", NULL);
	kb_json__add_text(object, "name", frame->name);
	kb_json__add_text(object, "qualname", frame->qualname);
	kb_json__add_text(object, "opcode", frame->opcode);
	if (locals) {
		kb_json__add_bool(object, "racy", frame->racy);
		json_object_object_add(object, "locals", locals_json(at, frame));
	}
	return object;
}

static struct json_object *frames_json(struct place *at, size_t n, bool locals)
{
	struct json_object *array = json_object_new_array();

	for (at->frame = 0; at->frame < n; at->frame++)
		json_object_array_add(array, frame_json(at, locals));
	return array;
}

static struct json_object *thread_json(struct place *at, bool locals)
{
	const struct kb_dump_thread *thread = kb_dump__thread(at->dump, at->process, at->stack);
	struct json_object *object = json_object_new_object();
	char ident[32];

	snprintf(ident, sizeof(ident), "0x%016" PRIx64, thread->ident);
	kb_json__add_int(object, "tid", thread->tid);
	kb_json__add_text(object, "ident", ident);
	kb_json__add_text(object, "name", thread->name);
	kb_json__add_text(object, "comm", thread->comm);
	kb_json__add_int(object, "interpreter", thread->interpreter);
	kb_json__add_bool(object, "holds_gil", thread->holds_gil);
	kb_json__add_bool(object, "collecting", thread->collecting);
	kb_json__add_text(object, "state", hows[thread->how]);
	kb_json__add_text(object, "error", thread->error);
	json_object_object_add(object, "frames", frames_json(at, thread->n_frames, locals));
	kb_json__add_bool(object, "cut", thread->cut);
	return object;
}

static struct json_object *task_json(struct place *at, bool locals)
{
	const struct kb_dump_task *task = kb_dump__task(at->dump, at->process, at->stack);
	struct json_object *object = json_object_new_object(), *by = json_object_new_array();
	char number[32];

	kb_json__add_int(object, "id", (int64_t)at->stack);
	kb_json__add_text(object, "name", task->name);
	snprintf(number, sizeof(number), "0x%016" PRIx64, task->thread);
	kb_json__add_text(object, "thread", number);
	kb_json__add_bool(object, "running", task->running);
	kb_json__add_bool(object, "racy", task->racy);
	kb_json__add_text(object, "waits_for", task->waits_for);
	for (size_t i = 0; i < task->n_awaited_by; i++)
		json_object_array_add(by, json_object_new_int64((int64_t)kb_dump__task_awaiter(
						  at->dump, at->process, at->stack, i)));
	json_object_object_add(object, "awaited_by", by);
	json_object_object_add(object, "frames", frames_json(at, task->n_frames, locals));
	kb_json__add_bool(object, "cut", task->cut);
	return object;
}

static struct json_object *process_json(const struct kb_dump *dump, size_t index,
					const struct kb_dump_opts *opts)
{
	const struct kb_dump_process *process = kb_dump__process(dump, index);
	struct json_object *object = json_object_new_object(), *stacks = json_object_new_array();
	struct place at = { .dump = dump, .process = index };

	kb_json__add_int(object, "pid", process->pid);
	kb_json__add_int(object, "ns_pid", process->ns_pid);
	kb_json__add_text(object, "python", process->python);
	kb_json__add_text(object, "command", process->command);
	kb_json__add_text(object, "error", process->error);
	for (at.stack = 0; at.stack < process->n_threads; at.stack++)
		json_object_array_add(stacks, thread_json(&at, opts->locals));
	json_object_object_add(object, "threads", stacks);
	if (!opts->async)
		return object;
	at.task = true;
	stacks = json_object_new_array();
	for (at.stack = 0; at.stack < process->n_tasks; at.stack++)
		json_object_array_add(stacks, task_json(&at, opts->locals));
	json_object_object_add(object, "tasks", stacks);
	return object;
}

static void print_json(const struct kb_dump *dump, const struct kb_dump_opts *opts, FILE *stream)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < kb_dump__n_processes(dump); i++)
		json_object_array_add(array, process_json(dump, i, opts));
	kb_json__print(stream, array);
}

/* ---------------------------------------------------------------- the command */

/* What could not be read is said, and the others are shown. */
static void warn_failed(const struct kb_dump *dump, const struct dump_args *args)
{
	for (size_t i = 0; i < kb_dump__n_processes(dump) && !args->general.quiet; i++) {
		const struct kb_dump_process *process = kb_dump__process(dump, i);

		if (process->error[0])
			kb_say("dump: %s", process->error);
	}
}

static struct kb_error *take(struct dump_args *args, struct kb_dump **dump)
{
	struct kb_target_opts which = kb_target_args__opts(&args->target);
	struct kb_target *target;
	struct kb_error *err;

	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup or --all");
	which.tid = (pid_t)args->tid;
	args->opts.size = sizeof(args->opts);
	args->opts.frames = args->limit < 0 ? 0 : args->limit ? (unsigned)args->limit : UINT_MAX;
	args->opts.timeout_ms = (unsigned)(args->timeout * 1000);
	args->opts.depth = (unsigned)args->depth;
	args->opts.items = (unsigned)args->items;
	args->opts.characters = (unsigned)args->length;
	KB_TRY(kb_target__create(&which, &target));
	err = kb_dump__take(target, &args->opts, dump);
	kb_target__destroy(target);
	return err;
}

static struct kb_error *show(struct dump_args *args)
{
	struct kb_output *output;
	struct kb_dump *dump;
	struct kb_error *err;

	KB_TRY(kb_output__open(args->output, &output));
	err = take(args, &dump);
	if (!err) {
		warn_failed(dump, args);
		if (args->json)
			print_json(dump, &args->opts, kb_output__stream(output));
		else
			err = kb_dump__write_text(dump, kb_output__stream(output));
		err = kb_output__commit(output, err);
		kb_dump__destroy(dump);
	}
	kb_output__destroy(output);
	return err;
}

struct kb_error *kb_command__dump(int argc, char **argv, int *status)
{
	struct dump_args args = { .limit = -1 };
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done) {
		kb_report__start(&args.general);
		err = show(&args);
	}
	kb_target_args__free(&args.target);
	return err;
}
