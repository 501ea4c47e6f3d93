/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CALL_WINDOWS_H
#define KB_COLLECT_CALL_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When the windows are in which calls are counted: each of the same length, and the next
 * one when what all of them have cost is no more than a share of the time since the start.
 * Pure arithmetic on what it is told.
 */
struct kb_call_windows {
	double duty; /* 0 to 1 */
	uint64_t length_ns;
	uint64_t start;	  /* of everything; times as CLOCK_MONOTONIC has them, ns */
	uint64_t began;	  /* of the window that is open */
	uint64_t next;	  /* of the window to come */
	uint64_t cost_ns; /* of all windows so far */
	bool open;
};

void kb_call_windows__start(struct kb_call_windows *windows, double duty, uint64_t length_ns,
			    uint64_t now);
/* ns from now on until one is to be opened or closed; 0: it is time. */
uint64_t kb_call_windows__until(const struct kb_call_windows *windows, uint64_t now);
void kb_call_windows__opened(struct kb_call_windows *windows, uint64_t now);
/*
 * It was closed, and cost the program so much. Returns how much of the program's own time it
 * saw: its length without that, but a tenth of it at least.
 */
uint64_t kb_call_windows__closed(struct kb_call_windows *windows, uint64_t now, uint64_t cost_ns);

#endif
