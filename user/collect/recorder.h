/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_RECORDER_H
#define KB_COLLECT_RECORDER_H

#include "collect/ingest.h"

/*
 * The flight recorder of a session with a timeline: keeps the last seconds of it,
 * for as long as the session runs. Its memory is that of the moments (32 bytes each: 2 MB
 * for 30 s of two threads at 1 kHz), of their stacks, and of the functions of the program.
 */
struct kb_recorder;

/* keep_s: 0 keeps everything. */
struct kb_error *kb_recorder__create(unsigned keep_s, struct kb_recorder **recorder);
void kb_recorder__destroy(struct kb_recorder *recorder);

/* After each drain. now_ns: since the start of observation. */
void kb_recorder__drained(struct kb_recorder *recorder, struct kb_profile *profile,
			  struct kb_ingest *ingest, uint64_t now_ns);

/* What is kept, as a profile of its own. */
struct kb_error *kb_recorder__last(const struct kb_recorder *recorder,
				   const struct kb_profile *profile, struct kb_profile **last);

#endif
