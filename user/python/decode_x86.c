// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__x86_64__)
/*
 * A small symbolic execution. Each register holds a kb_decode_value or is
 * unknown; the instructions that compilers use to form an address and to load
 * from it are carried out on these, every other one makes the registers it
 * writes unknown. That covers the ways in which a thread-local variable is read:
 *
 *   local exec       mov %fs:-24, %rax
 *   initial exec     mov x@gottpoff(%rip), %rax ; mov %fs:(%rax), %rax
 *   general dynamic  lea x@tlsgd(%rip), %rdi ; call __tls_get_addr ; mov (%rax), %rax
 *   local dynamic    lea x@tlsld(%rip), %rdi ; call __tls_get_addr ; mov x@dtpoff(%rax), %rax
 *
 * The call to __tls_get_addr is recognized by its argument: a GOT pair with a
 * DTPMOD relocation. Global variables are read directly, or through a GOT word
 * whose relocation gives their address.
 */
#include <capstone/capstone.h>
#include <string.h>
#include "python/decode.h"
#include "system/arch.h"

/* Instructions carried out in all, calls included; the functions of interest have at most 20. */
#define STEPS_MAX      64
#define CALL_DEPTH_MAX 3
/* Bytes read at a time, and for kb_decode__addresses() in all; Py_GetVersion has some 100. */
#define WINDOW		   16
#define FUNCTION_BYTES_MAX 4096
#define N_REGISTERS	   16
#define RAX		   0
#define RDI		   7

enum mode { RESULT, ARGUMENT };

struct machine {
	const struct kb_elf_file *file;
	csh capstone;
	cs_insn *insn;
	struct kb_elf_section got;
	enum mode mode;
	int steps;
	struct kb_decode_value registers[N_REGISTERS];
	struct kb_decode_value found; /* the argument, in that mode */
};

/* In the order of the processor's numbers; 64 and 32 bits. */
static const x86_reg names[2][N_REGISTERS] = {
	{ X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX, X86_REG_RSP, X86_REG_RBP, X86_REG_RSI,
	  X86_REG_RDI, X86_REG_R8, X86_REG_R9, X86_REG_R10, X86_REG_R11, X86_REG_R12, X86_REG_R13,
	  X86_REG_R14, X86_REG_R15 },
	{ X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX, X86_REG_ESP, X86_REG_EBP, X86_REG_ESI,
	  X86_REG_EDI, X86_REG_R8D, X86_REG_R9D, X86_REG_R10D, X86_REG_R11D, X86_REG_R12D,
	  X86_REG_R13D, X86_REG_R14D, X86_REG_R15D },
};

static const struct kb_decode_value unknown;

static int register_index(unsigned int name)
{
	for (int i = 0; i < N_REGISTERS; i++)
		if (name == names[0][i] || name == names[1][i])
			return i;
	return -1;
}

static struct kb_decode_value address_value(int64_t address)
{
	return (struct kb_decode_value){ .where = KB_DECODE_ADDRESS, .displacement = address };
}

static struct kb_decode_value get_register(const struct machine *machine, unsigned int name)
{
	int index = register_index(name);

	return index < 0 ? unknown : machine->registers[index];
}

static bool has_relocation(const struct machine *machine, uint64_t place, uint32_t type)
{
	struct kb_elf_relocation relocation;

	return kb_elf_file__relocation(machine->file, place, &relocation) &&
	       relocation.type == type;
}

/* ---------------------------------------------------------------- values */

/* The first word at the thread pointer is the thread pointer. */
static struct kb_decode_value as_place(struct kb_decode_value value)
{
	if (value.where == KB_DECODE_THREAD && value.contents && !value.displacement)
		value.contents = false;
	return value;
}

static bool is_number(struct kb_decode_value value)
{
	return value.where == KB_DECODE_ADDRESS && !value.contents;
}

