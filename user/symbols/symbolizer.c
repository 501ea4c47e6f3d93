// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "base/strpool.h"
#include "symbols/display_name.h"
#include "symbols/kernel_symbols.h"
#include "symbols/module_symbols.h"
#include "symbols/perf_map.h"
#include "symbols/symbolizer.h"
#include "system/debug_file.h"
#include "system/process.h"

/* Names in all; those of one large process have 2 MB. */
#define NAME_BYTES_MAX (256u << 20)
#define NAMES_MAX      (4u << 20)
/* Processes with a map that are remembered; above, all are read again. */
#define PROCESSES_MAX 1024
#define REREAD_NS     KB_NS_PER_SECOND
/* A kernel symbol has no size; the largest function has some 10 kB. */
#define KERNEL_FUNCTION_MAX 65536

static const char NAMES_FULL[] = "<too many names>";

struct process_symbols {
	pid_t pid;
	uint64_t start_ns; /* of the process, 0: it had ended already */
	uint64_t read_ns;  /* when its map was last looked at */
	struct kb_file_key key;
	struct kb_symbol_table table;
	UT_hash_handle hh;
};

struct kb_symbolizer {
	struct kb_unwind_store *store;
	char *debug_root; /* NULL: no debug files */
	bool demangle;
	struct kb_strpool *names;
	struct kb_module_symbols **modules; /* by module index; NULL: not asked about yet */
	uint32_t n_modules;
	struct process_symbols *processes;
	bool kernel_loaded;
	struct kb_symbol_table kernel;
};

struct kb_error *kb_symbolizer__create(const struct kb_symbolizer_opts *opts,
				       struct kb_symbolizer **symbolizer)
{
	struct kb_symbolizer_opts own = { 0 };
	struct kb_symbolizer *made;

	if (opts)
		KB_TRY(KB_COPY_OPTIONS(&own, opts));
	made = calloc(1, sizeof(*made));
	if (!made)
		return kb_error__no_memory();
	made->store = own.store;
	made->demangle = !own.no_demangle;
	made->names = kb_strpool__create(NAME_BYTES_MAX, NAMES_MAX);
	if (!own.no_debug_files)
		made->debug_root = strdup(own.debug_root ? own.debug_root : KB_DEBUG_ROOT);
	if (!made->names || (!made->debug_root && !own.no_debug_files)) {
		kb_symbolizer__destroy(made);
		return kb_error__no_memory();
	}
	*symbolizer = made;
	return NULL;
}

static void forget(struct kb_symbolizer *symbolizer, struct process_symbols *process)
{
	HASH_DEL(symbolizer->processes, process);
	kb_symbol_table__free(&process->table);
	free(process);
}

static void forget_all(struct kb_symbolizer *symbolizer)
{
	struct process_symbols *process, *next;

	HASH_ITER (hh, symbolizer->processes, process, next)
		forget(symbolizer, process);
}

void kb_symbolizer__destroy(struct kb_symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	for (uint32_t i = 0; i < symbolizer->n_modules; i++)
		kb_module_symbols__destroy(symbolizer->modules[i]);
	forget_all(symbolizer);
	kb_symbol_table__free(&symbolizer->kernel);
	kb_strpool__destroy(symbolizer->names);
	free(symbolizer->modules);
	free(symbolizer->debug_root);
	free(symbolizer);
}

/* ---------------------------------------------------------------- names */

static const char *keep(struct kb_symbolizer *symbolizer, const char *text)
{
	uint32_t id = kb_strpool__add(symbolizer->names, text, strlen(text));

	return id == KB_STRPOOL_NONE ? NAMES_FULL : kb_strpool__at(symbolizer->names, id);
}

static void set_name(struct kb_symbolizer *symbolizer, const char *linkage, uint64_t start,
		     enum kb_symbol_source source, struct kb_symbol *symbol)
{
	char text[KB_DISPLAY_NAME_MAX];

	kb_display_name__make(linkage, symbolizer->demangle, text);
	*symbol = (struct kb_symbol){
		.name = keep(symbolizer, text),
		.linkage = keep(symbolizer, linkage),
		.file = "",
		.start = start,
		.source = source,
	};
}

static void set_unknown(struct kb_symbolizer *symbolizer, uint64_t address, const char *place,
			struct kb_symbol *symbol)
{
	char text[KB_DISPLAY_NAME_MAX];

	snprintf(text, sizeof(text), "0x%" PRIx64 " in %s", address, place);
	*symbol = (struct kb_symbol){
		.name = keep(symbolizer, text),
		.file = "",
		.start = address,
		.source = KB_SYMBOL_NONE,
	};
}

/* ---------------------------------------------------------------- modules */

static struct kb_module_symbols *symbols_of(struct kb_symbolizer *symbolizer,
					    const struct kb_module *module)
{
	uint32_t index = kb_module__index(module), n = index + 1 + index / 2;
	struct kb_module_symbols **modules = symbolizer->modules;

	if (index >= symbolizer->n_modules) {
		modules = reallocarray(modules, n, sizeof(struct kb_module_symbols *));
		if (!modules)
			return NULL;
		memset(modules + symbolizer->n_modules, 0,
		       (n - symbolizer->n_modules) * sizeof(struct kb_module_symbols *));
		symbolizer->modules = modules;
		symbolizer->n_modules = n;
	}
	if (!modules[index])
		modules[index] = kb_module_symbols__create(module, symbolizer->store,
							   symbolizer->debug_root);
	return modules[index];
}

