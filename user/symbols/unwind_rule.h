/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_UNWIND_RULE_H
#define KB_SYMBOLS_UNWIND_RULE_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include "bpf/shared/native.h"

/*
 * From a row of CFI, as libdw evaluates it, to a rule of bpf/shared/native.h. One
 * implementation per processor, unwind_rule_x86.c and so on.
 */

bool kb_unwind_rule__supported(void);

/* False, and *rule a KB_UNWIND_NONE: it cannot be expressed. */
bool kb_unwind_rule__of_frame(Dwarf_Frame *frame, uint32_t *rule);

#endif
