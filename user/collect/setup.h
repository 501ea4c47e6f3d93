/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_SETUP_H
#define KB_COLLECT_SETUP_H

#include "collect/target.h"
#include "keelback/sample.h"
#include "kernel/programs.h"

/* What a session's options come to: checked, completed, and as the kernel side takes them. */

/* Puts in what was left to us; fails for what does not exist or does not go together. */
struct kb_error *kb_setup__complete(struct kb_sample_opts *opts, const struct kb_target *target);

/* Mean samples per second and running thread. */
double kb_setup__rate(const struct kb_sample_opts *opts);
/* Waits for the GIL are seen whole: there is nothing to sample. */
bool kb_setup__takes_samples(const struct kb_sample_opts *opts);

void kb_setup__programs(const struct kb_sample_opts *opts, const struct kb_target *target,
			unsigned cpus, struct kb_programs_opts *programs);

#endif
