/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_SAMPLER_H
#define KB_COLLECT_SAMPLER_H

#include "collect/session.h"
#include "keelback/sample.h"

/* Another collector in the same session: what it needs beside samples, and what it does at the
 * session's moments, each time before the sampler does its own. */
struct kb_sampler_extension {
	uint32_t runs; /* KB_RUN_* */
	uint32_t want; /* KB_WANT_* */
	const struct kb_collector *collector;
	void *context;
};

/* The extension is borrowed; NULL: none. */
struct kb_error *kb_sampler__create_extended(const struct kb_target *target,
					     const struct kb_sample_opts *opts,
					     const struct kb_sampler_extension *extension,
					     struct kb_sampler **sampler);

struct kb_session *kb_sampler__session(struct kb_sampler *sampler);
/* The profile of a session that has been stopped, which is the caller's from then on. */
struct kb_profile *kb_sampler__take_profile(struct kb_sampler *sampler);

#endif
