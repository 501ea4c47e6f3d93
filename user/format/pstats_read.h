/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_PSTATS_READ_H
#define KB_FORMAT_PSTATS_READ_H

#include "keelback/calls.h"

/*
 * A file of cProfile, profile or profiling.sampling (3.15), or one that pstats
 * dumped, from memory: see pstats_file.c for what is in it. Three differences to what Python
 * makes of it: characters that UTF-8 does not have (lone surrogates, NUL) are replaced; times
 * that are no numbers, negative counts and functions that come twice are refused.
 */
struct kb_error *kb_pstats__read(const void *bytes, size_t size, struct kb_calls **calls);

#endif
