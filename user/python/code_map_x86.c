// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__x86_64__)
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "python/x86_code.h"
#include "system/arch.h"

/* What is left of a function that returns: restoring registers, and the check of the stack's
 * guard. */
#define RETURN_STEPS_MAX 24
/* The straight path of RETURN_VALUE to its first call has up to 40. */
#define CALL_STEPS_MAX 96
#define RAX	       0

int kb_register__argument(unsigned int index)
{
	static const int numbers[] = { 5, 4, 1, 2, 8, 9 }; /* rdi, rsi, rdx, rcx, r8, r9 */

	return index < sizeof(numbers) / sizeof(numbers[0]) ? numbers[index] : KB_REGISTER_NONE;
}

const char *kb_register__name(int number)
{
	static const char *const names[] = {
		"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
		"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"
	};

	return number >= 0 && number < 16 ? names[number] : "?";
}

/* ---------------------------------------------------------------- code in one piece */

struct sweep {
	struct x86_code code;
	uint8_t *bytes;
	const uint8_t *at;
	size_t left;
	uint64_t address;
};

static struct kb_error *sweep_open(struct sweep *sweep, const struct kb_elf_file *elf,
				   uint64_t start, uint64_t end, bool detail)
{
	*sweep = (struct sweep){ .address = start };
	if (end <= start || end - start > KB_CODE_BYTES_MAX)
		return kb_failed("no code of %lld bytes", (long long)(end - start));
	sweep->bytes = malloc(end - start);
	if (!sweep->bytes || !x86_code__open(&sweep->code, elf, detail)) {
		free(sweep->bytes);
		return kb_error__no_memory();
	}
	sweep->at = sweep->bytes;
	sweep->left = end - start;
	if (!kb_elf_file__read(elf, start, sweep->bytes, sweep->left))
		sweep->left = 0;
	return NULL;
}

/* Where code that cannot be swept has nothing to find. */
static bool sweep_begin(struct sweep *sweep, const struct kb_elf_file *elf, uint64_t start,
			uint64_t end, bool detail)
{
	struct kb_error *err = sweep_open(sweep, elf, start, end, detail);

	kb_error__destroy(err);
	return !err;
}

static void sweep_close(struct sweep *sweep)
{
	x86_code__close(&sweep->code);
	free(sweep->bytes);
}

/* The next instruction. What cannot be decoded is passed over by a byte: the sweep is in step again
 * after a few. */
static const cs_insn *sweep_next(struct sweep *sweep)
{
	while (sweep->left) {
		if (cs_disasm_iter(sweep->code.capstone, &sweep->at, &sweep->left, &sweep->address,
				   sweep->code.insn))
			return sweep->code.insn;
		sweep->at++;
		sweep->left--;
		sweep->address++;
	}
	return NULL;
}

struct kb_error *kb_code_map__add_code(struct kb_code_map *map, const struct kb_elf_file *elf,
				       uint64_t start, uint64_t end)
{
	struct kb_error *err = NULL;
	const cs_insn *insn;
	struct sweep sweep;
	uint64_t target;

	KB_TRY(sweep_open(&sweep, elf, start, end, false));
	while (!err && (insn = sweep_next(&sweep)))
		if (x86_code__target(insn, &target) && x86_operation__of(insn).opcode != 0xe8)
			err = kb_code_map__add_landing(map, target);
	sweep_close(&sweep);
	return err;
}

/* ---------------------------------------------------------------- calls */

uint64_t kb_code__destination(const struct kb_elf_file *elf, uint64_t target)
{
	struct kb_elf_relocation relocation;
	uint8_t stub[16], *at = stub;
	int32_t distance;

	if (!kb_elf_file__read(elf, target, stub, sizeof(stub)))
		return target;
	/* [endbr64] [bnd] jmp *slot(%rip) */
	if (!memcmp(at, "\xf3\x0f\x1e\xfa", 4))
		at += 4;
	at += *at == 0xf2;
	if (at[0] != 0xff || at[1] != 0x25)
		return target;
	memcpy(&distance, at + 2, sizeof(distance));
	if (!kb_elf_file__relocation(
		    elf, target + (uint64_t)(at + 6 - stub) + (uint64_t)(int64_t)distance,
		    &relocation) ||
	    !relocation.symbol)
		return target;
	return relocation.symbol;
}

