// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "base/error.h"
#include "symbols/eh_frame.h"
#include "symbols/unwind_rule.h"
#include "symbols/unwind_table.h"

/* Functions are aligned at 16 bytes: a gap between two that is smaller is padding, and no row is
 * spent on it. */
#define PADDING_MAX 15

#define NO_RULE KB_UNWIND_RULE(KB_UNWIND_NO_RULE, KB_UNWIND_NONE, 0)

struct builder {
	struct kb_eh_frame *frames;
	struct kb_unwind_table *table;
	uint64_t base;
	uint32_t rows_capacity, functions_capacity;
};

static struct kb_error *add_row(struct builder *b, uint64_t pc, uint32_t rule)
{
	struct kb_unwind_table *table = b->table;
	struct kb_unwind_row *rows;

	if (table->n_rows && table->rows[table->n_rows - 1].rule == rule)
		return NULL;
	if (table->n_rows && table->rows[table->n_rows - 1].pc == pc) {
		table->rows[table->n_rows - 1].rule = rule;
		return NULL;
	}
	if (table->n_rows >= KB_UNWIND_ROWS_MAX)
		return kb_failed("more than %u rows in its .eh_frame", KB_UNWIND_ROWS_MAX);
	rows = kb_array__grow(table->rows, &b->rows_capacity, table->n_rows + 1, sizeof(*rows),
			      KB_UNWIND_ROWS_MAX);
	if (!rows)
		return kb_error__no_memory();
	table->rows = rows;
	rows[table->n_rows++] = (struct kb_unwind_row){ (uint32_t)pc, rule };
	return NULL;
}

static struct kb_error *add_function(struct builder *b, uint64_t start, uint64_t end)
{
	struct kb_unwind_table *table = b->table;
	struct kb_unwind_function *functions =
		kb_array__grow(table->functions, &b->functions_capacity, table->n_functions + 1,
			       sizeof(*functions), KB_UNWIND_FUNCTIONS_MAX);

	if (!functions)
		return kb_error__no_memory();
	table->functions = functions;
	functions[table->n_functions++] =
		(struct kb_unwind_function){ (uint32_t)start, (uint32_t)end };
	return NULL;
}

static struct kb_error *take_row(uint64_t start, uint64_t end, const struct kb_cfa_state *state,
				 void *context)
{
	struct builder *b = context;
	uint32_t rule = NO_RULE;

	if (!state || !kb_unwind_rule__of_state(state, &rule))
		b->table->n_dropped++;
	return add_row(b, start - b->base, rule);
}

static struct kb_error *add_ranges(struct builder *b)
{
	uint32_t n = kb_eh_frame__count(b->frames);
	uint64_t reached = b->base;

	KB_TRY(add_row(b, 0, NO_RULE));
	for (uint32_t i = 0; i < n; i++) {
		const struct kb_eh_range *range = kb_eh_frame__at(b->frames, i);

		if (range->start < b->base || range->end - b->base >= UINT32_MAX)
			continue;
		if (range->start - reached > PADDING_MAX)
			KB_TRY(add_row(b, reached - b->base, NO_RULE));
		KB_TRY(kb_eh_frame__rows(b->frames, range, take_row, b));
		KB_TRY(add_function(b, range->start - b->base, range->end - b->base));
		reached = range->end;
	}
	return add_row(b, reached - b->base, NO_RULE);
}

struct kb_error *kb_unwind_table__build(const struct kb_elf_file *file,
					struct kb_unwind_table **table)
{
	struct builder b = { .base = kb_elf_file__base(file) };
	struct kb_error *err;
	uint32_t fp;

	if (!kb_unwind_rule__supported(&fp))
		return kb_unsupported("native stacks are not supported on this processor");
	KB_TRY(kb_eh_frame__open(file, fp, KB_UNWIND_FUNCTIONS_MAX, &b.frames));
	b.table = calloc(1, sizeof(*b.table));
	err = b.table ? add_ranges(&b) : kb_error__no_memory();
	kb_eh_frame__close(b.frames);
	if (err) {
		kb_unwind_table__destroy(b.table);
		return err;
	}
	*table = b.table;
	return NULL;
}
