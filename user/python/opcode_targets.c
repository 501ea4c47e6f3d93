// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "python/opcode.h"
#include "python/opcode_targets.h"

/* Words that are looked at at a time: tables that lie across the border are seen with the next. */
#define WINDOW_WORDS 32768
/* The largest interpreter has 6 MB of data; an embedding program may have more. */
#define DATA_BYTES_MAX (512u << 20)
#define SEGMENTS_MAX   16
/* Rows of 256 pointers to code and more that are compared; real files have some thousand places. */
#define PLACES_MAX (1u << 20)

struct search {
	const struct kb_elf_file *file;
	struct kb_elf_segment code[SEGMENTS_MAX];
	size_t n_code;
	bool undefined[KB_OPCODES]; /* opcodes that the version does not have */
	unsigned int first_undefined, last_undefined;
	uint32_t n_places;
	struct kb_opcode_targets *best;
	bool found;
};

static bool is_code(const struct search *search, uint64_t address)
{
	for (size_t i = 0; i < search->n_code; i++)
		if (address - search->code[i].address < search->code[i].size)
			return true;
	return false;
}

static uint32_t mismatches(const struct search *search, const uint64_t *words, uint64_t unknown)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < KB_OPCODES; i++)
		n += (words[i] == unknown) != search->undefined[i];
	return n;
}

/*
 * Handlers that are alike may be one, but not most of them. Tables of jumps for characters have two
 * or three targets, and may look right otherwise; 3.15 has a table of one target behind the right
 * one.
 */
static bool distinct(const struct search *search, const uint64_t *words)
{
	unsigned int n_defined = 0, n_distinct = 0;

	for (unsigned int i = 0; i < KB_OPCODES; i++) {
		unsigned int before = 0;

		if (search->undefined[i])
			continue;
		n_defined++;
		while (before < i && words[before] != words[i])
			before++;
		n_distinct += before == i;
	}
	return n_distinct > n_defined - n_defined / 4;
}

/* The table may begin here. */
static void consider(struct search *search, uint64_t address, const uint64_t *words)
{
	uint64_t first = words[search->first_undefined], last = words[search->last_undefined];
	uint32_t of_first = mismatches(search, words, first);
	uint32_t of_last = mismatches(search, words, last);
	uint32_t n = of_first <= of_last ? of_first : of_last;
	struct kb_opcode_targets *best = search->best;

	if (n > KB_OPCODE_MISMATCHES_MAX || !distinct(search, words))
		return;
	if (search->found && n >= best->mismatches) {
		best->runner_up = n < best->runner_up ? n : best->runner_up;
		return;
	}
	best->runner_up = search->found ? best->mismatches : KB_OPCODE_MISMATCHES_MAX + 1;
	best->mismatches = n;
	best->table = address;
	best->unknown = of_first <= of_last ? first : last;
	memcpy(best->target, words, sizeof(best->target));
	search->found = true;
}

static void scan_words(struct search *search, uint64_t address, const uint64_t *words, size_t n)
{
	size_t in_row = 0;

	for (size_t i = 0; i < n; i++) {
		in_row = is_code(search, words[i]) ? in_row + 1 : 0;
		if (in_row >= KB_OPCODES && search->n_places++ < PLACES_MAX)
			consider(search, address + 8 * (i + 1 - KB_OPCODES),
				 words + i + 1 - KB_OPCODES);
	}
}

static void scan_segment(struct search *search, uint64_t address, uint64_t bytes, uint64_t *words)
{
	uint64_t end = address + bytes;

	for (address = (address + 7) & ~(uint64_t)7; address < end;
	     address += 8 * (WINDOW_WORDS - KB_OPCODES + 1)) {
		uint64_t left = (end - address) / 8;
		size_t n = left < WINDOW_WORDS ? left : WINDOW_WORDS;

		if (n < KB_OPCODES || !kb_elf_file__read(search->file, address, words, 8 * n))
			return;
		scan_words(search, address, words, n);
	}
}

static void take_segments(struct search *search, uint64_t *words)
{
	struct kb_elf_segment segment;
	uint64_t bytes = 0;

	for (size_t i = 0; kb_elf_file__segment_at(search->file, i, &segment); i++)
		if (segment.executable && search->n_code < SEGMENTS_MAX)
			search->code[search->n_code++] = segment;
	/* Older linkers put .rodata into the segment of the code. */
	for (size_t i = 0; kb_elf_file__segment_at(search->file, i, &segment); i++) {
		if (segment.size > DATA_BYTES_MAX - bytes)
			return;
		bytes += segment.size;
		scan_segment(search, segment.address, segment.size, words);
	}
}

/* DO_TRACING, which the loop of 3.11 executes instead of any other while it is traced: it stands in
 * no code object, so that Python has no name for it (Include/internal/pycore_opcode.h). */
static bool is_nameless(unsigned int minor, unsigned int opcode)
{
	return minor == 11 && opcode == 255;
}

struct kb_error *kb_opcode_targets__find(const struct kb_elf_file *file, unsigned int minor,
					 struct kb_opcode_targets *targets)
{
	struct kb_opcode_targets best = { 0 };
	struct search search = { .file = file, .best = &best, .first_undefined = KB_OPCODES };
	uint64_t *words = malloc(WINDOW_WORDS * sizeof(*words));

	if (!words)
		return kb_error__no_memory();
	for (unsigned int i = 0; i < KB_OPCODES; i++) {
		search.undefined[i] = !kb_opcode__name(minor, i) && !is_nameless(minor, i);
		if (!search.undefined[i])
			continue;
		if (search.first_undefined == KB_OPCODES)
			search.first_undefined = i;
		search.last_undefined = i;
	}
	if (search.first_undefined < KB_OPCODES && kb_opcode__number(minor, "RETURN_VALUE") >= 0)
		take_segments(&search, words);
	free(words);
	if (!search.found)
		return kb_unsupported("no table of the instructions of Python 3.%u in the file",
				      minor);
	*targets = best;
	return NULL;
}
