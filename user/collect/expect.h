/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_EXPECT_H
#define KB_COLLECT_EXPECT_H

#include <stdint.h>
#include "collect/identify.h"

/* Files that processes are about to run are made known before they do (kb_identifier__expect_file),
 * so that nothing of those is missed. */

/* What a command will run. Other failures only cost its first milliseconds; KB_STATUS_UNSUPPORTED:
 * an interpreter that cannot be observed as it is wanted. */
struct kb_error *kb_expect__command(struct kb_identifier *identifier, const char *command);
/* The interpreters in the machine's usual places, for processes that start later. */
void kb_expect__installed(struct kb_identifier *identifier);
/* What a process has executed that is held (kb_programs__hold) before its first instruction. An
 * image: its interpreter can be observed, and BPF finds the process when it begins; else
 * KB_ID_NONE. */
uint32_t kb_expect__executed(struct kb_identifier *identifier, const struct kb_notice *notice);

#endif
