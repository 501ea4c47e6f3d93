/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_LINETABLE_H
#define KB_PYTHON_LINETABLE_H

#include <stddef.h>
#include <stdint.h>
#include "bpf/shared/layout.h"

/*
 * Pure: bytes of a co_lnotab or co_linetable in, line out. The table comes from
 * a process that may be hostile: any bytes are safe, lines are clamped to int32.
 */

/*
 * Line of the code unit (index of 2-byte units, KB_LASTI_START: before the first
 * instruction). 0 when the table gives none, as for instructions without a line.
 */
int32_t kb_linetable__line(enum kb_linetable_kind kind, const uint8_t *table, size_t bytes,
			   int32_t first_line, uint32_t lasti);

/* Calls fn(start unit, end unit, line or 0, context) for each run of the table, in order; for tests
 * and coverage. */
typedef void (*kb_linetable_fn)(uint32_t start, uint32_t end, int32_t line, void *context);
void kb_linetable__each(enum kb_linetable_kind kind, const uint8_t *table, size_t bytes,
			int32_t first_line, kb_linetable_fn fn, void *context);

#endif
