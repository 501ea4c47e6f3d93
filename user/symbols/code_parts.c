// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "symbols/code_parts.h"
#include "symbols/far_jumps.h"

#define CODE_MAX (256u << 20)
#define WINDOW	 (1u << 20) /* bytes of code in memory at a time */
/* What a jump to the very start of a part counts. */
#define SURE_VOTES 1000

struct kb_code_parts {
	const struct kb_unwind_table *table;
	/*
	 * For each function of the table, if it is a part: 1 + the function that it belongs to, and
	 * by how many votes that is ahead of all others together (Boyer and Moore's majority).
	 */
	uint32_t *owners, *lead;
	bool *is_part;
};

struct scan {
	struct kb_code_parts *parts;
	uint64_t base, limit; /* of the file's relative addresses */
	uint64_t window;      /* relative address of the code at hand */
	uint32_t at;	      /* the function that the last jump was from */
};

/* ---------------------------------------------------------------- functions */

/* The index of the function around a relative address. */
static bool index_of(const struct kb_unwind_table *table, uint64_t relative, uint32_t *index)
{
	uint32_t low = 0, high = table->n_functions;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (relative >= table->functions[middle].end)
			low = middle + 1;
		else
			high = middle;
	}
	*index = low;
	return low < table->n_functions && relative >= table->functions[low].start;
}

/* Where a call arrives, only the return address is on the stack. */
static bool begins_in_the_middle(const struct kb_unwind_table *table, uint32_t index)
{
	uint32_t rule = kb_unwind_table__rule(table, table->functions[index].start);

	return (kb_unwind__base(rule) == KB_UNWIND_RSP || kb_unwind__base(rule) == KB_UNWIND_RBP) &&
	       rule != KB_UNWIND_RULE(KB_UNWIND_RSP, 1, 0);
}

/* ---------------------------------------------------------------- jumps */

static void vote(struct kb_code_parts *parts, uint32_t part, uint32_t owner, uint32_t votes)
{
	if (parts->owners[part] == owner + 1) {
		parts->lead[part] += votes;
	} else if (parts->lead[part] < votes) {
		parts->owners[part] = owner + 1;
		parts->lead[part] = votes - parts->lead[part];
	} else {
		parts->lead[part] -= votes;
	}
}

/* Few wrong guesses reach into the file's code, and none has a majority. */
static void take_jump(void *context, uint32_t from_byte, int64_t to_byte)
{
	struct scan *scan = context;
	struct kb_code_parts *parts = scan->parts;
	uint64_t from = scan->window + from_byte, to = scan->window + (uint64_t)to_byte;
	const struct kb_unwind_table *table = parts->table;
	uint32_t target;

	if (to >= scan->limit)
		return;
	/* Jumps come in ascending order. */
	while (scan->at < table->n_functions && from >= table->functions[scan->at].end)
		scan->at++;
	if (scan->at == table->n_functions || from < table->functions[scan->at].start ||
	    (to >= table->functions[scan->at].start && to < table->functions[scan->at].end) ||
	    !index_of(table, to, &target))
		return;
	if (parts->is_part[target] && !parts->is_part[scan->at])
		vote(parts, target, scan->at,
		     to == table->functions[target].start ? SURE_VOTES : 1);
	/* To the start of a function goes any other's last call. */
	else if (parts->is_part[scan->at] && !parts->is_part[target] &&
		 to != table->functions[target].start)
		vote(parts, scan->at, target, 1);
}

static void scan_segment(struct scan *scan, const struct kb_elf_file *file,
			 const struct kb_elf_segment *segment, uint8_t *window)
{
	/* Windows overlap, so that no jump lies across their border. */
	for (uint64_t at = 0; at < segment->size; at += WINDOW - KB_FAR_JUMP_BYTES + 1) {
		uint64_t size = segment->size - at < WINDOW ? segment->size - at : WINDOW;

		if (!kb_elf_file__read(file, segment->address + at, window, size))
			return;
		scan->window = segment->address + at - scan->base;
		kb_far_jumps__find(window, (uint32_t)size, take_jump, scan);
	}
}

static void scan_file(struct kb_code_parts *parts, const struct kb_elf_file *file, uint8_t *window)
{
	const struct kb_unwind_table *table = parts->table;
	struct scan scan = { .parts = parts,
			     .base = kb_elf_file__base(file),
			     .limit = table->functions[table->n_functions - 1].end };
	struct kb_elf_segment segment;
	uint64_t bytes = 0;

	for (size_t i = 0; kb_elf_file__segment_at(file, i, &segment); i++) {
		if (!segment.executable)
			continue;
		if (segment.size > CODE_MAX - bytes || segment.address < scan.base)
			return;
		bytes += segment.size;
		scan.at = 0;
		scan_segment(&scan, file, &segment, window);
	}
}

struct kb_code_parts *kb_code_parts__find(const struct kb_elf_file *file,
					  const struct kb_unwind_table *table)
{
	struct kb_code_parts *parts = calloc(1, sizeof(*parts));
	uint8_t *window = malloc(WINDOW);
	uint32_t n = table->n_functions;

	if (parts) {
		parts->table = table;
		parts->owners = calloc(n + 1, sizeof(*parts->owners));
		parts->lead = calloc(n + 1, sizeof(*parts->lead));
		parts->is_part = calloc(n + 1, sizeof(*parts->is_part));
	}
	if (!parts || !window || !parts->owners || !parts->lead || !parts->is_part) {
		kb_code_parts__free(parts);
		free(window);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		parts->is_part[i] = begins_in_the_middle(table, i);
	if (n)
		scan_file(parts, file, window);
	free(window);
	return parts;
}

void kb_code_parts__free(struct kb_code_parts *parts)
{
	if (!parts)
		return;
	free(parts->owners);
	free(parts->lead);
	free(parts->is_part);
	free(parts);
}

bool kb_code_parts__owner(const struct kb_code_parts *parts, uint64_t relative,
			  struct kb_unwind_function *owner)
{
	uint32_t index;

	if (!index_of(parts->table, relative, &index) || !parts->lead[index])
		return false;
	*owner = parts->table->functions[parts->owners[index] - 1];
	return true;
}
