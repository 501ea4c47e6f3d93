/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_CALLS_RECORDING_H
#define KB_MODEL_CALLS_RECORDING_H

#include <stdio.h>
#include "model/calls.h"

/*
 * Recordings of call statistics, format in docs/RECORDING_FORMAT.md; used as
 * model/recording.h, which also reads them. A flush appends what has changed since the last
 * one, entries as a whole: of an entry that comes again the last one counts.
 */
struct kb_calls_writer;

struct kb_error *kb_calls_writer__create(FILE *stream, struct kb_calls_writer **writer);
struct kb_error *kb_calls_writer__flush(struct kb_calls_writer *writer,
					const struct kb_calls *calls);
/* Last flush and the end section. Does not destroy. */
struct kb_error *kb_calls_writer__finish(struct kb_calls_writer *writer,
					 const struct kb_calls *calls);
void kb_calls_writer__destroy(struct kb_calls_writer *writer);

#endif
