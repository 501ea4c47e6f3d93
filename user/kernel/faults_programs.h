/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_FAULTS_PROGRAMS_H
#define KB_KERNEL_FAULTS_PROGRAMS_H

#include "kernel/programs.h"

/* Of a run with KB_RUN_FAULTS: from here on processes that die are told of. */
struct kb_error *kb_faults_programs__attach(struct kb_programs *programs);

/* With KB_RUN_HOLD: a thread that is held (KB_NOTICE_HELD) may go on. */
void kb_faults_programs__release(struct kb_programs *programs, uint32_t place, uint32_t serial);

#endif