/* The static TLS offset that the dynamic linker stores in a GOT word. */
static bool is_tls_offset(const struct machine *machine, struct kb_decode_value value)
{
	return value.where == KB_DECODE_ADDRESS && value.contents &&
	       has_relocation(machine, (uint64_t)value.displacement, KB_ARCH_R_TPOFF);
}

static struct kb_decode_value add(const struct machine *machine, struct kb_decode_value a,
				  struct kb_decode_value b)
{
	struct kb_decode_value sum;

	a = as_place(a);
	b = as_place(b);
	if (is_number(a) || (is_tls_offset(machine, a) && b.where == KB_DECODE_THREAD)) {
		sum = a;
		a = b;
		b = sum;
	}
	if (a.contents)
		return unknown;
	sum = a;
	if (is_number(b)) {
		sum.displacement += b.displacement;
		return sum;
	}
	if (a.where != KB_DECODE_THREAD || !is_tls_offset(machine, b))
		return unknown;
	sum.where = KB_DECODE_THREAD_GOT;
	sum.base = (uint64_t)b.displacement;
	return sum;
}

/* A word of the GOT that is known before the program runs. */
static bool got_word(const struct machine *machine, uint64_t address, int64_t *word)
{
	struct kb_elf_relocation relocation;

	if (address - machine->got.address >= machine->got.size ||
	    (kb_elf_file__relocation(machine->file, address, &relocation) &&
	     (relocation.type == KB_ARCH_R_TPOFF || relocation.type == KB_ARCH_R_DTPMOD)))
		return false;
	return kb_elf_file__read(machine->file, address, word, sizeof(*word)) && *word;
}

static struct kb_decode_value load(const struct machine *machine, struct kb_decode_value place,
				   uint8_t width)
{
	int64_t word;

	if (place.where == KB_DECODE_UNKNOWN || place.contents)
		return unknown;
	if (place.where == KB_DECODE_ADDRESS && width == 8 &&
	    got_word(machine, (uint64_t)place.displacement, &word))
		return address_value(word);
	place.contents = true;
	place.width = width;
	return place;
}

/* ---------------------------------------------------------------- operands */

/* The place that a memory operand denotes. */
static struct kb_decode_value operand_place(const struct machine *machine, const cs_x86_op *op)
{
	struct kb_decode_value place = address_value(op->mem.disp);

	if (op->mem.index != X86_REG_INVALID)
		return unknown;
	if (op->mem.base == X86_REG_RIP)
		place.displacement += (int64_t)(machine->insn->address + machine->insn->size);
	else if (op->mem.base != X86_REG_INVALID)
		place = add(machine, get_register(machine, op->mem.base), place);
	if (op->mem.segment != X86_REG_FS)
		return place;
	if (op->mem.base != X86_REG_INVALID &&
	    is_tls_offset(machine, get_register(machine, op->mem.base)))
		return add(machine,
			   (struct kb_decode_value){ .where = KB_DECODE_THREAD,
						     .displacement = op->mem.disp },
			   get_register(machine, op->mem.base));
	if (!is_number(place))
		return unknown;
	place.where = KB_DECODE_THREAD;
	return place;
}

static struct kb_decode_value operand_value(const struct machine *machine, const cs_x86_op *op)
{
	switch (op->type) {
	case X86_OP_IMM:
		return address_value(op->imm);
	case X86_OP_REG:
		return op->size >= 4 ? get_register(machine, op->reg) : unknown;
	case X86_OP_MEM:
		return load(machine, operand_place(machine, op), op->size);
	default:
		return unknown;
	}
}

static void set_operand(struct machine *machine, const cs_x86_op *op, struct kb_decode_value value)
{
	int index = op->type == X86_OP_REG && op->size >= 4 ? register_index(op->reg) : -1;

	if (index >= 0)
		machine->registers[index] = value;
}

