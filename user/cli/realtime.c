// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "cli/realtime.h"
#include "cli/report.h"

void kb_realtime__start(struct kb_realtime *realtime, struct kb_sampler *sampler)
{
	*realtime = (struct kb_realtime){ .sampler = sampler };
	realtime->began_ns = realtime->last_ns = kb_now(CLOCK_MONOTONIC);
	realtime->last_cpu_ns = kb_now(CLOCK_PROCESS_CPUTIME_ID);
}

/* What failed so far, as of the last drain. */
static void write_failures(const struct kb_profile *profile, FILE *stream)
{
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (!entry.note && !entry.reported && entry.count)
			fprintf(stream, ", %" PRIu64 " %s", entry.count, entry.name);
	}
}

static void say(const struct kb_realtime *r, double rate, double cpu_percent,
		const struct kb_sampler_stats *stats)
{
	const struct kb_profile *profile = kb_sampler__profile(r->sampler);
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return;
	fprintf(stream, "%.0f s: %.0f samples/s (%.0f to %.0f), %" PRIu64 " in all",
		(r->last_ns - r->began_ns) / 1e9, rate, r->slowest, r->fastest, stats->attempted);
	write_failures(profile, stream);
	fprintf(stream, "; %u process%s, own CPU %.1f %%", stats->processes,
		stats->processes == 1 ? "" : "es", cpu_percent);
	if (fclose(stream) == 0)
		kb_say("%s", text);
	free(text);
}

void kb_realtime__look(struct kb_realtime *r)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), cpu;
	struct kb_sampler_stats stats = { .size = sizeof(stats) };
	double seconds = (now - r->last_ns) / 1e9, rate, cpu_percent;

	if (now - r->last_ns < KB_NS_PER_SECOND)
		return;
	kb_sampler__stats(r->sampler, &stats);
	cpu = kb_now(CLOCK_PROCESS_CPUTIME_ID);
	rate = (stats.attempted - r->last_attempted) / seconds;
	cpu_percent = (cpu - r->last_cpu_ns) / 1e7 / seconds;
	if (!r->last_attempted || rate < r->slowest)
		r->slowest = rate;
	if (rate > r->fastest)
		r->fastest = rate;
	r->last_ns = now;
	r->last_cpu_ns = cpu;
	r->last_attempted = stats.attempted;
	say(r, rate, cpu_percent, &stats);
}
