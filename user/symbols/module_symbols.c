// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "python/method_names.h"
#include "symbols/code_parts.h"
#include "symbols/elf_symbols.h"
#include "symbols/module_symbols.h"
#include "symbols/variant_names.h"

struct kb_module_symbols {
	const struct kb_module *module;
	struct kb_unwind_store *store;
	struct kb_symbol_table table;
	enum kb_function_name source; /* of the table's names */
	bool ranges_asked, more_asked;
	const struct kb_unwind_table *ranges; /* NULL: not known */
	struct kb_code_parts *parts;	      /* NULL: not known */
	struct kb_symbol_table variants;
	struct kb_method_names methods;
};

struct kb_module_symbols *kb_module_symbols__create(const struct kb_module *module,
						    struct kb_unwind_store *store,
						    const char *debug_root)
{
	struct kb_module_symbols *made = calloc(1, sizeof(*made));
	enum kb_elf_symbols source;

	if (!made)
		return NULL;
	made->module = module;
	made->store = store;
	kb_symbol_table__init(&made->table);
	kb_symbol_table__init(&made->variants);
	source = kb_elf_symbols__read(kb_module__elf(module), kb_module__path(module), debug_root,
				      &made->table);
	made->source = source == KB_ELF_SYMBOLS_OWN || source == KB_ELF_SYMBOLS_DYNAMIC
			       ? KB_FUNCTION_SYMBOL
			       : KB_FUNCTION_DEBUG;
	return made;
}

void kb_module_symbols__destroy(struct kb_module_symbols *symbols)
{
	if (!symbols)
		return;
	kb_symbol_table__free(&symbols->table);
	kb_symbol_table__free(&symbols->variants);
	kb_code_parts__free(symbols->parts);
	kb_method_names__free(&symbols->methods);
	if (symbols->ranges)
		kb_unwind_store__put(symbols->store, symbols->module);
	free(symbols);
}

/* What is missing after an error is done without. */
static bool range_of(struct kb_module_symbols *symbols, uint64_t relative,
		     struct kb_unwind_function *range)
{
	if (!symbols->ranges_asked && symbols->store)
		kb_error__destroy(
			kb_unwind_store__get(symbols->store, symbols->module, &symbols->ranges));
	symbols->ranges_asked = true;
	return symbols->ranges && kb_unwind_table__function_range(symbols->ranges, relative, range);
}

static void ask_more(struct kb_module_symbols *symbols)
{
	const struct kb_elf_file *file = kb_module__elf(symbols->module);

	if (symbols->more_asked)
		return;
	symbols->more_asked = true;
	symbols->parts = kb_code_parts__find(file, symbols->ranges);
	kb_variant_names__read(file, &symbols->variants);
	kb_symbol_table__close(&symbols->variants);
	kb_error__destroy(kb_method_names__read(file, &symbols->methods));
}

/* The last symbol that starts in a range, before an address. */
static const struct kb_symbol_entry *symbol_in(const struct kb_module_symbols *symbols,
					       const struct kb_unwind_function *range,
					       uint64_t before)
{
	const struct kb_symbol_entry *entry = kb_symbol_table__before(&symbols->table, before);

	return entry && entry->start >= range->start ? entry : NULL;
}

static const char *method_at(const struct kb_module_symbols *symbols, uint64_t relative)
{
	uint64_t address = relative + kb_elf_file__base(kb_module__elf(symbols->module));
	size_t low = 0, high = symbols->methods.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->methods.names[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == symbols->methods.n || symbols->methods.names[low].address != address)
		return NULL;
	return symbols->methods.names[low].name;
}

static enum kb_function_name take_entry(const struct kb_module_symbols *symbols,
					const struct kb_symbol_entry *entry, uint64_t *start,
					const char **name)
{
	*start = entry->start;
	*name = kb_symbol_table__name(&symbols->table, entry);
	return symbols->source;
}

/* A function that no symbol contains. */
static enum kb_function_name unnamed(struct kb_module_symbols *symbols,
				     struct kb_unwind_function range, uint64_t relative,
				     uint64_t *start, const char **name)
{
	const struct kb_symbol_entry *entry = symbol_in(symbols, &range, relative);

	if (entry)
		return take_entry(symbols, entry, start, name);
	ask_more(symbols);
	if (symbols->parts && kb_code_parts__owner(symbols->parts, relative, &range)) {
		entry = symbol_in(symbols, &range, range.end - 1);
		if (entry)
			return take_entry(symbols, entry, start, name);
	}
	*start = range.start;
	entry = kb_symbol_table__before(&symbols->variants, range.start);
	if (entry && entry->start == range.start) {
		*name = kb_symbol_table__name(&symbols->variants, entry);
		return KB_FUNCTION_SYMBOL;
	}
	*name = method_at(symbols, range.start);
	return *name ? KB_FUNCTION_METHOD : KB_FUNCTION_RANGE;
}

enum kb_function_name kb_module_symbols__function(struct kb_module_symbols *symbols,
						  uint64_t relative, uint64_t *start,
						  const char **name)
{
	const struct kb_symbol_entry *entry = kb_symbol_table__find(&symbols->table, relative, 0);
	struct kb_unwind_function range;

	if (entry)
		return take_entry(symbols, entry, start, name);
	if (range_of(symbols, relative, &range))
		return unnamed(symbols, range, relative, start, name);
	/* Without ranges, a symbol without a size reaches up to the next one. */
	if (!symbols->ranges)
		entry = kb_symbol_table__find(&symbols->table, relative, UINT64_MAX);
	return entry ? take_entry(symbols, entry, start, name) : KB_FUNCTION_UNKNOWN;
}

const struct kb_symbol_entry *kb_module_symbols__named(const struct kb_module_symbols *symbols,
						       const char *linkage)
{
	return kb_symbol_table__named(&symbols->table, linkage);
}
