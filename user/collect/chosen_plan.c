// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "collect/chosen_plan.h"
#include "python/code_places.h"
#include "python/remote_code.h"
#include "system/memory.h"

#define EXITS_MAX 3 /* returns of a function that is timed */

/* The bytecode of a code object, and where it is. */
struct bytecode {
	struct kb_code_bytes code;
	uint8_t *bytes;
	uint64_t address;
};

static bool read_bytecode(struct kb_remote *remote, uint64_t address, struct bytecode *bytecode)
{
	const struct kb_layout *layout = remote->layout;
	uint64_t object = 0, size;

	if (layout->version_minor >= 11) {
		/* _PyCode_CODE() and Py_SIZE(), in code units. */
		bytecode->address = address + layout->code_instructions;
		if (!kb_pages__read_u64(remote->pages, address + remote->objects->var_size, &size))
			return false;
	} else {
		if (!kb_pages__read_u64(remote->pages, address + remote->objects->code_code,
					&object) ||
		    !kb_pages__read_u64(remote->pages, object + layout->bytes_size, &size))
			return false;
		bytecode->address = object + layout->bytes_data;
		size /= 2;
	}
	if (!size || size > KB_CODE_UNITS_MAX)
		return false;
	bytecode->bytes = malloc(size * 2);
	bytecode->code = (struct kb_code_bytes){ .minor = layout->version_minor,
						 .linetable = layout->linetable_kind,
						 .bytes = bytecode->bytes,
						 .units = size };
	return bytecode->bytes &&
	       kb_memory__read(remote->pid, bytecode->address, bytecode->bytes, size * 2);
}

/*
 * Does a frame tell whether the instruction is executed for the first time? From 3.13 on it points
 * to its first one before that is executed (instr_ptr), in 3.11 and 3.12 to the place before
 * (prev_instr); up to 3.10 f_lasti is set before an instruction is read. Ends need it not: a call
 * has one, however often it is met.
 */
static bool tells(const struct bytecode *bytecode, uint32_t unit, enum kb_chosen_role role)
{
	if (role == KB_CHOSEN_EXIT || bytecode->code.minor < 11)
		return false;
	return unit || bytecode->code.minor < 13;
}

static void add(struct kb_chosen_plan *plan, const struct bytecode *bytecode, uint32_t unit,
		enum kb_chosen_role role)
{
	uint64_t address = bytecode->address + unit * 2ull;

	/* Watched is the argument. */
	plan->places[plan->n].address = address + 1;
	/* prev_instr of a new frame is one unit before its instructions, instr_ptr is there. */
	if (role == KB_CHOSEN_ENTRY && !unit && bytecode->code.minor >= 11)
		plan->places[plan->n].starting = bytecode->code.minor >= 13 ? address : address - 2;
	plan->places[plan->n].lasti = bytecode->code.minor == 10 ? unit : unit * 2;
	plan->places[plan->n].executing = tells(bytecode, unit, role) ? address : 0;
	plan->places[plan->n++].role = role;
}

static void plan_exits(const struct bytecode *bytecode, uint32_t spare, struct kb_chosen_plan *plan)
{
	uint32_t exits[EXITS_MAX], n = kb_code_places__exits(&bytecode->code, exits, EXITS_MAX);

	if (!n)
		plan->untimed = "it does not return";
	else if (n > EXITS_MAX)
		plan->untimed = "it returns in more than 3 places";
	else if (n > spare)
		plan->untimed = "no breakpoints are left for its returns: choose fewer functions";
	plan->timed = !plan->untimed;
	for (uint32_t i = 0; i < n && plan->timed; i++)
		add(plan, bytecode, exits[i], KB_CHOSEN_EXIT);
}

static bool plan_function(const struct bytecode *bytecode, uint32_t spare, bool timed,
			  struct kb_chosen_plan *plan, const char **reason)
{
	uint32_t unit;

	if (!kb_code_places__entry(&bytecode->code, &unit, reason))
		return false;
	add(plan, bytecode, unit, KB_CHOSEN_ENTRY);
	if (timed)
		plan_exits(bytecode, spare, plan);
	else
		plan->untimed = "times were not asked for";
	return true;
}

static bool plan_line(const struct bytecode *bytecode, const struct kb_remote_code *info,
		      uint32_t spare, struct kb_chosen_plan *plan, const char **reason)
{
	uint32_t units[KB_CHOSEN_MAX];
	uint32_t n = kb_code_places__line(&bytecode->code, info, plan->line, units, KB_CHOSEN_MAX);

	*reason = "the line begins in more places than there are breakpoints for";
	if (!n || n > 1 + spare)
		return false;
	for (uint32_t i = 0; i < n; i++)
		add(plan, bytecode, units[i], KB_CHOSEN_LINE);
	plan->untimed = "it is a line";
	return true;
}

bool kb_chosen_plan__make(struct kb_remote *remote, const struct kb_remote_name *name,
			  const struct kb_remote_found *found, uint32_t spare, bool timed,
			  struct kb_chosen_plan *plan, char *reason)
{
	struct bytecode bytecode = {};
	struct kb_remote_code info;
	const char *why = "its code object cannot be read";
	bool ok;

	*plan = (struct kb_chosen_plan){ .code = found->code };
	if (kb_remote_code__read_pages(remote->pages, remote->layout, remote->code_type,
				       found->code, &info)) {
		plan->line = found->is_function ? info.first_line : name->line;
		ok = read_bytecode(remote, found->code, &bytecode) &&
		     (found->is_function ? plan_function(&bytecode, spare, timed, plan, &why)
					 : plan_line(&bytecode, &info, spare, plan, &why));
		plan->file = info.file;
		plan->function = info.name;
		info.file = info.name = NULL;
		kb_remote_code__free(&info);
	} else {
		ok = false;
	}
	free(bytecode.bytes);
	if (ok)
		return true;
	kb_chosen_plan__free(plan);
	snprintf(reason, KB_SEARCH_REASON_MAX, "%s", why);
	return false;
}

void kb_chosen_plan__free(struct kb_chosen_plan *plan)
{
	free(plan->file);
	free(plan->function);
	plan->file = plan->function = NULL;
}

struct kb_chosen_place kb_chosen_plan__place(const struct kb_chosen_plan *plan, uint32_t index,
					     uint32_t number)
{
	return (struct kb_chosen_place){
		.code = plan->code,
		.executing = plan->places[index].executing,
		.starting = plan->places[index].starting,
		.lasti = plan->places[index].lasti,
		.number = number,
		.role = plan->places[index].role,
		.timed = plan->timed && plan->places[index].role == KB_CHOSEN_ENTRY,
	};
}
