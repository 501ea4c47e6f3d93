/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_MEMORY_WRITERS_H
#define KB_FORMAT_MEMORY_WRITERS_H

#include <stdio.h>
#include "base/error.h"
#include "keelback/memory.h"

/* The formats of memory, called through the table in memory_format.c with complete options. */
typedef struct kb_error *kb_memory_writer(const struct kb_profile *profile,
					  const struct kb_memory_view_opts *opts, FILE *stream);

kb_memory_writer kb_memory_table__write;
kb_memory_writer kb_memory_jsonl__write;
kb_memory_writer kb_memory_pprof__write;
kb_memory_writer kb_tracemalloc_file__write;

/* "1,234 B", "5.6 KiB" and so on, into text. */
#define KB_MEMORY_SIZE_TEXT 32
const char *kb_memory_size__text(uint64_t bytes, char text[KB_MEMORY_SIZE_TEXT]);
/* The same with its sign. */
const char *kb_memory_size__signed_text(int64_t bytes, char text[KB_MEMORY_SIZE_TEXT]);

#endif
