/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_FAR_JUMPS_H
#define KB_SYMBOLS_FAR_JUMPS_H

#include <stdint.h>

/*
 * Jumps, conditional ones too, to a fixed place that may be far away: those between a function and
 * its parts that the compiler moved away. Every byte is taken for the start of an instruction, so
 * what is none is reported, too, and points anywhere in 4 GB: see that it means something before
 * believing it. One implementation per processor; where there is none, nothing is found.
 */
#define KB_FAR_JUMP_BYTES 6 /* the longest: windows of a longer text overlap by one less */

/* from and to are counted from the first byte of the code; to may lie outside of it. */
typedef void kb_far_jump_fn(void *context, uint32_t from, int64_t to);

/* Calls `take` for each of them in size bytes of code, in ascending order. */
void kb_far_jumps__find(const uint8_t *code, uint32_t size, kb_far_jump_fn *take, void *context);

#endif
