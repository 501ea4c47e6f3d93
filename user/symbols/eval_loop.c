// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "symbols/eval_loop.h"
#include "symbols/far_jumps.h"

#define NAME	   "_PyEval_EvalFrameDefault"
#define CODE_MAX   (1u << 20)			       /* the largest eval loop has 90 kB */
#define ENTRY_RULE KB_UNWIND_RULE(KB_UNWIND_RSP, 1, 0) /* after the call, before the prologue */

static bool is_part(const struct kb_unwind_table *table, const struct kb_unwind_function *range)
{
	uint32_t rule = kb_unwind_table__rule(table, range->start);

	return rule != ENTRY_RULE && kb_unwind__base(rule) != KB_UNWIND_NO_RULE;
}

struct search {
	const struct kb_unwind_table *table;
	struct kb_eval_loop *loop;
};

/*
 * Adds what the first part jumps into. What is no jump would have to point into one of the few
 * ranges that are no functions.
 */
static void take_jump(void *context, uint32_t from, int64_t to)
{
	const struct search *search = context;
	struct kb_eval_loop *loop = search->loop;
	uint64_t target = loop->parts[0].start + (uint64_t)to;
	struct kb_unwind_function range;

	if (loop->n < KB_EVAL_PARTS_MAX && !kb_eval_loop__contains(loop, target) &&
	    kb_unwind_table__function_range(search->table, target, &range) &&
	    is_part(search->table, &range))
		loop->parts[loop->n++] = range;
}

void kb_eval_loop__find(const struct kb_module *module, const struct kb_unwind_table *table,
			struct kb_eval_loop *loop)
{
	const struct kb_elf_file *elf = kb_module__elf(module);
	uint64_t base = kb_elf_file__base(elf);
	struct search search = { .table = table, .loop = loop };
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
		kb_far_jumps__find(code, size, take_jump, &search);
	free(code);
}