static void set_plain(struct kb_symbolizer *symbolizer, const char *text, uint64_t start,
		      enum kb_symbol_source source, struct kb_symbol *symbol)
{
	*symbol = (struct kb_symbol){ .name = keep(symbolizer, text),
				      .start = start,
				      .source = source };
}

void kb_symbolizer__module(struct kb_symbolizer *symbolizer, const struct kb_module *module,
			   uint64_t relative, struct kb_symbol *symbol)
{
	struct kb_module_symbols *symbols = symbols_of(symbolizer, module);
	enum kb_function_name kind = KB_FUNCTION_UNKNOWN;
	char text[KB_DISPLAY_NAME_MAX];
	uint64_t start = relative;
	const char *name = NULL;

	if (symbols)
		kind = kb_module_symbols__function(symbols, relative, &start, &name);
	switch (kind) {
	case KB_FUNCTION_SYMBOL:
		set_name(symbolizer, name, start, KB_SYMBOL_ELF, symbol);
		break;
	case KB_FUNCTION_DEBUG:
		set_name(symbolizer, name, start, KB_SYMBOL_DEBUG, symbol);
		break;
	case KB_FUNCTION_METHOD:
		set_plain(symbolizer, name, start, KB_SYMBOL_METHOD, symbol);
		break;
	case KB_FUNCTION_RANGE:
		snprintf(text, sizeof(text), "%s+0x%" PRIx64, kb_module__name(module), start);
		set_plain(symbolizer, text, start, KB_SYMBOL_RANGE, symbol);
		break;
	case KB_FUNCTION_UNKNOWN:
		set_unknown(symbolizer, relative, kb_module__name(module), symbol);
		break;
	}
	symbol->file = keep(symbolizer, kb_module__path(module));
}

bool kb_symbolizer__find(struct kb_symbolizer *symbolizer, const struct kb_module *module,
			 const char *linkage, uint64_t *start, uint64_t *size)
{
	struct kb_module_symbols *symbols = symbols_of(symbolizer, module);
	const struct kb_symbol_entry *entry;

	entry = symbols ? kb_module_symbols__named(symbols, linkage) : NULL;
	if (!entry)
		return false;
	*start = entry->start;
	*size = entry->size;
	return true;
}

/* ---------------------------------------------------------------- processes */

static struct process_symbols *process_of(struct kb_symbolizer *symbolizer, pid_t pid)
{
	struct process_symbols *process;
	struct kb_process_stat stat;

	HASH_FIND_INT(symbolizer->processes, &pid, process);
	if (process)
		return process;
	if (HASH_COUNT(symbolizer->processes) >= PROCESSES_MAX)
		forget_all(symbolizer);
	process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->pid = pid;
	process->start_ns = kb_process__stat(pid, &stat) ? stat.start_ns : 0;
	HASH_ADD_INT(symbolizer->processes, pid, process);
	return process;
}

static void refresh(struct process_symbols *process)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC);
	struct kb_symbol_table table;

	if (process->read_ns && now - process->read_ns < REREAD_NS)
		return;
	process->read_ns = now;
	if (kb_perf_map__read(process->pid, &process->key, &table)) {
		kb_symbol_table__free(&process->table);
		process->table = table;
	}
}

void kb_symbolizer__process(struct kb_symbolizer *symbolizer, pid_t pid, uint64_t address,
			    const char *label, struct kb_symbol *symbol)
{
	struct process_symbols *process = process_of(symbolizer, pid);
	const struct kb_symbol_entry *entry = NULL;

	if (process) {
		entry = kb_symbol_table__find(&process->table, address, 0);
		if (!entry) {
			refresh(process);
			entry = kb_symbol_table__find(&process->table, address, 0);
		}
	}
	if (entry)
		set_name(symbolizer, kb_symbol_table__name(&process->table, entry), entry->start,
			 KB_SYMBOL_PERF_MAP, symbol);
	else
		set_unknown(symbolizer, address, label, symbol);
}

void kb_symbolizer__forget_ended(struct kb_symbolizer *symbolizer)
{
	struct process_symbols *process, *next;
	struct kb_process_stat stat;

	HASH_ITER (hh, symbolizer->processes, process, next)
		if (!kb_process__stat(process->pid, &stat) || stat.start_ns != process->start_ns)
			forget(symbolizer, process);
}

/* ---------------------------------------------------------------- kernel */

void kb_symbolizer__kernel(struct kb_symbolizer *symbolizer, uint64_t address,
			   struct kb_symbol *symbol)
{
	const struct kb_symbol_entry *entry;

	if (!symbolizer->kernel_loaded) {
		symbolizer->kernel_loaded = true;
		kb_symbol_table__init(&symbolizer->kernel);
		kb_kernel_symbols__read("/proc/kallsyms", &symbolizer->kernel);
	}
	entry = kb_symbol_table__find(&symbolizer->kernel, address, KERNEL_FUNCTION_MAX);
	if (entry)
		set_name(symbolizer, kb_symbol_table__name(&symbolizer->kernel, entry),
			 entry->start, KB_SYMBOL_KERNEL, symbol);
	else
		set_unknown(symbolizer, address, "[kernel]", symbol);
}
