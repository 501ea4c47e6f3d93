/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_RECORDING_VALUES_H
#define KB_MODEL_RECORDING_VALUES_H

#include "model/recording_decode.h"

/* Values in the contents of sections, checked. Errors say what is wrong. */

struct kb_error *kb_entry__cut_short(void) __attribute__((warn_unused_result, returns_nonnull));
/* A number that must be below n. */
struct kb_error *kb_entry__id(struct kb_cursor *cursor, const char *what, uint32_t n, uint32_t *id);
struct kb_error *kb_entry__i32(struct kb_cursor *cursor, const char *what, int32_t *number);
struct kb_error *kb_entry__u64(struct kb_cursor *cursor, uint64_t *number);
/* 8 bytes, little-endian. */
struct kb_error *kb_entry__real(struct kb_cursor *cursor, double *number);
struct kb_error *kb_entry__string(const struct kb_decoder *decoder, struct kb_cursor *cursor,
				  const char **text);
/* The id at the start of a section of a table that only grows: sections follow on each other. */
struct kb_error *kb_entry__first(struct kb_cursor *cursor, uint32_t n);
/* What a function that adds answered against what the recording says. */
struct kb_error *kb_entry__check_added(const char *what, uint32_t id, uint32_t expected);

#endif
