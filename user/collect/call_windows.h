/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CALL_WINDOWS_H
#define KB_COLLECT_CALL_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When the windows are in which calls are counted, and how much of the program's own time they saw.
 *
 * Each window has the same length, and the next one comes when what all of them have cost, it
 * included, is no more than a share of the time since the start; only the first one comes at once.
 * A window sees less of the program than its length says: probes take their part of it, the more so
 * where processors are short. So what the program ran in it without the probes' cost, in time on a
 * processor, is compared with what it runs in a second between the windows. Pure arithmetic on what
 * it is told.
 */
struct kb_call_windows {
	double duty; /* 0 to 1 */
	uint64_t length_ns;
	uint64_t start;	      /* of everything; times as CLOCK_MONOTONIC has them, ns */
	uint64_t began;	      /* of the window that is open, or of the time since the last one */
	uint64_t cpu;	      /* the program's time on processors then */
	uint64_t next;	      /* of the window to come */
	uint64_t cost_ns;     /* of all windows so far … */
	uint64_t dearest_ns;  /* … and the most that one of them has cost */
	uint64_t idle_ns;     /* between windows so far … */
	uint64_t idle_cpu_ns; /* … and the program's time on processors in it */
	uint32_t rough;	      /* windows that were probes for more than three quarters: what is left
				 as the program's own time is the difference of two large numbers */
	bool open;
};

/* Samples a second, at most max_hz, that leave the most of a duty (0 to 1) to windows. */
unsigned kb_call_windows__rate(double duty, unsigned max_hz);
/* What of a duty windows may spend beside so many samples a second (0: there are none). */
double kb_call_windows__share(double duty, unsigned rate_hz);

void kb_call_windows__start(struct kb_call_windows *windows, double duty, uint64_t length_ns,
			    uint64_t now, uint64_t cpu);
/* ns from now on until one is to be opened or closed; 0: it is time. */
uint64_t kb_call_windows__until(const struct kb_call_windows *windows, uint64_t now);
/* cpu: the program's time on processors so far, in all of these; 0: not known. */
void kb_call_windows__opened(struct kb_call_windows *windows, uint64_t now, uint64_t cpu);
/*
 * It was closed, and had cost the program so much. Returns how much time of the program without
 * probes it stands for.
 */
uint64_t kb_call_windows__closed(struct kb_call_windows *windows, uint64_t now, uint64_t cpu,
				 uint64_t cost_ns);
/* Its probes are gone; what the window has cost with attaching and detaching. */
void kb_call_windows__done(struct kb_call_windows *windows, uint64_t now, uint64_t cpu,
			   uint64_t cost_ns);

#endif
