/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_ELF_SYMBOLS_H
#define KB_SYMBOLS_ELF_SYMBOLS_H

#include "symbols/symbol_table.h"
#include "system/elf_file.h"

/* Where the functions of a file have their names from. */
enum kb_elf_symbols {
	KB_ELF_SYMBOLS_DYNAMIC,	 /* .dynsym alone: exported functions */
	KB_ELF_SYMBOLS_OWN,	 /* .symtab */
	KB_ELF_SYMBOLS_MINI,	 /* .gnu_debugdata and .dynsym: nearly all functions */
	KB_ELF_SYMBOLS_SEPARATE, /* .symtab of the separate debug file */
};

/*
 * Reads the functions of an ELF file into an initialized table, and closes it. Addresses are
 * relative to kb_elf_file__base(). `path` finds separate debug files (debug_file.h); debug_root
 * NULL: they, and .gnu_debugdata, are not looked for.
 */
enum kb_elf_symbols kb_elf_symbols__read(const struct kb_elf_file *file, const char *path,
					 const char *debug_root, struct kb_symbol_table *table);

#endif
