// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/error.h"
#include "cli/options.h"
#include "cli/values.h"

/* Options without a letter. */
enum {
	KEY_NO_JITTER = 256,
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
	{},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct kb_collect_args *args = state->input;

	switch (key) {
	case 'd':
		return kb_cli__fail(state, kb_value__seconds("--duration", arg, &args->duration));
	case 'r':
		return kb_cli__fail(state,
				    kb_value__rate("--rate", arg, &args->tick, &args->rate_hz));
	case KEY_NO_JITTER:
		args->no_jitter = true;
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
	return NULL;
}

struct kb_sample_opts kb_collect_args__opts(const struct kb_collect_args *args)
{
	return (struct kb_sample_opts){
		.size = sizeof(struct kb_sample_opts),
		.tick = args->tick,
		.rate_hz = args->rate_hz,
		.no_jitter = args->no_jitter,
	};
}
