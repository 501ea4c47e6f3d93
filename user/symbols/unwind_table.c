// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "symbols/unwind_table.h"

void kb_unwind_table__destroy(struct kb_unwind_table *table)
{
	if (!table)
		return;
	free(table->rows);
	free(table->functions);
	free(table);
}

uint32_t kb_unwind_table__rule(const struct kb_unwind_table *table, uint64_t relative)
{
	uint32_t low = 0, high = table->n_rows;

	if (relative > UINT32_MAX)
		return KB_UNWIND_RULE(KB_UNWIND_NO_RULE, KB_UNWIND_NONE, 0);
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (table->rows[middle].pc <= relative)
			low = middle;
		else
			high = middle;
	}
	return table->rows[low].rule;
}

bool kb_unwind_table__function_range(const struct kb_unwind_table *table, uint64_t relative,
				     struct kb_unwind_function *function)
{
	uint32_t low = 0, high = table->n_functions;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct kb_unwind_function *candidate = &table->functions[middle];

		if (relative < candidate->start) {
			high = middle;
		} else if (relative >= candidate->end) {
			low = middle + 1;
		} else {
			*function = *candidate;
			return true;
		}
	}
	return false;
}
