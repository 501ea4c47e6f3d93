// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The C stack of the thread that died: its registers and the top of its stack came from the kernel,
 * the process's mappings are known from before (faults_maps.h), and the rest is as for a thread
 * that sleeps (symbols/native_stack.h).
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "inspect/faults.h"
#include "symbols/symbolizer.h"

/*
 * Files with code are kept open, with their tables and names. When a session has met so many,
 * all are dropped and found anew, so that one that runs for ever stays within its limits.
 */
#define MODULES_MAX 1024

/* DWARF's numbers of x86's registers, see struct kb_registers. */
#define NUMBER_SP 7
#define NUMBER_PC 16

struct kb_fault_native_tools {
	struct kb_modules *modules;
	struct kb_unwind_store *tables;
	struct kb_symbolizer *symbolizer;
	struct kb_fault_maps *maps;
};

static void close_files(struct kb_fault_native_tools *tools)
{
	kb_symbolizer__destroy(tools->symbolizer);
	kb_unwind_store__destroy(tools->tables);
	kb_modules__destroy(tools->modules);
	tools->symbolizer = NULL;
	tools->tables = NULL;
	tools->modules = NULL;
}

static struct kb_error *open_files(struct kb_fault_native_tools *tools)
{
	struct kb_unwind_store_opts store = { .size = sizeof(store) };
	struct kb_symbolizer_opts symbolizer = { .size = sizeof(symbolizer) };

	KB_TRY(kb_modules__create(&tools->modules));
	KB_TRY(kb_unwind_store__create(&store, &tools->tables));
	symbolizer.store = tools->tables;
	return kb_symbolizer__create(&symbolizer, &tools->symbolizer);
}

struct kb_error *kb_fault_native__create(struct kb_fault_native_tools **result)
{
	struct kb_fault_native_tools *tools = calloc(1, sizeof(*tools));
	struct kb_error *err;

	if (!tools)
		return kb_error__no_memory();
	err = open_files(tools);
	if (!err)
		err = kb_fault_maps__create(tools->modules, &tools->maps);
	if (err)
		kb_fault_native__destroy(tools);
	else
		*result = tools;
	return err;
}

void kb_fault_native__destroy(struct kb_fault_native_tools *tools)
{
	if (!tools)
		return;
	kb_fault_maps__destroy(tools->maps);
	close_files(tools);
	free(tools);
}

void kb_fault_native__add(struct kb_fault_native_tools *tools, pid_t pid, bool ran_already)
{
	kb_fault_maps__add(tools->maps, pid, ran_already);
}

int kb_fault_native__fd(const struct kb_fault_native_tools *tools)
{
	return kb_fault_maps__fd(tools->maps);
}

uint64_t kb_fault_native__lost(const struct kb_fault_native_tools *tools)
{
	return kb_fault_maps__lost(tools->maps);
}

void kb_fault_native__update(struct kb_fault_native_tools *tools)
{
	struct kb_error *err;

	kb_fault_maps__update(tools->maps);
	if (kb_modules__count(tools->modules) < MODULES_MAX)
		return;
	close_files(tools);
	err = open_files(tools);
	if (err) {
		kb_warn("no C stacks any more: %s", kb_error__text(err));
		kb_error__destroy(err);
		close_files(tools);
	}
	kb_fault_maps__set_modules(tools->maps, tools->modules);
}

/* ---------------------------------------------------------------- walking */

static const char *const ends[] = {
	[KB_NATIVE_ROOT] = "",
	[KB_NATIVE_NO_TABLE] = "the stack goes on in code without unwind information",
	[KB_NATIVE_UNMAPPED] = "the stack goes on where no code is known",
	[KB_NATIVE_UNREADABLE] = "the stack goes on in memory that was not captured",
	[KB_NATIVE_CUT] = "the stack goes on",
};

/* The pages that were captured, and nothing else: the process is gone. */
static struct kb_pages *captured(const struct kb_data_fault_stack *stack)
{
	struct kb_pages *pages = NULL;

