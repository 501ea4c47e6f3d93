/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_SHORT_PATH_H
#define KB_FORMAT_SHORT_PATH_H

#include <stddef.h>
#include "base/error.h"

/*
 * Replaces each path by the shortest end of it, from a `/` on, that no other
 * path in the array ends with: `server.py`, but `json/__init__.py` where there are several
 * `__init__.py`. The results point into the strings given. Equal paths stay equal.
 */
struct kb_error *kb_short_path__make(const char **paths, size_t n);

#endif
