// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/nearest.h"

#define NAME_MAX_COMPARED 32 /* longer than any command */
#define DISTANCE_MAX	  2  /* one typing error, or two letters swapped */

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* How many letters must be changed, added or removed (Levenshtein), with one row of the matrix. */
static unsigned distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	unsigned row[NAME_MAX_COMPARED + 1];

	if (na > NAME_MAX_COMPARED || nb > NAME_MAX_COMPARED)
		return DISTANCE_MAX + 1;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned above = row[j];

			row[j] = smallest(above + 1, row[j - 1] + 1,
					  diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[nb];
}

const char *kb_nearest(const char *typed, const char *const *first, size_t n, size_t stride)
{
	unsigned best = DISTANCE_MAX + 1;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		const char *name = *(const char *const *)((const char *)first + i * stride);
		unsigned d = distance(typed, name);

		/* With every letter changed it is another word. */
		if (d < best && d < strlen(name)) {
			best = d;
			found = name;
		}
	}
	return found;
}
