// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__x86_64__)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "python/audit_points.h"
#include "python/x86_code.h"

#define SECTION_MAX (64u << 20) /* Debian's 3.15 has 3 MB of code, debug builds some 20 */
#define STEPS_MAX   64		/* from where a function begins to a probe in it */
/* Between the name of an event and the call: other arguments, the count of vector registers. */
#define CALL_WITHIN 12
/* In PIE and libraries "lea distance(%rip),%rsi", else "mov $address,%esi". */
#define LEA_BYTES 7
#define MOV_BYTES 5

/* Events that only _PySys_Audit() is called for: Python/sysmodule.c and pystate.c, 3.9 to 3.15. */
static const char *const tstate_events[] = {
	"sys._current_frames",
	"sys._current_exceptions",
	"sys.set_asyncgen_hooks_firstiter",
	"sys.set_asyncgen_hooks_finalizer",
	"sys.set_asyncgen_hook_firstiter",
	"sys.set_asyncgen_hook_finalizer",
};
#define N_EVENTS (sizeof(tstate_events) / sizeof(*tstate_events))

/* ---------------------------------------------------------------- _PySys_Audit() */

static uint8_t *read_section(const struct kb_elf_file *elf, const char *name,
			     struct kb_elf_section *section)
{
	uint8_t *bytes;

	if (!kb_elf_file__section(elf, name, section) || section->size > SECTION_MAX ||
	    section->size < LEA_BYTES)
		return NULL;
	bytes = malloc(section->size);
	if (bytes && !kb_elf_file__read_offset(elf, section->offset, bytes, section->size)) {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}

/* Where each event's name lies, 0: nowhere. */
static bool find_names(const struct kb_elf_file *elf, uint64_t names[N_EVENTS])
{
	struct kb_elf_section section;
	uint8_t *bytes = read_section(elf, ".rodata", &section);
	bool any = false;

	for (size_t i = 0; bytes && i < N_EVENTS; i++) {
		const char *name = tstate_events[i];
		uint8_t *at = memmem(bytes, section.size, name, strlen(name) + 1);

		names[i] = at ? section.address + (uint64_t)(at - bytes) : 0;
		any |= at != NULL;
	}
	free(bytes);
	return any;
}

/* What is called next from here on; 0: nothing soon. */
static uint64_t next_call(struct x86_code *code, uint64_t at)
{
	uint64_t target;

	for (int i = 0; i < CALL_WITHIN && x86_code__fetch(code, at); i++) {
		bool jumps = x86_code__target(code->insn, &target);

		if (jumps && code->insn->id == X86_INS_CALL)
			return kb_code__destination(code->elf, target);
		if (jumps && code->insn->id == X86_INS_JMP)
			at = target;
		else if (jumps)
			return 0;
		else
			at += code->insn->size;
	}
	return 0;
}

static bool is_name(const uint64_t names[N_EVENTS], uint64_t address)
{
	for (size_t i = 0; i < N_EVENTS; i++)
		if (names[i] && names[i] == address)
			return true;
	return false;
}

/* If the instruction makes an event's name the second argument, the bytes that it has. */
static size_t loads_name(const uint8_t *bytes, uint64_t at, const uint64_t names[N_EVENTS])
{
	int32_t distance;
	uint32_t address;

	memcpy(&distance, bytes + 3, sizeof(distance));
	memcpy(&address, bytes + 1, sizeof(address));
	if (bytes[0] == 0x48 && bytes[1] == 0x8d && bytes[2] == 0x35 &&
	    is_name(names, at + LEA_BYTES + (uint64_t)(int64_t)distance))
		return LEA_BYTES;
	return bytes[0] == 0xbe && is_name(names, address) ? MOV_BYTES : 0;
}

uint64_t kb_audit_points__tstate_function(const struct kb_elf_file *elf)
{
	uint64_t names[N_EVENTS], found = 0;
	struct kb_elf_section text;
	struct x86_code code;
	uint8_t *bytes;
	bool differ = false;

	if (!find_names(elf, names))
		return 0;
	bytes = read_section(elf, ".text", &text);
	if (!bytes || !x86_code__open(&code, elf, false)) {
		free(bytes);
		return 0;
	}
	for (uint64_t i = 0; i + LEA_BYTES <= text.size; i++) {
		size_t size = loads_name(bytes + i, text.address + i, names);
		uint64_t callee = size ? next_call(&code, text.address + i + size) : 0;

		differ |= callee && found && callee != found;
		if (callee)
			found = callee;
	}
	x86_code__close(&code);
	free(bytes);
	return differ ? 0 : found;
}

/* ---------------------------------------------------------------- the stack */

/* What an instruction adds to the depth of the stack; false: that is not known. */
static bool deepens(const struct x86_code *code, int64_t *bytes)
{
	const cs_x86 *x86 = &code->insn->detail->x86;

	*bytes = 0;
	if (code->insn->id == X86_INS_PUSH) {
		*bytes = 8;
		return true;
	}
	if (!(x86_code__written(code) & KB_REGISTER_STACK))
		return true;
	if ((code->insn->id != X86_INS_SUB && code->insn->id != X86_INS_ADD) ||
	    x86->op_count != 2 || x86->operands[1].type != X86_OP_IMM)
		return false;
	*bytes = code->insn->id == X86_INS_SUB ? x86->operands[1].imm : -x86->operands[1].imm;
	return true;
}

bool kb_audit_points__stack_depth(const struct kb_elf_file *elf, uint64_t start, uint64_t address,
				  uint64_t *bytes)
{
	struct x86_code code;
	int64_t depth = 0, more;
	bool known = true;

	if (!x86_code__open(&code, elf, true))
		return false;
	for (int i = 0; i < STEPS_MAX && known && start < address; i++) {
		known = x86_code__fetch(&code, start) && deepens(&code, &more);
		if (known) {
			depth += more;
			start += code.insn->size;
		}
	}
	x86_code__close(&code);
	/* It has 48 bits in a cookie, and a frame of this size ends in a guard page. */
	if (!known || start != address || depth < 0 || depth > 1 << 20)
		return false;
	*bytes = (uint64_t)depth;
	return true;
}

/* ---------------------------------------------------------------- operands of static probes */

static int register_number(const char *name)
{
	for (int i = 0; i < 16; i++)
		if (!strcmp(kb_register__name(i), name))
			return i;
	return KB_REGISTER_NONE;
}

bool kb_audit_points__operand(const char *text, uint64_t *operand)
{
	char name[8] = "";
	int displacement = 0, end = 0, number;

	if (sscanf(text, "%%%7[a-z0-9]%n", name, &end) == 1 && !text[end]) {
		number = register_number(name);
		*operand = KB_AUDIT_OPERAND(KB_AUDIT_REGISTER, number, 0);
		return number != KB_REGISTER_NONE;
	}
	if (sscanf(text, "%d(%%%7[a-z0-9])%n", &displacement, name, &end) != 2 || text[end]) {
		displacement = 0;
		end = 0;
		if (sscanf(text, "(%%%7[a-z0-9])%n", name, &end) != 1 || text[end])
			return false;
	}
	number = register_number(name);
	*operand = KB_AUDIT_OPERAND(KB_AUDIT_MEMORY, number, displacement);
	return number != KB_REGISTER_NONE && displacement == (int16_t)displacement;
}

#endif
