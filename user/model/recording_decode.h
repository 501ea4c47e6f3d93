/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_RECORDING_DECODE_H
#define KB_MODEL_RECORDING_DECODE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/varint.h"
#include "keelback/calls.h"
#include "keelback/error.h"
#include "model/private.h"

/* Putting the contents of sections into a profile; recording_read.c unpacks them. */
struct kb_decoder {
	struct kb_profile *profile;
	const char **strings; /* of the profile's pool, by id in the recording */
	uint32_t n_strings, strings_capacity;
	bool meta_seen;
	struct kb_calls *calls; /* what the recording is of instead, when it is not NULL */
};

/* Errors say what is wrong with the contents, without file and place. */
struct kb_section_kind {
	uint32_t type;
	const char *name;
	struct kb_error *(*decode)(struct kb_decoder *decoder, struct kb_cursor *cursor);
};

/* NULL: no such type. */
const struct kb_section_kind *kb_calls_section_kind__find(uint32_t type);
const struct kb_section_kind *kb_memory_section_kind__find(uint32_t type);
const struct kb_section_kind *kb_section_kind__find(uint32_t type);

/* After the last section of call statistics: their sums. */
void kb_calls_decode__complete(struct kb_calls *calls, bool incomplete);

#endif
