// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__x86_64__)
#include "python/probe_address.h"
#include "python/x86_code.h"

/* Longer paths without a jump, call or push do not begin functions, nor handlers of instructions.
 */
#define STEPS_MAX 64

/* As arch_uprobe_analyze_insn() decides. */
static enum kb_probe_kind kind_of(const cs_insn *insn)
{
	struct x86_operation op = x86_operation__of(insn);

	/* push: alone, or with the prefix that makes it r8 to r15. */
	if (op.opcode >= 0x50 && op.opcode <= 0x57)
		return !op.prefixes || (op.prefixes == 1 && op.rex == 0x41) ? KB_PROBE_PUSH
									    : KB_PROBE_STEPPED;
	if (op.opcode == 0x90 && !(op.rex & 1))
		return KB_PROBE_NOP;
	if (op.opcode == 0x0f && op.second == 0x1f)
		return KB_PROBE_LONG_NOP;
	/* Processors disagree about what 66 means in jumps; calls of __tls_get_addr have it. */
	if (op.operand_size)
		return KB_PROBE_STEPPED;
	if (op.opcode == 0xeb || op.opcode == 0xe9)
		return KB_PROBE_JUMP;
	if (op.opcode == 0xe8)
		return KB_PROBE_CALL;
	if (x86_operation__is_conditional(&op))
		return KB_PROBE_CONDITIONAL;
	return KB_PROBE_STEPPED;
}

/*
 * In the order in which they are taken. A push and a call make the kernel write to the
 * program's stack, which takes it some 80 ns more. Older kernels step long nops: only when there is
 * nothing better.
 */
enum cost { CHEAPEST, WRITES, LONG_NOP, STEPS };

static enum cost cost_of(enum kb_probe_kind kind)
{
	static const enum cost costs[] = {
		[KB_PROBE_STEPPED] = STEPS,	   [KB_PROBE_LONG_NOP] = LONG_NOP,
		[KB_PROBE_PUSH] = WRITES,	   [KB_PROBE_CALL] = WRITES,
		[KB_PROBE_NOP] = CHEAPEST,	   [KB_PROBE_JUMP] = CHEAPEST,
		[KB_PROBE_CONDITIONAL] = CHEAPEST,
	};

	return costs[kind];
}

/* Whether what follows in memory is not what is executed next, always. */
static bool leaves(const cs_insn *insn)
{
	struct x86_operation op = x86_operation__of(insn);
	uint64_t target;

	return x86_code__target(insn, &target) || op.opcode == 0xc3 || op.opcode == 0xff ||
	       op.opcode == 0xcc || op.opcode == 0xf4 || (op.opcode == 0x0f && op.second == 0x0b);
}

static void set_next(const cs_insn *insn, struct kb_probe_address *probe)
{
	uint64_t target = 0;

	probe->next[0] = insn->address + insn->size;
	probe->next[1] = 0;
	if (!x86_code__target(insn, &target))
		return;
	probe->next[1] = target;
	if (probe->kind != KB_PROBE_CONDITIONAL)
		probe->next[0] = 0;
}

static void search(struct x86_code *code, const struct kb_code_map *map, uint64_t start,
		   kb_register_set intact, struct kb_probe_address *probe)
{
	kb_register_set written = 0;
	uint64_t at = start;

	for (int i = 0; i < STEPS_MAX && x86_code__fetch(code, at); i++) {
		enum kb_probe_kind kind = kind_of(code->insn);

		if ((written & intact) || (at > start && kb_code_map__lands(map, start + 1, at)))
			return;
		if (cost_of(kind) < cost_of(probe->kind)) {
			probe->kind = kind;
			probe->address = at;
			probe->written = written;
			set_next(code->insn, probe);
		}
		if (cost_of(probe->kind) == CHEAPEST)
			return;
		if (leaves(code->insn))
			return;
		written |= x86_code__written(code);
		at += code->insn->size;
	}
}

bool kb_probe_address__search(const struct kb_elf_file *elf, const struct kb_code_map *map,
			      uint64_t start, kb_register_set intact,
			      struct kb_probe_address *probe)
{
	struct kb_probe_address found = { .address = start, .kind = KB_PROBE_STEPPED };
	struct x86_code code;

	if (!x86_code__open(&code, elf, true))
		return false;
	search(&code, map, start, intact, &found);
	x86_code__close(&code);
	if (!kb_elf_file__offset_of(elf, found.address, &found.offset))
		return false;
	*probe = found;
	return true;
}

#endif
