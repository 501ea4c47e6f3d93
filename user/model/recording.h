/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_RECORDING_H
#define KB_MODEL_RECORDING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "keelback/calls.h"
#include "keelback/error.h"
#include "keelback/profile.h"

/*
 * Recordings (.kb), format in docs/RECORDING_FORMAT.md. A writer appends what is
 * new in the profile since its last flush as whole sections, so that a recording
 * that was cut off is readable up to its last whole section.
 */
struct kb_recording_writer;

/* Starts a recording on a stream, which must stay open and stays the caller's. Writes the header.
 */
struct kb_error *kb_recording_writer__create(FILE *stream, struct kb_recording_writer **writer);
/* Appends what was added to the profile since the last flush (sample counts as differences), and
 * fflushes. */
struct kb_error *kb_recording_writer__flush(struct kb_recording_writer *writer,
					    const struct kb_profile *profile);
/* Last flush, final meta data and ledger, end section. Does not destroy. */
struct kb_error *kb_recording_writer__finish(struct kb_recording_writer *writer,
					     const struct kb_profile *profile);
void kb_recording_writer__destroy(struct kb_recording_writer *writer);

#define KB_RECORDING_BYTES_MAX (UINT64_C(4) << 30) /* it is read into memory whole */

/* What a recording is of: one of them is not NULL. */
struct kb_recorded {
	struct kb_profile *profile;
	struct kb_calls *calls;
};
/* Reads a whole recording of any kind from memory; see kb_profile__load(). name is for messages. */
struct kb_error *kb_recording__read_any(const void *bytes, size_t size, const char *name,
					bool partial, struct kb_recorded *recorded);
/* The bytes begin as a recording does. */
bool kb_recording__is(const void *bytes, size_t size);
/* The same for recordings of samples alone: others are an error. */
struct kb_error *kb_recording__read(const void *bytes, size_t size, const char *name, bool partial,
				    struct kb_profile **profile);

#endif
