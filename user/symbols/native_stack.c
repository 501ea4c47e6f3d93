// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "bpf/shared/native.h"
#include "symbols/native_stack.h"
#include "system/maps.h"

/* Executable mappings of a process; the largest programs have some hundred libraries. */
#define MAPPINGS_MAX 8192

struct mapping {
	uint64_t start, end;
	uint64_t relative; /* of start, in the module */
	const struct kb_module *module;
	char *label;
};

struct kb_code_map {
	struct mapping *mappings; /* ascending */
	uint32_t n;
};

/* ---------------------------------------------------------------- mappings */

static struct kb_error *add_mapping(struct kb_code_map *code, struct kb_modules *modules, pid_t pid,
				    const struct kb_map *map)
{
	struct mapping mapping = { .start = map->start, .end = map->end };

	KB_TRY(kb_modules__of_mapping(modules, pid, map, &mapping.module));
	if (mapping.module && !kb_module__relative(mapping.module, map->offset, &mapping.relative))
		mapping.module = NULL;
	mapping.label = strdup(map->path[0] ? map->path : "[anonymous]");
	if (!mapping.label)
		return kb_error__no_memory();
	code->mappings[code->n++] = mapping;
	return NULL;
}

static struct kb_error *read_mappings(struct kb_code_map *code, struct kb_modules *modules,
				      pid_t pid)
{
	struct kb_error *err = NULL;
	struct kb_maps maps;
	size_t executable = 0;

	KB_TRY(kb_maps__read(pid, &maps));
	for (size_t i = 0; i < maps.count; i++)
		executable += maps.entries[i].executable;
	if (executable > MAPPINGS_MAX)
		executable = MAPPINGS_MAX;
	code->mappings = calloc(executable + 1, sizeof(*code->mappings));
	if (!code->mappings)
		err = kb_error__no_memory();
	for (size_t i = 0; i < maps.count && code->n < executable && !err; i++) {
		if (maps.entries[i].executable)
			err = add_mapping(code, modules, pid, &maps.entries[i]);
	}
	kb_maps__free(&maps);
	return err;
}

struct kb_error *kb_code_map__create(struct kb_modules *modules, pid_t pid,
				     struct kb_code_map **result)
{
	struct kb_code_map *code = calloc(1, sizeof(*code));
	struct kb_error *err;

	if (!code)
		return kb_error__no_memory();
	err = read_mappings(code, modules, pid);
	if (err)
		kb_code_map__destroy(code);
	else
		*result = code;
	return err;
}

struct kb_error *kb_code_map__of_ranges(const struct kb_code_range *ranges, uint32_t n,
					struct kb_code_map **result)
{
	struct kb_code_map *code = calloc(1, sizeof(*code));

	if (!code)
		return kb_error__no_memory();
	if (n > MAPPINGS_MAX)
		n = MAPPINGS_MAX;
	code->mappings = calloc(n + 1, sizeof(*code->mappings));
	for (; code->mappings && code->n < n; code->n++) {
		const struct kb_code_range *from = &ranges[code->n];
		struct mapping mapping = { from->start, from->end, from->relative, from->module,
					   strdup(from->label[0] ? from->label : "[anonymous]") };

		if (!mapping.label)
			break;
		code->mappings[code->n] = mapping;
	}
	if (code->n < n || !code->mappings) {
		kb_code_map__destroy(code);
		return kb_error__no_memory();
	}
	*result = code;
	return NULL;
}

uint32_t kb_code_map__size(const struct kb_code_map *code)
{
	return code->n;
}

void kb_code_map__destroy(struct kb_code_map *code)
{
	if (!code)
		return;
	for (uint32_t i = 0; i < code->n; i++)
		free(code->mappings[i].label);
	free(code->mappings);
	free(code);
}

static const struct mapping *find(const struct kb_code_map *code, uint64_t address)
{
	uint32_t low = 0, high = code->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (address < code->mappings[middle].start)
			high = middle;
		else if (address >= code->mappings[middle].end)
			low = middle + 1;
		else
			return &code->mappings[middle];
	}
	return NULL;
}

/* ---------------------------------------------------------------- steps */

struct walking {
	struct kb_pages *pages;
	const struct kb_registers *registers;
	uint64_t pc, sp, fp;
	bool stands; /* execution stands at pc; else it is a return address */
};

enum step { GOES_ON, ENDED, NO_TABLE, UNREADABLE };

static bool read_word(struct walking *w, uint64_t address, uint64_t *value)
{
	return kb_pages__read_u64(w->pages, address, value);
}

