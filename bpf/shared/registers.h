/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_REGISTERS_H
#define KB_SHARED_REGISTERS_H

#include "types.h"

/* By DWARF's numbers (enum kb_unwind_register of shared/native.h): 0 to 15, and the program
 * counter. */
#define KB_REGISTERS 17

/* What a thread's registers were when it entered the kernel last. */
struct kb_registers {
	kb_u32 tgid;
	kb_u32 tid;
	kb_u64 values[KB_REGISTERS];
};
KB_ASSERT_SIZE(struct kb_registers, 144);

#endif
