/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_STATS_BROWSER_H
#define KB_CLI_STATS_BROWSER_H

#include <stdbool.h>
#include "keelback/error.h"

/*
 * The profile browser of `python -m pstats`, with its commands and its words.
 * paths are read like its arguments: the first one is shown, the others are added to it. Ends with
 * the input, `quit`, or an error of stdout.
 */
struct kb_error *kb_stats_browser__run(const char *const *paths, size_t n, bool strip_dirs,
				       bool partial);

#endif
