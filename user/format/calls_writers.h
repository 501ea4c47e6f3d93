/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CALLS_WRITERS_H
#define KB_FORMAT_CALLS_WRITERS_H

#include <stdio.h>
#include "keelback/calls_format.h"

/* As format/writers.h, for call statistics: called through the table in calls_format.c. */
typedef struct kb_error *kb_calls_format_writer(const struct kb_calls *calls,
						const struct kb_calls_format_opts *opts,
						FILE *stream);

kb_calls_format_writer kb_calls_text__write;
kb_calls_format_writer kb_calls_pstats_file__write;
kb_calls_format_writer kb_calls_callgrind__write;
kb_calls_format_writer kb_calls_pprof__write;
kb_calls_format_writer kb_calls_json__write;
kb_calls_format_writer kb_calls_recording__write;

#endif
