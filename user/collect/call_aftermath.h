/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CALL_AFTERMATH_H
#define KB_COLLECT_CALL_AFTERMATH_H

#include "model/calls.h"

/*
 * What a probe leaves behind: the program goes on with other code and data in the caches, and with
 * branches that are predicted worse. So for a while it is slower, in time that is its own by all
 * that a sample can see. It counts for functions that are short and called often: unless it is
 * taken off, they have up to twice their time (docs/OVERHEAD.md has what was measured).
 */
struct kb_call_aftermath {
	double share; /* of the time after a probe that would not have passed without it, 0 to 1 */
	double reach; /* seconds after a probe within which that is so */
};

/*
 * The share of each function's own time that is aftermath, by function: an array of
 * kb_calls__n_functions(), free it; NULL: no memory. calls: with counts, and times as sampled.
 */
double *kb_call_aftermath__shares(const struct kb_calls *calls,
				  const struct kb_call_aftermath *aftermath);

#endif
