/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CHOSEN_TEXT_H
#define KB_FORMAT_CHOSEN_TEXT_H

#include <stdio.h>
#include "keelback/calls.h"

/*
 * The latencies of chosen functions, each with the histogram of its powers of two:
 *
 *     Latency of __main__:work: 1000 calls, mean 2.11 ms, p50 2.02 ms, p90 2.4 ms, p99 8.3 ms
 *        1.05 ms …  2.1 ms      700  |########################################
 *         2.1 ms … 4.19 ms      300  |#################
 */
void kb_chosen_text__write(const struct kb_calls *calls, FILE *stream);

#endif
