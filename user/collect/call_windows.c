// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "collect/call_windows.h"

/* A window in which nothing is called costs nothing: still they do not come one after the other. */
#define GAP_MIN 4 /* times the length */

void kb_call_windows__start(struct kb_call_windows *windows, double duty, uint64_t length_ns,
			    uint64_t now)
{
	*windows = (struct kb_call_windows){
		.duty = duty, .length_ns = length_ns, .start = now, .next = now
	};
}

uint64_t kb_call_windows__until(const struct kb_call_windows *windows, uint64_t now)
{
	uint64_t then = windows->open ? windows->began + windows->length_ns : windows->next;

	return then > now ? then - now : 0;
}

void kb_call_windows__opened(struct kb_call_windows *windows, uint64_t now)
{
	windows->open = true;
	windows->began = now;
}

uint64_t kb_call_windows__closed(struct kb_call_windows *windows, uint64_t now, uint64_t cost_ns)
{
	uint64_t length = now - windows->began, earliest = now + GAP_MIN * windows->length_ns;

	windows->open = false;
	windows->cost_ns += cost_ns;
	/* All that was spent is the share of this much time. */
	windows->next = windows->start + (uint64_t)((double)windows->cost_ns / windows->duty);
	if (windows->next < earliest)
		windows->next = earliest;
	return length - cost_ns > length / 10 && cost_ns < length ? length - cost_ns : length / 10;
}
