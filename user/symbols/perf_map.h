/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_PERF_MAP_H
#define KB_SYMBOLS_PERF_MAP_H

#include <sys/types.h>
#include "symbols/symbol_table.h"
#include "system/file_key.h"

/*
 * The names that a run-time compiler wrote to /tmp/perf-PID.map (Linux,
 * tools/perf/Documentation/jit-interface.txt), for CPython's `-X perf` among others: a line "START
 * SIZE name" for each function, numbers in hexadecimal. PID and /tmp are those that the process
 * sees. Anybody can put a file there, so only one that belongs to the process's user counts.
 */

/* What lies behind is left out. A long-running compiler writes some MB. */
#define KB_PERF_MAP_BYTES_MAX (64u << 20)

/*
 * Reads the map of a process into a table, which is initialized and closed here, unless the file is
 * the one in *key and not longer; updates *key. False: the table is as it was.
 */
bool kb_perf_map__read(pid_t pid, struct kb_file_key *key, struct kb_symbol_table *table);

#endif
