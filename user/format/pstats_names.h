/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_PSTATS_NAMES_H
#define KB_FORMAT_PSTATS_NAMES_H

#include "keelback/calls.h"

/* pstats shows functions of this file and line 0 by their name alone. */
#define KB_PSTATS_FILE_OF_NAMES "~"

/*
 * A function as pstats writes it: `file:line(name)`, or for C functions their
 * name with its angle brackets replaced by braces (Lib/pstats.py, func_std_string()). free() it;
 * NULL: out of memory.
 */
char *kb_pstats_name(const struct kb_calls_function *function);

#endif
