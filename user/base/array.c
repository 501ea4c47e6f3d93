// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"

#define ARRAY_FIRST 64 /* elements of a first allocation */

void *kb_array__grow(void *array, uint32_t *capacity, uint32_t needed, size_t element_size,
		     uint32_t max)
{
	uint64_t size = *capacity ? *capacity : ARRAY_FIRST;
	void *moved;

	if (needed > max)
		return NULL;
	if (needed <= *capacity)
		return array;
	while (size < needed)
		size *= 2;
	if (size > max)
		size = max;
	moved = reallocarray(array, size, element_size);
	if (moved)
		*capacity = (uint32_t)size;
	return moved;
}
