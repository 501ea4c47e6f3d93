/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_MODULE_SYMBOLS_H
#define KB_SYMBOLS_MODULE_SYMBOLS_H

#include "symbols/module.h"
#include "symbols/symbol_table.h"
#include "symbols/unwind_store.h"

/*
 * What the functions of one module are called. Symbols are read when it is made; what costs more,
 * and only stripped files need, when it is first asked for: the ranges of functions
 * (unwind_table.h), which function a part of one belongs to (code_parts.h), and the names that
 * Python has for functions (python/method_names.h).
 */
struct kb_module_symbols;

/* store: NULL: ranges are not known; debug_root: as for kb_elf_symbols__read(). NULL: no memory. */
struct kb_module_symbols *kb_module_symbols__create(const struct kb_module *module,
						    struct kb_unwind_store *store,
						    const char *debug_root);
void kb_module_symbols__destroy(struct kb_module_symbols *symbols);

enum kb_function_name {
	KB_FUNCTION_UNKNOWN, /* not even where it starts */
	KB_FUNCTION_RANGE,   /* where it starts, no name */
	KB_FUNCTION_SYMBOL,  /* a linkage name, of the file itself */
	KB_FUNCTION_DEBUG,   /* one of a debug file */
	KB_FUNCTION_METHOD,  /* what Python calls it */
};

/*
 * The function around a relative address: where it starts, and its name, which lives as long as the
 * symbols. A part that was moved away goes by the function that it belongs to, where that can be
 * told.
 */
enum kb_function_name kb_module_symbols__function(struct kb_module_symbols *symbols,
						  uint64_t relative, uint64_t *start,
						  const char **name);

/* The symbol of this linkage name, or NULL. */
const struct kb_symbol_entry *kb_module_symbols__named(const struct kb_module_symbols *symbols,
						       const char *linkage);

#endif
