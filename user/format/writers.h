/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_WRITERS_H
#define KB_FORMAT_WRITERS_H

#include <stdio.h>
#include "keelback/format.h"

/*
 * One writer for each format, called through the table in format.c. Options are
 * complete and checked, and what goes wrong with the stream is found by the
 * caller: a writer returns only errors of its own.
 */
typedef struct kb_error *kb_format_writer(const struct kb_profile *profile,
					  const struct kb_format_opts *opts, FILE *stream);

kb_format_writer kb_pstats_text__write;
kb_format_writer kb_collapsed__write;
kb_format_writer kb_flamegraph__write;
kb_format_writer kb_diff_flamegraph__write;
kb_format_writer kb_heatmap__write;
kb_format_writer kb_gecko__write;
kb_format_writer kb_speedscope__write;
kb_format_writer kb_pprof__write;
kb_format_writer kb_callgrind__write;
kb_format_writer kb_jsonl__write;
kb_format_writer kb_pstats_file__write;
kb_format_writer kb_recording_file__write;

struct kb_label;
/* A frame of a collapsed stack. */
void kb_collapsed__write_label(const struct kb_label *label, FILE *stream);

/* Flushes: what went wrong with the stream so far. */
struct kb_error *kb_writers__check_stream(FILE *stream);

#endif
