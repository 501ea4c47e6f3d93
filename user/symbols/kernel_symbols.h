/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_KERNEL_SYMBOLS_H
#define KB_SYMBOLS_KERNEL_SYMBOLS_H

#include "symbols/symbol_table.h"

/*
 * The functions of the running kernel, its modules and BPF programs, from a file of the format
 * of /proc/kallsyms, into an initialized table, which is closed. False: there are none, as when the
 * kernel shows all addresses as 0 (without CAP_SYSLOG, or with kernel.kptr_restrict = 2).
 */
bool kb_kernel_symbols__read(const char *path, struct kb_symbol_table *table);

#endif
