// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From a code unit to a line. CPython had three formats:
 *
 * 3.6 to 3.9, co_lnotab (Objects/lnotab_notes.txt): pairs of unsigned byte-offset
 * step and signed line step. A pair is added before the instructions it leads
 * to, the last run has no end.
 *
 * 3.10, co_linetable (the same file, PEP 626): pairs of length in bytes and signed line
 * step, added before the range it describes; -128 means a range without a line,
 * and does not move the line.
 *
 * 3.11 and later, co_linetable (Objects/locations.md, PEP 657): entries of a
 * first byte 1cccclll, with code c and length l + 1 in units, and further bytes
 * with the top bit clear. The line step is a signed variable-length integer
 * (codes 13 and 14), or 1 or 2 (codes 11 and 12), or 0; code 15 has no line.
 *
 * One iterator reads all three; a run ends where the next begins.
 */
#include <stdbool.h>
#include "bpf/shared/events.h"
#include "python/linetable.h"

/* Code of an entry of the location table, Include/internal/pycore_code.h of 3.11, enum
 * _PyCodeLocationInfoKind. */
enum location_code {
	LOCATION_ONE_LINE1 = 11,
	LOCATION_ONE_LINE2 = 12,
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

#define RANGES_NO_LINE	 (-128) /* Objects/lnotab_notes.txt of 3.10 */
#define VARINT_BITS	 6
#define VARINT_SHIFT_MAX 30 /* of the last group that can matter to 32 bits */

/* Far beyond int32, so that steps of any table cannot overflow the sum, and far from int64's end.
 */
#define LINE_LIMIT (INT64_C(1) << 40)

struct iterator {
	const uint8_t *at;
	const uint8_t *end;
	int64_t line;	   /* as summed up so far, kept where a run shows none */
	uint64_t position; /* where the next run starts: bytes, but units for locations */
	bool done;	   /* lnotab: the run without an end was returned */
};

struct run {
	uint64_t start;
	uint64_t end;
	int64_t line;
};

static void step(struct iterator *it, int64_t delta)
{
	it->line += delta;
	if (it->line > LINE_LIMIT)
		it->line = LINE_LIMIT;
	if (it->line < -LINE_LIMIT)
		it->line = -LINE_LIMIT;
}

static bool next_lnotab(struct iterator *it, struct run *run)
{
	run->start = it->position;
	while (it->end - it->at >= 2) {
		uint8_t bytes = it->at[0];

		run->line = it->line;
		it->position += bytes;
		step(it, (int8_t)it->at[1]);
		it->at += 2;
		if (bytes) {
			run->end = it->position;
			return true;
		}
	}
	run->line = it->line;
	run->end = UINT64_MAX;
	if (it->done)
		return false;
	it->done = true;
	return true;
}

static bool next_range(struct iterator *it, struct run *run)
{
	if (it->end - it->at < 2)
		return false;
	run->start = it->position;
	it->position += it->at[0];
	run->end = it->position;
	if ((int8_t)it->at[1] == RANGES_NO_LINE) {
		run->line = 0;
	} else {
		step(it, (int8_t)it->at[1]);
		run->line = it->line;
	}
	it->at += 2;
	return true;
}

/* Groups of 6 bits, low first, bit 6 set when more follow; the value's lowest bit is its sign. */
static int64_t signed_varint(const uint8_t *at, const uint8_t *end)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; at < end && shift <= VARINT_SHIFT_MAX; at++) {
		value |= (uint64_t)(*at & 63) << shift;
		if (!(*at & 64))
			break;
		shift += VARINT_BITS;
	}
	return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

static int64_t location_step(const uint8_t *entry, const uint8_t *end)
{
	switch ((*entry >> 3) & 15) {
	case LOCATION_ONE_LINE1:
		return 1;
	case LOCATION_ONE_LINE2:
		return 2;
	case LOCATION_NO_COLUMNS:
	case LOCATION_LONG:
		return signed_varint(entry + 1, end);
	default:
		return 0;
	}
}

static bool next_location(struct iterator *it, struct run *run)
{
	const uint8_t *entry = it->at;

	if (entry >= it->end)
		return false;
	/* The next entry is found by its top bit, so that unknown codes do no harm. */
	do {
		it->at++;
	} while (it->at < it->end && !(*it->at & 0x80));
	step(it, location_step(entry, it->at));
	run->start = it->position;
	it->position += (*entry & 7) + 1;
	run->end = it->position;
	run->line = ((*entry >> 3) & 15) == LOCATION_NONE ? 0 : it->line;
	return true;
}

/* The unit at or after a byte offset; odd offsets exist only in damaged tables. */
static uint64_t unit_of(uint64_t offset)
{
	return offset / 2 + offset % 2;
}

static bool next(enum kb_linetable_kind kind, struct iterator *it, struct run *run)
{
	switch (kind) {
	case KB_LINETABLE_LNOTAB:
		if (!next_lnotab(it, run))
			return false;
		break;
	case KB_LINETABLE_RANGES:
		if (!next_range(it, run))
			return false;
		break;
	case KB_LINETABLE_LOCATION:
		return next_location(it, run);
	default:
		return false;
	}
	run->start = unit_of(run->start);
	run->end = unit_of(run->end);
	return true;
}

static int32_t shown(int64_t line)
{
	if (line < 0)
		return 0;
	return line > INT32_MAX ? INT32_MAX : (int32_t)line;
}

int32_t kb_linetable__line(enum kb_linetable_kind kind, const uint8_t *table, size_t bytes,
			   int32_t first_line, uint32_t lasti)
{
	struct iterator it = { table, table ? table + bytes : NULL, first_line };
	struct run run;

	/* PyCode_Addr2Line() of every version says so for a negative address. */
	if (lasti == KB_LASTI_START)
		return shown(first_line);
	if (lasti == KB_LASTI_UNKNOWN || !table)
		return 0;
	while (next(kind, &it, &run))
		if (lasti >= run.start && lasti < run.end)
			return shown(run.line);
	return 0;
}

static uint32_t cut(uint64_t unit)
{
	return unit > UINT32_MAX ? UINT32_MAX : (uint32_t)unit;
}

void kb_linetable__each(enum kb_linetable_kind kind, const uint8_t *table, size_t bytes,
			int32_t first_line, kb_linetable_fn fn, void *context)
{
	struct iterator it = { table, table ? table + bytes : NULL, first_line };
	struct run run;

	while (table && next(kind, &it, &run))
		if (run.start < run.end)
			fn(cut(run.start), cut(run.end), shown(run.line), context);
}
