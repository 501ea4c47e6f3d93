/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_VARIANT_NAMES_H
#define KB_SYMBOLS_VARIANT_NAMES_H

#include "symbols/symbol_table.h"
#include "system/elf_file.h"

/*
 * Names of functions that exist in several variants for different processors, such as libc's
 * memcpy, of which stripped files name none: the symbol (STT_GNU_IFUNC) is that of a function which
 * chooses one. All variants are found among the addresses that it forms. Adds them to an
 * initialized table, by addresses relative to kb_elf_file__base(), without sizes. That an address
 * is the start of a function is left to the caller to check.
 */
void kb_variant_names__read(const struct kb_elf_file *file, struct kb_symbol_table *table);

#endif
