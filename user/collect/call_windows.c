// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include "base/clock.h"
#include "collect/call_windows.h"

#define OWN_MIN                                                                                    \
	50 /* a window's part that is the program's own time at least: nothing runs in none */

/* A window in which nothing is called costs nothing: still they do not come one after the other,
 * and before the first one the program is seen without. */
#define GAP_MIN 4 /* times the length */

/*
 * What may be spent is so much for samples, which are taken all the time, and for windows so much
 * with what samples take. The rest is for what is not measured: cold caches after a window, and
 * that a probe costs one program more than it costs another.
 */
#define SAMPLED	 0.25
#define MEASURED 0.75
#define LEAST	 0.25 /* for windows, whatever samples take */
#define SAMPLE_NS                                                                                  \
	15e3 /* from the program, of an interrupt in a virtual machine: docs/OVERHEAD.md */

unsigned kb_call_windows__rate(double duty, unsigned max_hz)
{
	double hz = SAMPLED * duty / SAMPLE_NS * KB_NS_PER_SECOND;

	return hz < 1 ? 1 : hz < max_hz ? (unsigned)hz : max_hz;
}

double kb_call_windows__share(double duty, unsigned rate_hz)
{
	return fmax(LEAST * duty, MEASURED * duty - rate_hz * SAMPLE_NS / KB_NS_PER_SECOND);
}

void kb_call_windows__start(struct kb_call_windows *windows, double duty, uint64_t length_ns,
			    uint64_t now, uint64_t cpu)
{
	*windows = (struct kb_call_windows){ .duty = duty,
					     .length_ns = length_ns,
					     .start = now,
					     .began = now,
					     .cpu = cpu,
					     .next = now + GAP_MIN * length_ns };
}

uint64_t kb_call_windows__until(const struct kb_call_windows *windows, uint64_t now)
{
	uint64_t then = windows->open ? windows->began + windows->length_ns : windows->next;

	return then > now ? then - now : 0;
}

void kb_call_windows__opened(struct kb_call_windows *windows, uint64_t now, uint64_t cpu)
{
	/* Processes end, and their time with them. */
	if (windows->cpu && cpu > windows->cpu) {
		windows->idle_ns += now - windows->began;
		windows->idle_cpu_ns += cpu - windows->cpu;
	}
	windows->open = true;
	windows->began = now;
	windows->cpu = cpu;
}

/* What is left of a time without its cost. */
static uint64_t own(struct kb_call_windows *windows, uint64_t ns, uint64_t cost_ns)
{
	if (cost_ns > ns / 4 * 3)
		windows->rough++;
	return cost_ns > ns - ns / OWN_MIN ? ns / OWN_MIN : ns - cost_ns;
}

uint64_t kb_call_windows__closed(struct kb_call_windows *windows, uint64_t now, uint64_t cpu,
				 uint64_t cost_ns)
{
	uint64_t length = now - windows->began, ran = cpu - windows->cpu;

	windows->open = false;
	if (!windows->cpu || cpu <= windows->cpu || !windows->idle_cpu_ns)
		return own(windows, length, cost_ns);
	return (uint64_t)((double)own(windows, ran, cost_ns) * (double)windows->idle_ns /
			  (double)windows->idle_cpu_ns);
}

void kb_call_windows__done(struct kb_call_windows *windows, uint64_t now, uint64_t cpu,
			   uint64_t cost_ns)
{
	uint64_t earliest = now + GAP_MIN * windows->length_ns;

	windows->began = now;
	windows->cpu = cpu;
	windows->cost_ns += cost_ns;
	if (cost_ns > windows->dearest_ns)
		windows->dearest_ns = cost_ns;
	/* All that was spent, and that the next one may take, is the share of this much time. */
	windows->next =
		windows->start +
		(uint64_t)((double)(windows->cost_ns + windows->dearest_ns) / windows->duty);
	if (windows->next < earliest)
		windows->next = earliest;
}
