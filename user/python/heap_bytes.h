/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_HEAP_BYTES_H
#define KB_PYTHON_HEAP_BYTES_H

#include <stdint.h>
#include <string.h>

/* Words in copied memory, wherever they lie. */
static inline uint64_t kb_u64_at(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline uint32_t kb_u32_at(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

#endif
