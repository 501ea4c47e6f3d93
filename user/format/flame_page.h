/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_FLAME_PAGE_H
#define KB_FORMAT_FLAME_PAGE_H

#include <stdio.h>
#include "base/error.h"
#include "keelback/format.h"

/* The page of a flame graph, or, with a baseline, of the differences between two profiles. */
struct kb_error *kb_flame_page__write(const struct kb_profile *profile,
				      const struct kb_profile *baseline,
				      const struct kb_format_opts *opts, FILE *stream);

#endif