static void forget_written(struct machine *machine)
{
	cs_regs read, written;
	uint8_t n_read, n_written;

	if (cs_regs_access(machine->capstone, machine->insn, read, &n_read, written, &n_written))
		return;
	for (uint8_t i = 0; i < n_written; i++) {
		int index = register_index(written[i]);

		if (index >= 0)
			machine->registers[index] = unknown;
	}
}

/* ---------------------------------------------------------------- execution */

static bool run(struct machine *machine, uint64_t address, int depth);

/*
 * The padding prefixes of the general dynamic sequence (66, and 66 66 48 before the call) change
 * nothing about these instructions, but disassemblers take them for 16-bit forms.
 */
static size_t skip_padding(const uint8_t *code)
{
	size_t n = 0;

	while (n < 3 && code[n] == 0x66)
		n++;
	if (n && code[n] == 0x48 && (code[n + 1] == 0xe8 || code[n + 1] == 0xff))
		return n + 1;
	return n && code[n] == 0x48 && code[n + 1] == 0x8d ? n : 0;
}

static bool fetch(struct machine *machine, uint64_t address)
{
	uint8_t code[WINDOW];
	const uint8_t *at = code;
	size_t left, skip;

	if (!kb_elf_file__read(machine->file, address, code, sizeof(code)))
		return false;
	skip = skip_padding(code);
	at += skip;
	address += skip;
	left = sizeof(code) - skip;
	return cs_disasm_iter(machine->capstone, &at, &left, &address, machine->insn);
}

static void arithmetic(struct machine *machine, const cs_x86 *x86)
{
	const cs_x86_op *to = &x86->operands[0], *from = &x86->operands[1];
	struct kb_decode_value value = operand_value(machine, from);

	switch (machine->insn->id) {
	case X86_INS_ADD:
		value = add(machine, operand_value(machine, to), value);
		break;
	case X86_INS_SUB:
		value.displacement = -value.displacement;
		value = is_number(value) ? add(machine, operand_value(machine, to), value)
					 : unknown;
		break;
	case X86_INS_XOR:
		value = to->type == X86_OP_REG && from->type == X86_OP_REG && to->reg == from->reg
				? address_value(0)
				: unknown;
		break;
	case X86_INS_LEA:
		value = operand_place(machine, from);
		break;
	}
	set_operand(machine, to, value);
}

/* Where a call or jump goes, through a PLT stub's GOT word too. */
static bool destination(const struct machine *machine, const cs_x86_op *op, uint64_t *address)
{
	struct kb_elf_relocation relocation;
	struct kb_decode_value place;

	if (op->type == X86_OP_IMM) {
		*address = (uint64_t)op->imm;
		return true;
	}
	place = op->type == X86_OP_MEM ? operand_place(machine, op) : unknown;
	if (!is_number(place) ||
	    !kb_elf_file__relocation(machine->file, (uint64_t)place.displacement, &relocation))
		return false;
	*address = relocation.symbol;
	return relocation.symbol;
}

static bool take_argument(struct machine *machine)
{
	struct kb_decode_value argument = machine->registers[RDI];

	if (machine->mode != ARGUMENT || argument.where == KB_DECODE_UNKNOWN)
		return false;
	machine->found = argument;
	return true;
}

static void call(struct machine *machine, const cs_x86_op *op, int depth)
{
	struct kb_decode_value argument = machine->registers[RDI], result = unknown;
	static const int lost[] = {
		1, 2, 6, 7, 8, 9, 10, 11
	}; /* of the caller, in the System V ABI */
	uint64_t address;

	if (is_number(argument) &&
	    has_relocation(machine, (uint64_t)argument.displacement, KB_ARCH_R_DTPMOD))
		result = (struct kb_decode_value){ .where = KB_DECODE_TLS_PAIR,
						   .base = (uint64_t)argument.displacement };
	else if (machine->mode == RESULT && depth < CALL_DEPTH_MAX &&
		 destination(machine, op, &address) && run(machine, address, depth + 1))
		result = machine->registers[RAX];
	machine->registers[RAX] = result;
	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		machine->registers[lost[i]] = unknown;
}

