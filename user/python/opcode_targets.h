/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_OPCODE_TARGETS_H
#define KB_PYTHON_OPCODE_TARGETS_H

#include <stdbool.h>
#include "keelback/error.h"
#include "system/elf_file.h"

/*
 * Where the eval loop's code for each opcode begins: CPython's table `opcode_targets`
 * (Python/opcode_targets.h), which interpreters have that were compiled with computed gotos; those
 * of 3.14 and later that call from one instruction's function to the next have the same table of
 * functions, `instruction_funcptr_handler_table`.
 *
 * Its symbol is local, and gone in stripped files; it is found by what it looks like: 256
 * pointers to code in a row, and those of the opcodes that the version does not have are all the
 * same, and no other is.
 */
#define KB_OPCODES 256

struct kb_opcode_targets {
	uint64_t table; /* its address, as linked, like those below */
	uint64_t target[KB_OPCODES];
	uint64_t unknown; /* what those that the version does not have share */
	/* Opcodes that do not look as they should at the place found, and at the second best one,
	 * at most KB_OPCODE_MISMATCHES_MAX + 1: the greater, the surer. */
	uint32_t mismatches, runner_up;
};

/* What is right has no mismatches; in all known interpreters the second best place has 4 or more.
 * More than one in eight are nothing to go by. */
#define KB_OPCODE_MISMATCHES_MAX 32

/* For the version 3.minor. KB_STATUS_UNSUPPORTED: no such table in the file. */
struct kb_error *kb_opcode_targets__find(const struct kb_elf_file *file, unsigned int minor,
					 struct kb_opcode_targets *targets);

#endif
