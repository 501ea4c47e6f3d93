/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_OPCODE_H
#define KB_PYTHON_OPCODE_H

/*
 * The names of the interpreter's instructions, as its modules opcode and dis have them. From 3.11
 * on it replaces instructions of a running code object by specialized ones, and by others for
 * monitoring (INSTRUMENTED_LINE and the like) and for compiled code (ENTER_EXECUTOR).
 */

/* NULL where the version (3.minor) has no instruction of that number. */
const char *kb_opcode__name(unsigned minor, unsigned opcode);

/* The instruction that a specialized or instrumented one stands for; the name itself of others. */
const char *kb_opcode__base(unsigned minor, unsigned opcode);

/* -1 where the version has none of that name. */
int kb_opcode__number(unsigned minor, const char *name);

#endif
