// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/flight.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/values.h"

#define FILES_MAX 1000 /* of one run: a condition that comes and goes must not fill the disk */

/* ---- options */

enum {
	KEY_KEEP = 256,
	KEY_WHEN,
	KEY_TIMELINE,
	KEY_REALTIME,
};

static const struct argp_option options[] = {
	{ "keep", KEY_KEEP, "SECONDS", 0,
	  "Flight recorder: hold only the last so many seconds, and write them to the output with "
	  "a "
	  "number in its name on SIGUSR2 (or --when), and under its own name at the end",
	  0 },
	{ "when", KEY_WHEN, "CONDITION", 0,
	  "With --keep: write also when this comes to hold, looked at every second: cpu>80% (of "
	  "one CPU, all threads together), gil>90% (time that the GIL is held by a running "
	  "thread), "
	  "threads>16 (that ran Python); also with <",
	  0 },
	{ "timeline", KEY_TIMELINE, NULL, 0,
	  "Keep the time of each sample and the thread's state, for formats and recordings that "
	  "show them",
	  0 },
	{ "realtime-stats", KEY_REALTIME, NULL, 0,
	  "While sampling say every second on stderr: samples per second, what became of them, "
	  "and keelback's own CPU time",
	  0 },
	{},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct kb_flight_args *args = state->input;

	switch (key) {
	case KEY_KEEP:
		return kb_cli__fail(
			state, kb_value__integer("--keep", arg, 1, KB_KEEP_MAX_S, &args->keep_s));
	case KEY_WHEN:
		return kb_cli__fail(state, kb_when__parse(arg, &args->when));
	case KEY_TIMELINE:
		args->timeline = true;
		return 0;
	case KEY_REALTIME:
		args->realtime = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp kb_flight_argp = { .options = options, .parser = parse };

struct kb_error *kb_flight__check(const struct kb_flight_args *args,
				  const struct kb_view_args *view)
{
	if (args->when.metric != KB_WHEN_NONE && !args->keep_s)
		return kb_usage("--when needs --keep SECONDS: it says when these are written");
	if (args->keep_s && kb_view_args__to_stdout(view))
		return kb_usage("--keep writes files: give --output FILE");
	return NULL;
}

/* ---- writing */

static volatile sig_atomic_t requested;

static void on_request(int signal)
{
	requested = 1;
}

void kb_flight__install(void)
{
	struct sigaction request = { .sa_handler = on_request };

	sigaction(SIGUSR2, &request, NULL);
}

/* path with "-NUMBER" before the ending that chose the format; free it. NULL: out of memory. */
static char *numbered_path(const char *path, const struct kb_format *format, unsigned number)
{
	size_t length = strlen(path), at = length, n;
	char *numbered;

	for (const char *ending = format->endings; *ending; ending += n + strspn(ending + n, " ")) {
		n = strcspn(ending, " ");
		if (n < length && !strncasecmp(path + length - n, ending, n))
			at = length - n;
	}
	if (asprintf(&numbered, "%.*s-%u%s", (int)at, path, number, path + at) < 0)
		return NULL;
	return numbered;
}

static struct kb_error *write_window(struct kb_flight *flight, const char *path)
{
	struct kb_format_opts opts = kb_view_args__opts(flight->view, flight->general);
	struct kb_profile *window;
	struct kb_output *output;
	struct kb_error *err;

	KB_TRY(kb_sampler__drain(flight->sampler));
	KB_TRY(kb_sampler__last(flight->sampler, &window));
	err = kb_output__open(path, &output);
	if (!err) {
		err = kb_format__write(flight->format, window, &opts, kb_output__stream(output));
		err = kb_output__commit(output, err);
		kb_output__destroy(output);
	}
	if (!err && !flight->general->quiet)
		kb_say("wrote the last %.1f s to %s: %u samples",
		       kb_profile__meta(window)->duration_ns / 1e9, path,
		       kb_profile__n_moments(window));
	kb_profile__destroy(window);
	return err;
}

/* What cannot be written now is said, and the recorder goes on: the next may be. */
static struct kb_error *write_numbered(struct kb_flight *flight)
{
	struct kb_error *err;
	char *path;

	if (flight->files >= FILES_MAX) {
		kb_say("not written: this run has written %d files", FILES_MAX);
		return NULL;
	}
	path = numbered_path(flight->view->output, flight->format, ++flight->files);
	if (!path)
		return kb_error__no_memory();
	err = write_window(flight, path);
	if (err)
		kb_say("%s", kb_error__text(err));
	kb_error__destroy(err);
	free(path);
	return NULL;
}

/* At a drain: has the condition come to hold, or does it still, a window later? */
static bool comes_to_hold(struct kb_flight *flight)
{
	const struct kb_profile *profile = kb_sampler__profile(flight->sampler);
	uint64_t now = kb_profile__meta(profile)->duration_ns, from = flight->looked_ns;
	bool held = flight->held;

	flight->looked_ns = now;
	flight->held = kb_when__holds(&flight->args->when, profile, from, now);
	if (!flight->held ||
	    (held && now - flight->written_ns < flight->args->keep_s * KB_NS_PER_SECOND))
		return false;
	flight->written_ns = now;
	return true;
}

struct kb_error *kb_flight__look(struct kb_flight *flight)
{
	struct kb_sampler_stats stats = { .size = sizeof(stats) };

	if (!flight->args->keep_s)
		return NULL;
	if (requested) {
		requested = 0;
		return write_numbered(flight);
	}
	kb_sampler__stats(flight->sampler, &stats);
	if (stats.drains == flight->drains)
		return NULL;
	flight->drains = stats.drains;
	return comes_to_hold(flight) ? write_numbered(flight) : NULL;
}
