// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "python/code_places.h"
#include "python/linetable.h"
#include "python/opcode.h"

/* From 3.11 on inline caches follow an instruction, code units that are none:
 * opcode._inline_cache_entries of 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2. */
#define CACHES_FIRST_MINOR 11
#define CACHES_VERSIONS	   5
static const struct {
	const char *name; /* of the general instruction */
	uint8_t units[CACHES_VERSIONS];
} caches[] = {
	{ "LOAD_GLOBAL", { 5, 4, 4, 4, 4 } },	   { "BINARY_OP", { 1, 1, 1, 5, 5 } },
	{ "UNPACK_SEQUENCE", { 1, 1, 1, 1, 1 } },  { "COMPARE_OP", { 2, 1, 1, 1, 1 } },
	{ "CONTAINS_OP", { 0, 0, 1, 1, 1 } },	   { "BINARY_SUBSCR", { 4, 1, 1, 0, 0 } },
	{ "FOR_ITER", { 0, 1, 1, 1, 1 } },	   { "GET_ITER", { 0, 0, 0, 0, 1 } },
	{ "LOAD_SUPER_ATTR", { 0, 1, 1, 1, 1 } },  { "LOAD_ATTR", { 4, 9, 9, 9, 9 } },
	{ "LOAD_METHOD", { 10, 0, 0, 0, 0 } },	   { "STORE_ATTR", { 4, 4, 4, 4, 4 } },
	{ "PRECALL", { 1, 0, 0, 0, 0 } },	   { "CALL", { 4, 3, 3, 3, 3 } },
	{ "CALL_KW", { 0, 0, 0, 3, 3 } },	   { "CALL_FUNCTION_EX", { 0, 0, 0, 0, 1 } },
	{ "STORE_SUBSCR", { 1, 1, 1, 1, 1 } },	   { "SEND", { 0, 1, 1, 1, 1 } },
	{ "JUMP_BACKWARD", { 0, 0, 1, 1, 1 } },	   { "TO_BOOL", { 0, 0, 3, 3, 3 } },
	{ "POP_JUMP_IF_TRUE", { 0, 0, 1, 1, 1 } }, { "POP_JUMP_IF_FALSE", { 0, 0, 1, 1, 1 } },
	{ "POP_JUMP_IF_NONE", { 0, 0, 1, 1, 1 } }, { "POP_JUMP_IF_NOT_NONE", { 0, 0, 1, 1, 1 } },
	{ "RESUME", { 0, 0, 0, 0, 1 } },
};

/* These stand in the place of an instruction that only the interpreter knows. */
static const char *const hiding[] = { "INSTRUMENTED_LINE", "INSTRUMENTED_INSTRUCTION",
				      "ENTER_EXECUTOR" };

/* One instruction; `name` is that of the general one. */
struct instruction {
	const char *name;
	uint32_t unit, next; /* its own place, without prefixes; that of the one behind it */
	uint32_t oparg;
};

static bool is(const struct instruction *at, const char *name)
{
	return !strcmp(at->name, name);
}

static bool begins(const struct instruction *at, const char *name)
{
	return !strncmp(at->name, name, strlen(name));
}

static uint32_t cache_units(unsigned minor, const char *name)
{
	if (minor < CACHES_FIRST_MINOR)
		return 0;
	for (size_t i = 0; i < sizeof(caches) / sizeof(*caches); i++)
		if (!strcmp(caches[i].name, name) && minor < CACHES_FIRST_MINOR + CACHES_VERSIONS)
			return caches[i].units[minor - CACHES_FIRST_MINOR];
	return 0;
}

/* The name without what tells 3.11's variants, which dis does not list as specialized. */
static const char *general_name(unsigned minor, uint8_t opcode)
{
	const char *name = kb_opcode__base(minor, opcode);

	if (!name)
		return NULL;
	if (!strncmp(name, "RESUME", 6))
		return "RESUME";
	if (!strncmp(name, "EXTENDED_ARG", 12))
		return "EXTENDED_ARG";
	return strcmp(name, "JUMP_BACKWARD_QUICK") ? name : "JUMP_BACKWARD";
}

/* The instruction at *next, which is moved behind it. False at the end, and where it is hidden. */
static bool step(const struct kb_code_bytes *code, uint32_t *next, struct instruction *at)
{
	at->oparg = 0;
	for (uint32_t unit = *next; unit < code->units; unit++) {
		at->oparg = at->oparg << 8 | code->bytes[unit * 2 + 1];
		at->name = general_name(code->minor, code->bytes[unit * 2]);
		if (!at->name)
			return false;
		if (is(at, "EXTENDED_ARG"))
			continue;
		for (size_t i = 0; i < sizeof(hiding) / sizeof(*hiding); i++)
			if (is(at, hiding[i]))
				return false;
		at->unit = unit;
		at->next = *next = unit + 1 + cache_units(code->minor, at->name);
		return true;
	}
	return false;
}

