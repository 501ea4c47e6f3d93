// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/error.h"
#include "cli/options.h"
#include "cli/values.h"

/* Options without a letter. */
enum {
	KEY_NO_JITTER = 256,
	KEY_MODE,
	KEY_MIN_WAIT,
	KEY_NO_NATIVE_MARKS,
	KEY_NO_GC,
	KEY_NATIVE,
	KEY_KERNEL,
	KEY_OPCODES,
	KEY_ASYNC,
};

static const struct argp_option options[] = {
	{ "duration", 'd', "SECONDS", 0,
	  "Collect for so long, such as 10 or 0.5; else until the command ends, or Ctrl-C", 0 },
	{ "rate", 'r', "HZ|tick", 0,
	  "Samples per second and running thread, 1 to 20000; tick: at the kernel's own timer "
	  "interrupts, so that none are added. Default: 1000 for --pid and -- COMMAND, else tick",
	  0 },
	{ "no-jitter", KEY_NO_JITTER, NULL, 0,
	  "Sample at a constant period: it may beat with what the program does", 0 },
	{ "tid", 't', "TID", 0, "Only this thread, by host TID", 0 },
	{ "mode", KEY_MODE, "MODE", 0,
	  "What is profiled. cpu (default): running threads; wall: running and waiting ones; gil: "
	  "only while holding the GIL; gil-wait: waits for the GIL, with the stack of who holds "
	  "it; "
	  "exception: only while an exception is raised or handled",
	  0 },
	{ "min-wait", KEY_MIN_WAIT, "DURATION", 0,
	  "With --mode wall and gil-wait: only count shorter waits, such as 100us or 1ms "
	  "(default: 1us)",
	  0 },
	{ "no-native-marks", KEY_NO_NATIVE_MARKS, NULL, 0,
	  "No <native> in stacks where C code called Python (3.11 and later)", 0 },
	{ "no-gc", KEY_NO_GC, NULL, 0, "No <GC> in stacks while a garbage collection runs", 0 },
	{ "native", KEY_NATIVE, NULL, 0,
	  "Show native functions too, where they lie between Python's: without frame pointers, "
	  "from "
	  "the files' unwind tables",
	  0 },
	{ "kernel", KEY_KERNEL, NULL, 0, "Show the kernel's functions that threads are in", 0 },
	{ "opcodes", KEY_OPCODES, NULL, 0,
	  "The instruction that is executed, too: rows of the table are instructions of lines, and "
	  "in stacks it stands behind the leaf",
	  0 },
	{ "async", KEY_ASYNC, "MODE", 0,
	  "asyncio's tasks. running: stacks begin with the task that runs and those that wait for "
	  "it, "
	  "in place of the event loop; all: tasks that wait, too, read --rate times a second "
	  "(1 to 1000, default 20), each a sample",
	  0 },
	{},
};

static struct kb_error *parse_mode(const char *text, struct kb_collect_args *args)
{
	const char *names[16] = { NULL };

	/* The last is --async all. */
	for (int i = 0; i < KB_MODE_TASKS; i++)
		names[i] = kb_sample_mode__name(i);
	return kb_value__choice("--mode", text, names, &args->mode);
}

static struct kb_error *parse_async(const char *text, struct kb_collect_args *args)
{
	static const char *const names[] = { "running", "all", NULL };
	int choice = 0;

	KB_TRY(kb_value__choice("--async", text, names, &choice));
	args->async = KB_ASYNC_RUNNING + choice;
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct kb_collect_args *args = state->input;

	switch (key) {
	case 'd':
		return kb_cli__fail(state, kb_value__seconds("--duration", arg, &args->duration));
	case 'r':
		return kb_cli__fail(state,
				    kb_value__rate("--rate", arg, &args->tick, &args->rate_hz));
	case KEY_MODE:
		return kb_cli__fail(state, parse_mode(arg, args));
	case KEY_MIN_WAIT:
		return kb_cli__fail(state,
				    kb_value__duration("--min-wait", arg, &args->wait_min_ns));
	case KEY_NATIVE:
		args->native = true;
		return 0;
	case KEY_KERNEL:
		args->kernel = true;
		return 0;
	case KEY_ASYNC:
		return kb_cli__fail(state, parse_async(arg, args));
	case KEY_NO_JITTER:
		args->no_jitter = true;
		return 0;
	case KEY_NO_NATIVE_MARKS:
		args->no_native_marks = true;
		return 0;
	case KEY_NO_GC:
		args->no_gc = true;
		return 0;
	case KEY_OPCODES:
		args->opcodes = true;
		return 0;
	case 't':
		return kb_cli__fail(state,
				    kb_value__integer("--tid", arg, 1, KB_PID_LARGEST, &args->tid));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp kb_collect_argp = { .options = options, .parser = parse };

struct kb_error *kb_collect_args__check(const struct kb_collect_args *args)
{
	if (args->no_jitter && args->tick)
		return kb_usage("--no-jitter does not go with --rate tick, which has no period of "
				"its own");
	if (args->mode == KB_MODE_GIL_WAIT && (args->rate_hz || args->tick || args->no_jitter))
		return kb_usage("--mode gil-wait takes no samples: %s does not go with it",
				args->no_jitter ? "--no-jitter" : "--rate");
	if (args->async == KB_ASYNC_ALL) {
		const char *other = args->mode != KB_MODE_CPU ? "--mode"
				    : args->tick	      ? "--rate tick"
				    : args->tid		      ? "--tid"
				    : args->native	      ? "--native"
				    : args->kernel	      ? "--kernel"
				    : args->opcodes	      ? "--opcodes"
							      : NULL;

		if (other)
			return kb_usage(
				"--async all reads tasks, and no stacks of threads: %s does "
				"not go with it",
				other);
		if (args->rate_hz > KB_TASK_RATE_MAX)
			return kb_usage("--async all: at most --rate %d", KB_TASK_RATE_MAX);
	}
	if (args->wait_min_ns && args->mode != KB_MODE_WALL && args->mode != KB_MODE_GIL_WAIT)
		return kb_usage("--min-wait needs --mode wall or gil-wait");
	return NULL;
}

struct kb_sample_opts kb_collect_args__opts(const struct kb_collect_args *args)
{
	return (struct kb_sample_opts){
		.size = sizeof(struct kb_sample_opts),
		.tick = args->tick,
		.rate_hz = args->rate_hz,
		.no_jitter = args->no_jitter,
		.mode = args->mode,
		.wait_min_ns = args->wait_min_ns,
		.no_native_marks = args->no_native_marks,
		.no_gc = args->no_gc,
		.native = args->native,
		.kernel = args->kernel,
		.opcodes = args->opcodes,
		.async = args->async,
	};
}
