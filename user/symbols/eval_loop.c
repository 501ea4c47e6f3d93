// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "symbols/eval_loop.h"

#define NAME	   "_PyEval_EvalFrameDefault"
#define CODE_MAX   (1u << 20) /* the largest eval loop has 90 kB */
#define JUMP_BYTES 6
#define ENTRY_RULE KB_UNWIND_RULE(KB_UNWIND_RSP, 1, 0) /* after the call, before the prologue */

/* Length of the instruction if it is a jump to a fixed place that may be far away, else 0. */
static uint32_t jump_at(const uint8_t *code, int32_t *distance)
{
	uint32_t length = code[0] == 0xe9 ? 5 : code[0] == 0x0f && (code[1] & 0xf0) == 0x80 ? 6 : 0;

	if (length)
		memcpy(distance, code + length - sizeof(*distance), sizeof(*distance));
	return length;
}

static bool is_part(const struct kb_unwind_table *table, const struct kb_unwind_function *range)
{
	uint32_t rule = kb_unwind_table__rule(table, range->start);

	return rule != ENTRY_RULE && kb_unwind__base(rule) != KB_UNWIND_NO_RULE;
}

/*
 * Adds what the first part jumps into. Every byte is taken for the start of an instruction: a
 * wrong guess would have to point into one of the few ranges that are no functions.
 */
static void add_parts(const struct kb_unwind_table *table, const uint8_t *code, uint32_t size,
		      struct kb_eval_loop *loop)
{
	struct kb_unwind_function range;

	for (uint32_t i = 0; i + JUMP_BYTES <= size && loop->n < KB_EVAL_PARTS_MAX; i++) {
		int32_t distance;
		uint32_t length = jump_at(code + i, &distance);
		uint64_t target = (uint64_t)loop->parts[0].start + i + length + (int64_t)distance;

		if (!length || kb_eval_loop__contains(loop, target) ||
		    !kb_unwind_table__function_range(table, target, &range) ||
		    !is_part(table, &range))
			continue;
		loop->parts[loop->n++] = range;
	}
}

void kb_eval_loop__find(const struct kb_module *module, const struct kb_unwind_table *table,
			struct kb_eval_loop *loop)
{
	const struct kb_elf_file *elf = kb_module__elf(module);
	uint64_t base = kb_elf_file__base(elf);
	struct kb_elf_symbol symbol;
	uint8_t *code;
	uint32_t size;

	loop->n = 0;
	if (!kb_elf_file__symbol(elf, NAME, &symbol) || symbol.address < base ||
	    !kb_unwind_table__function_range(table, symbol.address - base, &loop->parts[0]))
		return;
	loop->n = 1;
	size = loop->parts[0].end - loop->parts[0].start;
	code = size <= CODE_MAX ? malloc(size) : NULL;
	if (code && kb_elf_file__read(elf, base + loop->parts[0].start, code, size))
		add_parts(table, code, size, loop);
	free(code);
}
