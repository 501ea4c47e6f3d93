// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "base/clock.h"
#include "tui/state.h"

double kb_share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * part / whole : 0;
}

static void big_number(double value, char *text, size_t size)
{
	if (value < 9999999.5)
		snprintf(text, size, "%.0f", value);
	else if (value < 999.95e6)
		snprintf(text, size, "%.1fM", value / 1e6);
	else
		snprintf(text, size, "%.1fG", value / 1e9);
}

void kb_count_text(const struct kb_top *top, uint64_t count, char *text, size_t size)
{
	double seconds;

	if (!top->show_seconds && kb_profile__meta(top->profile)->unit == KB_UNIT_SAMPLES) {
		big_number(count, text, size);
		return;
	}
	seconds = kb_profile__seconds(top->profile, count);
	snprintf(text, size, "%.*fs", seconds < 999.995 ? 2 : 0, seconds);
}

void kb_duration_text(double seconds, char *text, size_t size)
{
	uint64_t whole = seconds;

	if (seconds < 60)
		snprintf(text, size, "%" PRIu64 " s", whole);
	else if (seconds < 3600)
		snprintf(text, size, "%" PRIu64 ":%02" PRIu64 " min", whole / 60, whole % 60);
	else
		snprintf(text, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " h", whole / 3600,
			 whole / 60 % 60, whole % 60);
}

static uint64_t own_cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * KB_NS_PER_SECOND +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ull;
}

/* The versions of the processes seen so far, each once. */
static void learn_pythons(struct kb_top *top)
{
	size_t used = 0;

	top->pythons[0] = 0;
	for (uint32_t i = 0; i < kb_profile__n_processes(top->profile); i++) {
		const char *python = kb_profile__process(top->profile, i)->python;

		if (!*python || strstr(top->pythons, python))
			continue;
		if (used + strlen(python) + 3 > sizeof(top->pythons))
			break;
		used += snprintf(top->pythons + used, sizeof(top->pythons) - used, "%s%s",
				 used ? ", " : "", python);
	}
}

void kb_top__learn(struct kb_top *top)
{
	struct kb_sampler_stats stats = { .size = sizeof(stats) };
	uint64_t now = kb_now(CLOCK_MONOTONIC), cpu = own_cpu_ns();

	if (now > top->own_at_ns && top->own_at_ns)
		top->own_share = (double)(cpu - top->own_cpu_ns) / (now - top->own_at_ns);
	top->own_cpu_ns = cpu;
	top->own_at_ns = now;
	kb_sampler__stats(top->sampler, &stats);
	top->clock = stats.clock ? stats.clock : "";
	learn_pythons(top);
}

void kb_ledger_text(const struct kb_profile *profile, char *text, size_t size)
{
	size_t used = 0;

	text[0] = 0;
	for (size_t i = 0; i < kb_profile__n_ledger(profile) && used < size; i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.count)
			used += snprintf(text + used, size - used, "%s%" PRIu64 " %s",
					 used ? (entry.note ? "; " : ", ") : "", entry.count,
					 entry.name);
	}
	if (!used)
		snprintf(text, size, "no samples: the target uses no CPU time");
}
