/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_WINDOW_H
#define KB_MODEL_WINDOW_H

#include "model/profile.h"

/*
 * A part of a profile by time, made from its moments. What a profile with a
 * timeline has of samples without one (lost moments) is in no part.
 */

/*
 * A profile of its own of the moments from..to, in ns since the start of observation. ledger has
 * KB_L_COUNT counts for that time, of which the reported ones are replaced by what the
 * moments say. Destroyed with kb_profile__destroy().
 */
struct kb_error *kb_profile__window(const struct kb_profile *profile, uint64_t from_ns,
				    uint64_t to_ns, const uint64_t *ledger,
				    struct kb_profile **window);

/* Forgets the moments that ended before a time. */
void kb_profile__drop_moments(struct kb_profile *profile, uint64_t before_ns);

/*
 * Forgets the stacks that neither a moment nor a caller's mark needs, and all
 * sums. nodes: one element for each node, not 0 for those to stay; afterwards each node's new id,
 * or KB_ID_NONE. Processes, threads, functions and frames stay. False: out of memory, nothing is
 * changed.
 */
bool kb_profile__forget_stacks(struct kb_profile *profile, uint32_t *nodes);

#endif
