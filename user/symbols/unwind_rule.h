/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_UNWIND_RULE_H
#define KB_SYMBOLS_UNWIND_RULE_H

#include <stdbool.h>
#include "bpf/shared/native.h"
#include "symbols/cfa_program.h"

/*
 * From the state of a CFA program to a rule of bpf/shared/native.h. One implementation per
 * processor, unwind_rule_x86.c and so on.
 */

/* DWARF's number of the frame pointer; false: rules are not made on this processor. */
bool kb_unwind_rule__supported(uint32_t *fp);

/* False, and *rule a KB_UNWIND_NONE: it cannot be expressed. */
bool kb_unwind_rule__of_state(const struct kb_cfa_state *state, uint32_t *rule);

#endif