/* True when the function has returned, or the argument is found: the caller looks at the machine.
 */
static bool run(struct machine *machine, uint64_t address, int depth)
{
	while (machine->steps++ < STEPS_MAX && fetch(machine, address)) {
		const cs_x86 *x86 = &machine->insn->detail->x86;

		address = machine->insn->address + machine->insn->size;
		switch (machine->insn->id) {
		case X86_INS_MOV:
		case X86_INS_MOVABS:
		case X86_INS_LEA:
		case X86_INS_ADD:
		case X86_INS_SUB:
		case X86_INS_XOR:
			arithmetic(machine, x86);
			break;
		case X86_INS_CALL:
			if (take_argument(machine))
				return true;
			call(machine, &x86->operands[0], depth);
			break;
		case X86_INS_JMP:
			if (take_argument(machine))
				return true;
			if (!destination(machine, &x86->operands[0], &address))
				return false;
			break;
		case X86_INS_RET:
			return machine->mode == RESULT;
		default:
			forget_written(machine);
		}
	}
	return false;
}

static bool open_machine(struct machine *machine, const struct kb_elf_file *file, enum mode mode)
{
	*machine = (struct machine){ .file = file, .mode = mode };
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &machine->capstone))
		return false;
	cs_option(machine->capstone, CS_OPT_DETAIL, CS_OPT_ON);
	machine->insn = cs_malloc(machine->capstone);
	kb_elf_file__section(file, ".got", &machine->got);
	return machine->insn;
}

static void close_machine(struct machine *machine)
{
	if (machine->insn)
		cs_free(machine->insn, 1);
	if (machine->capstone)
		cs_close(&machine->capstone);
}

bool kb_decode__result(const struct kb_elf_file *file, uint64_t function,
		       struct kb_decode_value *value)
{
	struct machine machine;
	bool ok = open_machine(&machine, file, RESULT) && run(&machine, function, 0) &&
		  machine.registers[RAX].where != KB_DECODE_UNKNOWN;

	if (ok)
		*value = machine.registers[RAX];
	close_machine(&machine);
	return ok;
}

bool kb_decode__argument(const struct kb_elf_file *file, uint64_t function,
			 struct kb_decode_value *value)
{
	struct machine machine;
	bool ok = open_machine(&machine, file, ARGUMENT) && run(&machine, function, 0);

	if (ok)
		*value = machine.found;
	close_machine(&machine);
	return ok;
}

/* The address that an instruction forms: of a memory operand relative to itself, or an immediate.
 */
static bool formed_address(const struct machine *machine, uint64_t *address)
{
	const cs_x86 *x86 = &machine->insn->detail->x86;
	const cs_x86_op *op = &x86->operands[1];
	struct kb_decode_value value = unknown;

	if (x86->op_count != 2)
		return false;
	if (machine->insn->id == X86_INS_LEA && op->mem.base == X86_REG_RIP)
		value = operand_place(machine, op);
	else if (machine->insn->id == X86_INS_MOV && op->type == X86_OP_IMM)
		value = address_value(op->imm);
	*address = (uint64_t)value.displacement;
	return is_number(value);
}

size_t kb_decode__addresses(const struct kb_elf_file *file, uint64_t function, uint64_t size,
			    uint64_t *addresses, size_t max)
{
	uint64_t at = function,
		 end = function + (size < FUNCTION_BYTES_MAX ? size : FUNCTION_BYTES_MAX);
	struct machine machine;
	size_t n = 0;

	if (open_machine(&machine, file, RESULT))
		while (at < end && n < max && fetch(&machine, at)) {
			uint64_t address;
			uint8_t byte;

			at = machine.insn->address + machine.insn->size;
			if (formed_address(&machine, &address) &&
			    kb_elf_file__read(file, address, &byte, 1))
				addresses[n++] = address;
		}
	close_machine(&machine);
	return n;
}

#endif