/* A stub that calls go to instead is looked at once. */
static bool goes_to(const struct kb_elf_file *elf, const cs_insn *insn, uint64_t callee,
		    uint64_t *stub)
{
	uint64_t target;
	uint8_t opcode = x86_operation__of(insn).opcode;

	if ((opcode != 0xe8 && opcode != 0xe9) || !x86_code__target(insn, &target))
		return false;
	if (target != callee && target != *stub && kb_code__destination(elf, target) == callee)
		*stub = target;
	return target == callee || target == *stub;
}

size_t kb_code__calls(const struct kb_elf_file *elf, uint64_t start, uint64_t end, uint64_t callee,
		      uint64_t *addresses, size_t max)
{
	uint64_t stub = callee;
	const cs_insn *insn;
	struct sweep sweep;
	size_t n = 0;

	if (!sweep_begin(&sweep, elf, start, end, false))
		return 0;
	while (n < max && (insn = sweep_next(&sweep)))
		if (goes_to(elf, insn, callee, &stub))
			addresses[n++] = insn->address;
	sweep_close(&sweep);
	return n;
}

/* Most functions have no such call: that is seen without decoding them. */
static bool may_call_slot(const struct sweep *sweep, uint8_t slot)
{
	for (size_t i = 0; i + 3 < sweep->left; i++) {
		const uint8_t *bytes = sweep->at + i;
		uint8_t form = bytes[1] & 0xf8;

		if (bytes[0] == 0xff && (form == 0x50 || form == 0x60) &&
		    (bytes[2] == slot || bytes[3] == slot))
			return true;
	}
	return false;
}

size_t kb_code__slot_calls(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
			   uint8_t slot, struct kb_code_slot_call *calls, size_t max)
{
	const cs_insn *insn;
	struct sweep sweep;
	size_t n = 0;

	if (!sweep_begin(&sweep, elf, start, end, true))
		return 0;
	if (!may_call_slot(&sweep, slot))
		sweep.left = 0;
	while (n < max && (insn = sweep_next(&sweep))) {
		const cs_x86_op *op = insn->detail->x86.operands;
		int number;

		if ((insn->id != X86_INS_CALL && insn->id != X86_INS_JMP) ||
		    op[0].type != X86_OP_MEM || op[0].mem.index != X86_REG_INVALID ||
		    op[0].mem.disp != slot)
			continue;
		number = x86_register__number(op[0].mem.base);
		if (number != KB_REGISTER_NONE)
			calls[n++] = (struct kb_code_slot_call){ insn->address, number };
	}
	sweep_close(&sweep);
	return n;
}

/* Whether nothing but cleaning up comes before the return; `kept`: no cleaning writes these. */
static bool returns_from(struct x86_code *code, uint64_t address, kb_register_set kept)
{
	for (int i = 0; i < RETURN_STEPS_MAX && x86_code__fetch(code, address); i++) {
		struct x86_operation op = x86_operation__of(code->insn);
		uint64_t target;

		address += code->insn->size;
		if (op.opcode == 0xc3)
			return true;
		if ((op.opcode == 0xe9 || op.opcode == 0xeb) &&
		    x86_code__target(code->insn, &target))
			address = target;
		else if (op.opcode == 0xe8 || op.opcode == 0xff || (x86_code__written(code) & kept))
			return false;
	}
	return false;
}

bool kb_code__returns(const struct kb_elf_file *elf, uint64_t call)
{
	struct x86_code code;
	bool returns;

	if (!x86_code__open(&code, elf, true))
		return false;
	/* What is jumped to returns for the function. */
	returns = x86_code__fetch(&code, call) &&
		  (x86_operation__of(code.insn).opcode == 0xe9 ||
		   returns_from(&code, call + code.insn->size, KB_REGISTER_BIT(RAX)));
	x86_code__close(&code);
	return returns;
}

