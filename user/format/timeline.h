/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_TIMELINE_H
#define KB_FORMAT_TIMELINE_H

#include <stdint.h>
#include "base/error.h"
#include "keelback/profile.h"

/*
 * The single samples of a profile (kb_profile__moments()) in the order of time, thread by thread:
 * they arrive in another, and a wait when it is over. Free with kb_timeline__free(), also after an
 * error.
 */
struct kb_timeline {
	uint32_t *order; /* indices of moments */
	uint32_t *first; /* in order, of each thread; behind the last one, the end */
};

struct kb_error *kb_timeline__init(struct kb_timeline *timeline, const struct kb_profile *profile);
void kb_timeline__free(struct kb_timeline *timeline);

#endif
