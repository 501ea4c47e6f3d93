/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_JIT_H
#define KB_COLLECT_JIT_H

#include "collect/session.h"

/* Says, and notes in the ledger, that a process of the image runs with Python's JIT switched on:
 * what compiled code calls passes none of our points. */
void kb_jit__note(struct kb_session *session, uint32_t image, pid_t pid);

#endif
