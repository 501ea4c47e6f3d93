/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_CODE_SCAN_H
#define KB_PYTHON_CODE_SCAN_H

#include <stddef.h>
#include <stdint.h>

/*
 * Searching all of a file's code for what instructions refer to, without decoding it from the
 * start: a byte sequence that only looks like the instruction is found, too, so only large numbers
 * mean anything. One implementation per processor, code_scan_x86.c and so on; where there is none,
 * nothing is found.
 */
struct kb_code {
	const uint8_t *bytes;
	size_t size;
	uint64_t address; /* of the first byte */
};

/* How many instructions refer to this address relative to their own. */
size_t kb_code_scan__references(const struct kb_code *code, uint64_t address);
/* How many call through, or compare, a word at this offset from a register. */
size_t kb_code_scan__uses_at_offset(const struct kb_code *code, int32_t offset);

/*
 * The function that prepares a new pool: it stores DUMMY_SIZE_IDX (0xffff) into pool->szidx, at
 * 0x24 in struct pool_header (Objects/obmalloc.c, 3.6 to 3.15). 0: it is none that is called from
 * many places, because it is inlined in the one function that all allocations go through.
 */
uint64_t kb_code_scan__new_pool(const struct kb_code *code);

#endif
