// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__aarch64__)

#include "symbols/unwind_rule.h"

/* Rules have no room for a return address in a register (x30) or signed pointers yet. */
bool kb_unwind_rule__supported(uint32_t *fp)
{
	return false;
}

bool kb_unwind_rule__of_state(const struct kb_cfa_state *state, uint32_t *rule)
{
	*rule = KB_UNWIND_RULE(KB_UNWIND_NO_RULE, KB_UNWIND_NONE, 0);
	return false;
}

#endif
