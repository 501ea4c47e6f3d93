/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_UNWIND_TABLE_H
#define KB_SYMBOLS_UNWIND_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/native.h"
#include "keelback/error.h"
#include "system/elf_file.h"

/*
 * The unwind rows of one ELF file, from its .eh_frame. Addresses are relative to the
 * file's lowest PT_LOAD address.
 */

/* The largest file met in practice (a browser's) has 4 million rows; libpython 0.1 million. */
#define KB_UNWIND_ROWS_MAX	(8u << 20)
#define KB_UNWIND_FUNCTIONS_MAX (2u << 20)

/* What one FDE describes: a function, or the part of one that the compiler moved away. */
struct kb_unwind_function {
	uint32_t start, end;
};

struct kb_unwind_table {
	struct kb_unwind_row *rows; /* ascending, at least 2; the first has pc 0, the last is NONE
				     */
	uint32_t n_rows;
	struct kb_unwind_function *functions; /* ascending by start */
	uint32_t n_functions;
	uint32_t n_dropped; /* rows of the file that no rule can express; they are NONE here */
};

/*
 * Builds the table of a file. KB_STATUS_UNSUPPORTED: the file has no unwind information, or
 * tables cannot be built on this processor (only x86-64 so far); the text does not name the file.
 */
struct kb_error *kb_unwind_table__build(const struct kb_elf_file *file,
					struct kb_unwind_table **table);
void kb_unwind_table__destroy(struct kb_unwind_table *table);

/* The rule for a relative address. */
uint32_t kb_unwind_table__rule(const struct kb_unwind_table *table, uint64_t relative);

/*
 * The range of the function that contains an address, as the file's FDEs have it: works without
 * symbols, and for the `.cold` part of a function gives just that part. False: none.
 */
bool kb_unwind_table__function_range(const struct kb_unwind_table *table, uint64_t relative,
				     struct kb_unwind_function *function);

#endif