static bool stores(const cs_insn *insn, int32_t displacement)
{
	const cs_x86_op *op = insn->detail->x86.operands;

	return insn->id == X86_INS_MOV && op[0].type == X86_OP_MEM && op[0].size == 8 &&
	       op[0].mem.base != X86_REG_INVALID && op[0].mem.base != X86_REG_RSP &&
	       op[0].mem.base != X86_REG_RIP && op[0].mem.index == X86_REG_INVALID &&
	       op[0].mem.disp == displacement && op[1].type == X86_OP_REG;
}

/* What is remembered from a store on. */
struct last_branch {
	bool stored;
	uint64_t address; /* of the first branch; 0: none yet */
	int steps;	  /* since that */
};

/* Whether the function returns with this instruction, or may jump to where it does. */
static bool comes_to_return(struct x86_code *code, const cs_insn *insn)
{
	uint64_t target;

	if (x86_operation__of(insn).opcode == 0xc3)
		return true;
	return x86_code__target(insn, &target) && returns_from(code, target, 0);
}

/* True: the branch is the last before the return. */
static bool follow(struct last_branch *last, struct x86_code *code, const cs_insn *insn,
		   int32_t displacement)
{
	struct x86_operation op = x86_operation__of(insn);
	uint64_t target;

	if (stores(insn, displacement)) {
		*last = (struct last_branch){ .stored = true };
		return false;
	}
	if (!last->stored)
		return false;
	if (!last->address && op.opcode != 0xe8 && x86_code__target(insn, &target))
		last->address = insn->address;
	if (last->address && op.opcode != 0xe8 && comes_to_return(code, insn)) {
		last->stored = false;
		return true;
	}
	if (op.opcode == 0xe8 || op.opcode == 0xe9 || op.opcode == 0xeb || op.opcode == 0xff ||
	    op.opcode == 0xc3 || (last->address && ++last->steps > RETURN_STEPS_MAX))
		last->stored = false;
	return false;
}

size_t kb_code__last_branches(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
			      int32_t displacement, uint64_t *addresses, size_t max)
{
	struct last_branch last = { 0 };
	struct x86_code code;
	const cs_insn *insn;
	struct sweep sweep;
	size_t n = 0;

	if (!x86_code__open(&code, elf, true))
		return 0;
	if (sweep_begin(&sweep, elf, start, end, true)) {
		while (n < max && (insn = sweep_next(&sweep)))
			if (follow(&last, &code, insn, displacement))
				addresses[n++] = last.address;
		sweep_close(&sweep);
	}
	x86_code__close(&code);
	return n;
}

uint64_t kb_code__first_call(const struct kb_elf_file *elf, uint64_t address, uint64_t *call)
{
	uint64_t callee = 0, target;
	struct x86_code code;

	if (!x86_code__open(&code, elf, false))
		return 0;
	for (int i = 0; i < CALL_STEPS_MAX && !callee && x86_code__fetch(&code, address); i++) {
		struct x86_operation op = x86_operation__of(code.insn);
		bool direct = x86_code__target(code.insn, &target);

		if (call)
			*call = address;
		address += code.insn->size;
		if (op.opcode == 0xe8 && direct)
			callee = kb_code__destination(elf, target);
		else if (op.opcode == 0xe9 || op.opcode == 0xeb)
			address = target;
		else if (op.opcode == 0xc3 || op.opcode == 0xff)
			break;
	}
	x86_code__close(&code);
	return callee;
}

/* ---------------------------------------------------------------- checks of a variable */

static bool compares_to_zero(const cs_insn *insn, uint64_t variable)
{
	const cs_x86_op *op = insn->detail->x86.operands;

	return insn->id == X86_INS_CMP && insn->detail->x86.op_count == 2 &&
	       op[0].type == X86_OP_MEM && op[0].size == 2 && op[0].mem.base == X86_REG_RIP &&
	       insn->address + insn->size + (uint64_t)op[0].mem.disp == variable &&
	       op[1].type == X86_OP_IMM && !op[1].imm;
}