/* By a rule that is neither of rsp nor of rbp alone; 0: not known. */
static uint64_t special_cfa(struct walking *w, uint32_t rule)
{
	uint32_t special = kb_unwind__special(rule), operand = kb_unwind__operand(rule);
	int32_t offset = kb_unwind__special_offset(rule);
	uint64_t cfa;

	if (special == KB_UNWIND_PLT)
		return w->sp + 8 + ((w->pc & 15) >= 11 ? 8 : 0);
	if (special == KB_UNWIND_REGISTER)
		return w->stands && operand < KB_REGISTERS
			       ? w->registers->values[operand] + (uint64_t)(int64_t)offset
			       : 0;
	if (!read_word(w,
		       (special == KB_UNWIND_DEREF_RSP ? w->sp : w->fp) + (uint64_t)(int64_t)offset,
		       &cfa))
		return 0;
	return cfa + 8 * operand;
}

static enum step leave_signal(struct walking *w)
{
	uint64_t sp = w->sp;

	if (!read_word(w, sp + KB_UNWIND_SIGNAL_RIP, &w->pc) ||
	    !read_word(w, sp + KB_UNWIND_SIGNAL_RBP, &w->fp) ||
	    !read_word(w, sp + KB_UNWIND_SIGNAL_RSP, &w->sp))
		return UNREADABLE;
	w->stands = true;
	return GOES_ON;
}

static enum step to_caller(struct walking *w, uint32_t rule)
{
	uint32_t base = kb_unwind__base(rule);
	int32_t fp = kb_unwind__fp_offset(rule);
	uint64_t cfa, saved = fp == KB_UNWIND_FP_AT_FP ? w->fp : 0;

	if (base == KB_UNWIND_NO_RULE)
		return kb_unwind__end(rule) == KB_UNWIND_END ? ENDED : NO_TABLE;
	if (base == KB_UNWIND_SPECIAL && kb_unwind__special(rule) == KB_UNWIND_SIGNAL)
		return leave_signal(w);
	if (base == KB_UNWIND_SPECIAL)
		cfa = special_cfa(w, rule);
	else
		cfa = (base == KB_UNWIND_RSP ? w->sp : w->fp) +
		      (uint64_t)(int64_t)kb_unwind__cfa_offset(rule);
	/* A stack grows downwards: its callers are above, or it is none. */
	if (cfa <= w->sp || cfa & 7)
		return UNREADABLE;
	if (fp && fp != KB_UNWIND_FP_AT_FP)
		saved = cfa + (uint64_t)(int64_t)fp;
	if (fp && !read_word(w, saved, &w->fp))
		return UNREADABLE;
	if (!read_word(w, cfa - 8, &w->pc))
		return UNREADABLE;
	w->sp = cfa;
	w->stands = false;
	return w->pc ? GOES_ON : ENDED;
}

/* The rule at a place; what has no table, has none. */
static uint32_t rule_at(struct kb_unwind_store *tables, const struct kb_native_place *place)
{
	uint32_t rule = KB_UNWIND_RULE(KB_UNWIND_NO_RULE, KB_UNWIND_NONE, 0);
	const struct kb_unwind_table *table;
	struct kb_error *err;

	if (!place->module)
		return rule;
	err = kb_unwind_store__get(tables, place->module, &table);
	if (err) {
		kb_error__destroy(err);
		return rule;
	}
	rule = kb_unwind_table__rule(table, place->relative);
	/* Held until the store ends: the next frame mostly needs it again. */
	return rule;
}

enum kb_native_end kb_native_stack__walk(struct kb_pages *pages, const struct kb_code_map *map,
					 struct kb_unwind_store *tables,
					 const struct kb_registers *registers,
					 struct kb_native_place *places, uint32_t *n)
{
	struct walking w = { .pages = pages,
			     .registers = registers,
			     .pc = registers->values[KB_UNWIND_REG_RIP],
			     .sp = registers->values[KB_UNWIND_REG_RSP],
			     .fp = registers->values[KB_UNWIND_REG_RBP],
			     .stands = true };

	for (*n = 0; *n < KB_NATIVE_STACK_MAX;) {
		struct kb_native_place *place = &places[*n];
		const struct mapping *mapping;

		*place = (struct kb_native_place){ .address = w.pc - !w.stands };
		mapping = find(map, place->address);
		if (!mapping)
			return *n ? KB_NATIVE_UNMAPPED : KB_NATIVE_UNREADABLE;
		place->module = mapping->module;
		place->label = mapping->label;
		place->relative = mapping->relative + (place->address - mapping->start);
		(*n)++;
		switch (to_caller(&w, rule_at(tables, place))) {
		case GOES_ON:
			break;
		case ENDED:
			return KB_NATIVE_ROOT;
		case NO_TABLE:
			return KB_NATIVE_NO_TABLE;
		case UNREADABLE:
			return KB_NATIVE_UNREADABLE;
		}
	}
	return KB_NATIVE_CUT;
}
