/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_NEAREST_H
#define KB_BASE_NEAREST_H

#include <stddef.h>

/* Of n names (a member every stride bytes), the one that differs least from what was typed, or NULL
 * when none is close. */
const char *kb_nearest(const char *typed, const char *const *first, size_t n, size_t stride);

#endif
