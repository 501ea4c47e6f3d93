/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_VARINT_H
#define KB_BASE_VARINT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"

/*
 * Integers in as many bytes as they need: 7 bits per byte, low ones first, the
 * top bit set when more follow (LEB128, as in DWARF and protobuf). Signed
 * ones are folded so that small absolute values are short: 0, -1, 1, -2 … are 0, 1, 2, 3 …
 */
#define KB_VARINT_BYTES_MAX 10

void kb_varint__put(struct kb_buf *buf, uint64_t value);
void kb_varint__put_signed(struct kb_buf *buf, int64_t value);

/* Reading from bytes that may be damaged: past the end, or beyond 64 bits, `failed` is set and
 * everything is 0. */
struct kb_cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

uint64_t kb_varint__get(struct kb_cursor *cursor);
int64_t kb_varint__get_signed(struct kb_cursor *cursor);
/* size bytes in place, or NULL. */
const uint8_t *kb_cursor__take(struct kb_cursor *cursor, uint64_t size);

#endif
