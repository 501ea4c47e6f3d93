/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_CODE_PLACES_H
#define KB_PYTHON_CODE_PLACES_H

#include <stdbool.h>
#include <stdint.h>
#include "python/remote_code.h"

/*
 * Pure: which instructions of a code object a function begins with, ends with, and a line starts
 * with. Places are code units (2 bytes) from the first instruction.
 */
struct kb_code_bytes {
	unsigned minor; /* of 3.minor */
	enum kb_linetable_kind linetable;
	const uint8_t *bytes; /* as they are in memory, specialized or not */
	uint32_t units;
};

#define KB_CODE_UNITS_MAX (1u << 20) /* 2 MB; the largest functions of generated code have some */

/*
 * The instruction that every call executes once: the first RESUME from 3.11 on (not those behind a
 * yield), the first instruction before. False: reason says why there is none.
 */
bool kb_code_places__entry(const struct kb_code_bytes *code, uint32_t *unit, const char **reason);

/* Instructions that return. Their number, of which at most max are stored; 0: there are none, or
 * the instructions could not be told. */
uint32_t kb_code_places__exits(const struct kb_code_bytes *code, uint32_t *units, uint32_t max);

/*
 * Where a line is entered, once for each execution: the first instruction of each range of it, or
 * the one in it that a loop comes back to (`for` and `while`). Their number, of which at most max
 * are stored.
 */
uint32_t kb_code_places__line(const struct kb_code_bytes *code, const struct kb_remote_code *info,
			      int32_t line, uint32_t *units, uint32_t max);

#endif