size_t kb_code__checks(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
		       uint64_t variable, struct kb_code_check *checks, size_t max)
{
	bool compared = false;
	const cs_insn *insn;
	struct sweep sweep;
	size_t n = 0;

	if (!sweep_begin(&sweep, elf, start, end, true))
		return 0;
	while (n < max && (insn = sweep_next(&sweep))) {
		uint64_t target, next = insn->address + insn->size;
		bool equal = insn->id == X86_INS_JE;

		if (compared && (equal || insn->id == X86_INS_JNE) &&
		    x86_code__target(insn, &target))
			checks[n++] =
				(struct kb_code_check){ insn->address, equal ? target : next };
		compared = compares_to_zero(insn, variable);
	}
	sweep_close(&sweep);
	return n;
}

/* ---------------------------------------------------------------- values */

/* At the start of code that others jump to. */
#define VALUE_STEPS_MAX 8

int kb_code__reads_below(const struct kb_elf_file *elf, uint64_t address)
{
	int number = KB_REGISTER_NONE;
	struct x86_code code;

	if (!x86_code__open(&code, elf, true))
		return number;
	for (int i = 0; i < VALUE_STEPS_MAX && x86_code__fetch(&code, address); i++) {
		const cs_x86_op *op = code.insn->detail->x86.operands;

		address += code.insn->size;
		if (code.insn->id != X86_INS_MOV || op[1].type != X86_OP_MEM || op[1].size != 8 ||
		    op[1].mem.index != X86_REG_INVALID || op[1].mem.disp != -8)
			continue;
		number = x86_register__number(op[1].mem.base);
		break;
	}
	x86_code__close(&code);
	return number;
}

#define STORE_STEPS_MAX 24

struct kb_code_store kb_code__store_at(const struct kb_elf_file *elf, uint64_t address,
				       int64_t displacement)
{
	struct kb_code_store store = { .base = KB_REGISTER_NONE, .value = KB_REGISTER_NONE };
	kb_register_set written = KB_REGISTER_STACK;
	struct x86_code code;
	uint64_t target;

	if (!x86_code__open(&code, elf, true))
		return store;
	for (int i = 0; i < STORE_STEPS_MAX && x86_code__fetch(&code, address); i++) {
		const cs_x86_op *op = code.insn->detail->x86.operands;
		int base, value;

		if (x86_code__target(code.insn, &target))
			break;
		base = code.insn->id == X86_INS_MOV && op[0].type == X86_OP_MEM &&
				       op[0].size == 8 && op[0].mem.index == X86_REG_INVALID &&
				       op[0].mem.disp == displacement
			       ? x86_register__number(op[0].mem.base)
			       : KB_REGISTER_NONE;
		if (base != KB_REGISTER_NONE && !(written & KB_REGISTER_BIT(base))) {
			value = op[1].type == X86_OP_REG ? x86_register__number(op[1].reg)
							 : KB_REGISTER_NONE;
			store.address = address;
			store.base = (int8_t)base;
			if (value != KB_REGISTER_NONE && !(written & KB_REGISTER_BIT(value)))
				store.value = (int8_t)value;
			break;
		}
		address += code.insn->size;
		written |= x86_code__written(&code);
	}
	x86_code__close(&code);
	return store;
}

struct kb_code_place kb_code__extends(const struct kb_elf_file *elf, uint64_t address)
{
	struct kb_code_place place = { .number = KB_REGISTER_NONE };
	struct x86_code code;

	if (!x86_code__open(&code, elf, true))
		return place;
	for (int i = 0; i < VALUE_STEPS_MAX && x86_code__fetch(&code, address); i++) {
		const cs_x86_op *op = code.insn->detail->x86.operands;

		address += code.insn->size;
		if (code.insn->id != X86_INS_MOVSXD || op[1].size != 4)
			continue;
		if (op[1].type == X86_OP_REG)
			place.number = (int8_t)x86_register__number(op[1].reg);
		else if (op[1].type == X86_OP_MEM && op[1].mem.index == X86_REG_INVALID)
			place = (struct kb_code_place){ (int8_t)x86_register__number(
								op[1].mem.base),
							true, (int32_t)op[1].mem.disp };
		break;
	}
	x86_code__close(&code);
	return place;
}

#endif
