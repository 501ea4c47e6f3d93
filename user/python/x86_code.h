/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_X86_CODE_H
#define KB_PYTHON_X86_CODE_H

#include <capstone/capstone.h>
#include "python/code_map.h"

/* Decoding x86-64 code of an ELF file, an instruction at a time; for the files *_x86.c. */
struct x86_code {
	const struct kb_elf_file *elf;
	csh capstone;
	cs_insn *insn; /* that was decoded last */
};

/* detail: operands and registers too, at some cost. False: capstone could not be had. */
bool x86_code__open(struct x86_code *code, const struct kb_elf_file *elf, bool detail);
void x86_code__close(struct x86_code *code);
/* Decodes the instruction at an address. False: none there. */
bool x86_code__fetch(struct x86_code *code, uint64_t address);
/* DWARF's number; KB_REGISTER_NONE of what is no general register. */
int x86_register__number(unsigned int name);
/* Registers that the instruction changes. */
kb_register_set x86_code__written(const struct x86_code *code);

/* The operation, without the prefixes before it. */
struct x86_operation {
	uint8_t prefixes;	/* number of prefixes, REX included */
	bool operand_size;	/* has the prefix 66 */
	uint8_t rex;		/* 0: none */
	uint8_t opcode, second; /* the second byte is part of the opcode when the first is 0f */
};
struct x86_operation x86_operation__of(const cs_insn *insn);

/* A conditional jump, but for those by a count (Intel SDM, volume 2: Jcc). */
bool x86_operation__is_conditional(const struct x86_operation *operation);

/* Where a direct jump or call goes; false: it is none. */
bool x86_code__target(const cs_insn *insn, uint64_t *target);

#endif
