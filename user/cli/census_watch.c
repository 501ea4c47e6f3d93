// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/census_watch.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/values.h"

#define EVERY_LEAST 0.01		 /* seconds */
#define POLL_NS	    (100 * KB_NS_PER_MS) /* how soon an interrupt is noticed */

struct kb_error *kb_census_watch__every(const char *text, double *seconds)
{
	uint64_t ns;

	if (!text[strcspn(text, "nums")])
		return kb_value__seconds("--every", text, seconds);
	KB_TRY(kb_value__duration("--every", text, &ns));
	*seconds = (double)ns / KB_NS_PER_SECOND;
	return NULL;
}

/* What could not be read is said, and the others are shown. */
static void warn_failed(const struct kb_census *census, const struct kb_census_watch *w)
{
	for (size_t i = 0; i < kb_census__n_processes(census) && !w->general->quiet; i++) {
		const struct kb_census_process *process = kb_census__process(census, i);

		if (process->error[0])
			kb_say("census: %s", process->error);
	}
}

static struct kb_error *take(const struct kb_census_watch *w, const struct kb_target *target,
			     struct kb_census **census)
{
	struct kb_census_opts opts = { .size = sizeof(opts), .largest = (unsigned)w->largest };

	KB_TRY(kb_census__take(target, &opts, census));
	warn_failed(*census, w);
	return NULL;
}

/* False: interrupted, or the time is over. */
static bool wait_until(uint64_t until, uint64_t end)
{
	for (;;) {
		uint64_t now = kb_now(CLOCK_MONOTONIC), left;
		struct timespec nap = {};
		bool from_terminal;

		if (kb_interrupt__received(&from_terminal) || (end && until > end))
			return false;
		if (now >= until)
			return true;
		left = until - now < POLL_NS ? until - now : POLL_NS;
		nap.tv_nsec = (long)left;
		nanosleep(&nap, NULL);
	}
}

static struct kb_error *show(const struct kb_census_watch *w, const struct kb_census *census,
			     FILE *stream)
{
	if (w->json)
		return kb_census_print__json(census, stream);
	if (w->growth_only) {
		fputs("Growth by type, from censuses of the heap: what is there, not what was "
		      "created\n",
		      stream);
		return NULL;
	}
	return kb_census_print__text(census, &w->view, stream);
}

/* The first in full, then what changed. As JSON, each in full. A process that has ended ends it,
 * and that is no error. */
static struct kb_error *watch(const struct kb_census_watch *w, const struct kb_target *target,
			      struct kb_census *first, FILE *stream)
{
	uint64_t start = kb_now(CLOCK_MONOTONIC), every = (uint64_t)(w->every * 1e9), round = 1,
		 end = w->duration > 0 ? start + (uint64_t)(w->duration * 1e9) : 0;
	struct kb_census *last = first, *now;
	struct kb_error *err = NULL;

	/* Growth that was waited for is shown when an interrupt ends the wait, too. */
	while (!err &&
	       (wait_until(start + round * every, end) || (w->growth_only && last == first))) {
		err = take(w, target, &now);
		if (err && kb_error__status(err) == KB_STATUS_UNSUPPORTED) {
			kb_say("census: %s", kb_error__text(err));
			kb_error__destroy(err);
			err = NULL;
			break;
		}
		if (err)
			break;
		if (!w->json)
			fprintf(stream, "\n%.1f s",
				(double)(kb_now(CLOCK_MONOTONIC) - start) / 1e9);
		err = w->json ? kb_census_print__json(now, stream)
			      : kb_census_print__growth(first, last, now, &w->view, stream);
		if (fflush(stream) || ferror(stream))
			break;
		if (last != first)
			kb_census__destroy(last);
		last = now;
		/* A heap that takes longer to read than the time between is read as often as it
		 * can. */
		round = (kb_now(CLOCK_MONOTONIC) - start) / every + 1;
	}
	if (last != first)
		kb_census__destroy(last);
	return err;
}

static struct kb_error *run(const struct kb_census_watch *w, FILE *stream)
{
	struct kb_target_opts which = kb_target_args__opts(w->target);
	struct kb_target *target;
	struct kb_census *census;
	struct kb_error *err;

	KB_TRY(kb_target__create(&which, &target));
	err = take(w, target, &census);
	if (!err) {
		err = show(w, census, stream);
		fflush(stream);
		if (!err && w->every > 0)
			err = watch(w, target, census, stream);
		kb_census__destroy(census);
	}
	kb_target__destroy(target);
	return err;
}

struct kb_error *kb_census_watch__run(const struct kb_census_watch *w)
{
	struct kb_output *output;
	struct kb_error *err;

	if (w->every > 0 && w->every < EVERY_LEAST)
		return kb_usage("--every: at most %.0f times a second", 1 / EVERY_LEAST);
	KB_TRY(kb_output__open(w->output, &output));
	err = kb_output__commit(output, run(w, kb_output__stream(output)));
	kb_output__destroy(output);
	return err;
}
