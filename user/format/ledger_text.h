/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_LEDGER_TEXT_H
#define KB_FORMAT_LEDGER_TEXT_H

#include <stdio.h>
#include "keelback/calls.h"

/*
 * The ledger for people:
 *
 *     Samples: attempted 1020 = good 1000 + truncated 5 + failed 15
 *              15  thread runs no Python code (starting or finalizing)
 *     Notes:
 *               3  frames shown by address: name not readable
 *
 * Every failure and note that is not 0 has its line.
 */
void kb_ledger_text__write(const struct kb_profile *profile, FILE *stream);
void kb_ledger_text__write_calls(const struct kb_calls *calls, FILE *stream);

#endif