	if (!stack)
		return NULL;
	/* A PID that no process has. */
	kb_error__destroy(kb_pages__create(-1, KB_FAULT_PAGES, &pages));
	for (uint32_t i = 0; pages && i < stack->n_pages && i < KB_FAULT_PAGES; i++)
		kb_pages__put(pages, stack->address + (uint64_t)i * KB_FAULT_PAGE, stack->pages[i]);
	return pages;
}

static void name(struct kb_fault_native_tools *tools, struct kb_fault_data *fault,
		 const struct kb_native_place *place, bool stands, struct kb_fault_native *frame)
{
	struct kb_symbol symbol;

	frame->address = place->address + !stands;
	if (place->module) {
		kb_symbolizer__module(tools->symbolizer, place->module, place->relative, &symbol);
		frame->file = kb_dump__string(fault->dump, symbol.file);
		/* What is only a place in the file is told as one, as by dladdr(3). */
		if (symbol.source != KB_SYMBOL_NONE && symbol.source != KB_SYMBOL_RANGE) {
			frame->name = kb_dump__string(fault->dump, symbol.name);
			frame->offset = place->relative + !stands - symbol.start;
		} else {
			frame->name = "";
			frame->offset = place->relative + !stands;
		}
		return;
	}
	frame->file = place->label ? kb_dump__string(fault->dump, place->label) : "";
	frame->name = "";
	frame->offset = 0;
}

/*
 * A call to where no code is (through a NULL pointer) stands at its first instruction, and has its
 * return address on top of the stack.
 */
static bool step_out(struct kb_pages *pages, struct kb_registers *registers)
{
	uint64_t caller;

	if (!kb_pages__read_u64(pages, registers->values[NUMBER_SP], &caller))
		return false;
	registers->values[NUMBER_SP] += 8;
	registers->values[NUMBER_PC] = caller - 1; /* lies in the call */
	return true;
}

static uint32_t walk(struct kb_fault_native_tools *tools, const struct kb_death *death,
		     const struct kb_code_map *code, struct kb_native_place *places,
		     enum kb_native_end *end)
{
	struct kb_registers registers = { .tgid = death->record.tgid, .tid = death->record.tid };
	struct kb_pages *pages = captured(death->stack);
	uint32_t n = 0, first = 0;

	*end = KB_NATIVE_UNREADABLE;
	if (!pages)
		return 0;
	memcpy(registers.values, death->record.registers, sizeof(registers.values));
	*end = kb_native_stack__walk(pages, code, tools->tables, &registers, places, &n);
	if (!n) {
		places[0] = (struct kb_native_place){ .address = registers.values[NUMBER_PC] };
		first = 1;
		if (step_out(pages, &registers))
			*end = kb_native_stack__walk(pages, code, tools->tables, &registers,
						     places + 1, &n);
	}
	kb_pages__destroy(pages);
	return first + n;
}

void kb_fault_native__walk(struct kb_fault_native_tools *tools, struct kb_faults *faults,
			   const struct kb_death *death, struct kb_fault_data *fault)
{
	struct kb_profile *ledger = faults->session.profile;
	struct kb_native_place *places = calloc(KB_NATIVE_STACK_MAX + 1, sizeof(*places));
	struct kb_code_map *code = NULL;
	enum kb_native_end end;
	uint32_t n;

	fault->info.native_end = "the process's mappings are not known";
	kb_error__destroy(kb_fault_maps__code(tools->maps, fault->info.pid, &code));
	if (!places || !tools->symbolizer || !code || !kb_code_map__size(code)) {
		kb_profile__ledger_add(ledger, KB_L_FAULT_NO_MAPS, 1);
		kb_code_map__destroy(code);
		free(places);
		return;
	}
	n = walk(tools, death, code, places, &end);
	fault->info.native_end = ends[end];
	fault->native = calloc(n + 1, sizeof(*fault->native));
	for (uint32_t i = 0; fault->native && i < n; i++)
		name(tools, fault, &places[i], !i, &fault->native[i]);
	fault->info.n_native = fault->native ? n : 0;
	if (end != KB_NATIVE_ROOT)
		kb_profile__ledger_add(ledger, KB_L_FAULT_NATIVE_CUT, 1);
	kb_code_map__destroy(code);
	free(places);
}
