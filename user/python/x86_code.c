// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__x86_64__)
#include <string.h>
#include "python/x86_code.h"

#define INSTRUCTION_BYTES 15 /* at most */

bool x86_code__open(struct x86_code *code, const struct kb_elf_file *elf, bool detail)
{
	*code = (struct x86_code){ .elf = elf };
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &code->capstone))
		return false;
	cs_option(code->capstone, CS_OPT_DETAIL, detail ? CS_OPT_ON : CS_OPT_OFF);
	code->insn = cs_malloc(code->capstone);
	if (!code->insn)
		x86_code__close(code);
	return code->insn;
}

void x86_code__close(struct x86_code *code)
{
	if (code->insn)
		cs_free(code->insn, 1);
	code->insn = NULL;
	cs_close(&code->capstone);
}

bool x86_code__fetch(struct x86_code *code, uint64_t address)
{
	uint8_t bytes[INSTRUCTION_BYTES] = { 0 };
	const uint8_t *at = bytes;
	size_t left = sizeof(bytes);

	/* Not as much at the very end of a segment. */
	while (left && !kb_elf_file__read(code->elf, address, bytes, left))
		left--;
	return left && cs_disasm_iter(code->capstone, &at, &left, &address, code->insn);
}

int x86_register__number(unsigned int name)
{
	static const x86_reg names[][4] = {
		{ X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL },
		{ X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL },
		{ X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL },
		{ X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL },
		{ X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL },
		{ X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL },
		{ X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL },
		{ X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL },
		{ X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B },
		{ X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B },
		{ X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B },
		{ X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B },
		{ X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B },
		{ X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B },
		{ X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B },
		{ X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B },
	};
	/* The second bytes of the first four. */
	static const x86_reg high[] = { X86_REG_AH, X86_REG_DH, X86_REG_CH, X86_REG_BH };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; j < 4; j++)
			if (name == names[i][j] || (i < 4 && name == high[i]))
				return (int)i;
	return KB_REGISTER_NONE;
}

kb_register_set x86_code__written(const struct x86_code *code)
{
	cs_regs read, written;
	uint8_t n_read, n_written;
	kb_register_set set = 0;

	if (cs_regs_access(code->capstone, code->insn, read, &n_read, written, &n_written))
		return ~(kb_register_set)0;
	for (uint8_t i = 0; i < n_written; i++) {
		int number = x86_register__number(written[i]);

		if (number != KB_REGISTER_NONE)
			set |= KB_REGISTER_BIT(number);
	}
	return set;
}

struct x86_operation x86_operation__of(const cs_insn *insn)
{
	static const uint8_t prefixes[] = { 0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26,
					    0x64, 0x65, 0xf0, 0xf2, 0xf3 };
	struct x86_operation operation = { 0 };
	const uint8_t *bytes = insn->bytes;
	uint8_t i = 0;

	for (; i < insn->size && memchr(prefixes, bytes[i], sizeof(prefixes)); i++)
		operation.operand_size |= bytes[i] == 0x66;
	if (i < insn->size && (bytes[i] & 0xf0) == 0x40)
		operation.rex = bytes[i++];
	operation.prefixes = i;
	operation.opcode = i < insn->size ? bytes[i] : 0;
	operation.second = i + 1 < insn->size ? bytes[i + 1] : 0;
	return operation;
}

bool x86_operation__is_conditional(const struct x86_operation *op)
{
	return (op->opcode & 0xf0) == 0x70 || (op->opcode == 0x0f && (op->second & 0xf0) == 0x80);
}

bool x86_code__target(const cs_insn *insn, uint64_t *target)
{
	struct x86_operation op = x86_operation__of(insn);
	const uint8_t *end = insn->bytes + insn->size;
	int32_t distance;

	if (op.opcode == 0xe8 || op.opcode == 0xe9 ||
	    (op.opcode == 0x0f && (op.second & 0xf0) == 0x80))
		memcpy(&distance, end - sizeof(distance), sizeof(distance));
	else if (op.opcode == 0xeb || (op.opcode & 0xf0) == 0x70 ||
		 (op.opcode >= 0xe0 && op.opcode <= 0xe3))
		distance = (int8_t)end[-1];
	else
		return false;
	*target = insn->address + insn->size + (uint64_t)(int64_t)distance;
	return true;
}

#endif
