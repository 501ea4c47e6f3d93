/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_ARRAY_H
#define KB_BASE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

/*
 * Makes room for `needed` elements in an array that grows by doubling, never
 * above max elements. Returns the array, perhaps moved, and updates *capacity; NULL when
 * needed > max or memory ran out: then the old array is as it was.
 */
void *kb_array__grow(void *array, uint32_t *capacity, uint32_t needed, size_t element_size,
		     uint32_t max);

#endif