/* The unit that it jumps back to; UINT32_MAX: it does not. */
static uint32_t jumps_back(const struct kb_code_bytes *code, const struct instruction *at)
{
	uint32_t target;

	if (code->minor >= 11) {
		if (!begins(at, "JUMP_BACKWARD") && !begins(at, "POP_JUMP_BACKWARD"))
			return UINT32_MAX;
		return at->oparg <= at->next ? at->next - at->oparg : UINT32_MAX;
	}
	if (!is(at, "JUMP_ABSOLUTE") && !is(at, "CONTINUE_LOOP") && !begins(at, "POP_JUMP_IF") &&
	    !begins(at, "JUMP_IF"))
		return UINT32_MAX;
	/* Counted in bytes up to 3.9. */
	target = code->minor == 10 ? at->oparg : at->oparg / 2;
	return target <= at->unit ? target : UINT32_MAX;
}

/* ---------------------------------------------------------------- functions */

#define RESUME_AT_START	  0 /* Include/internal/pycore_opcode_utils.h, RESUME_AT_FUNC_START */
#define RESUME_PLACE	  3 /* bits of its argument, … */
#define RESUME_PLACE_3_15 7 /* … in 3.15 with one for generators that begin */

static bool find_resume(const struct kb_code_bytes *code, uint32_t *unit)
{
	uint32_t place = code->minor >= 15 ? RESUME_PLACE_3_15 : RESUME_PLACE, next = 0;
	struct instruction at;

	while (step(code, &next, &at)) {
		if (is(&at, "RESUME") && (at.oparg & place) == RESUME_AT_START) {
			*unit = at.unit;
			return true;
		}
	}
	return false;
}

bool kb_code_places__entry(const struct kb_code_bytes *code, uint32_t *unit, const char **reason)
{
	struct instruction at;
	uint32_t next = 0;

	if (code->minor >= 11) {
		*reason = "its first instruction is not known, or replaced by compiled code";
		return find_resume(code, unit);
	}
	*unit = 0;
	*reason = "it begins with a loop: before Python 3.11 its calls look like turns of the loop";
	while (step(code, &next, &at))
		if (!jumps_back(code, &at))
			return false;
	return true;
}

uint32_t kb_code_places__exits(const struct kb_code_bytes *code, uint32_t *units, uint32_t max)
{
	struct instruction at;
	uint32_t next = 0, n = 0;

	while (step(code, &next, &at)) {
		if (!is(&at, "RETURN_VALUE") && !is(&at, "RETURN_CONST"))
			continue;
		if (n < max)
			units[n] = at.unit;
		n++;
	}
	return next >= code->units ? n : 0;
}

/* ---------------------------------------------------------------- lines */

struct ranges {
	const struct kb_code_bytes *code;
	int32_t line;
	uint32_t *units;
	uint32_t n, max;
	uint32_t start, end; /* of the one at hand; empty: none */
};

/* Where a loop whose body is elsewhere comes back to in the range, or where the range starts. */
static uint32_t place_in(const struct ranges *ranges)
{
	uint32_t next = 0, target;
	struct instruction at;

	while (step(ranges->code, &next, &at)) {
		target = jumps_back(ranges->code, &at);
		if (target >= ranges->start && target < ranges->end &&
		    !(at.unit >= ranges->start && at.unit < ranges->end))
			return target;
	}
	return ranges->start;
}

static void finish_range(struct ranges *ranges)
{
	if (ranges->start == ranges->end)
		return;
	if (ranges->n < ranges->max)
		ranges->units[ranges->n] = place_in(ranges);
	ranges->n++;
	ranges->start = ranges->end;
}

static void add_run(uint32_t start, uint32_t end, int32_t line, void *context)
{
	struct ranges *ranges = context;

	if (end > ranges->code->units)
		end = ranges->code->units;
	if (line != ranges->line || start >= end)
		return;
	if (ranges->start == ranges->end || start != ranges->end) {
		finish_range(ranges);
		ranges->start = start;
	}
	ranges->end = end;
}

uint32_t kb_code_places__line(const struct kb_code_bytes *code, const struct kb_remote_code *info,
			      int32_t line, uint32_t *units, uint32_t max)
{
	struct ranges ranges = { .code = code, .line = line, .units = units, .max = max };

	kb_linetable__each(code->linetable, info->lines, info->lines_bytes, info->first_line,
			   add_run, &ranges);
	finish_range(&ranges);
	return ranges.n;
}
