/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_CODE_PARTS_H
#define KB_SYMBOLS_CODE_PARTS_H

#include "symbols/unwind_table.h"
#include "system/elf_file.h"

/*
 * Which function a moved-away part belongs to, in files without symbols. Compilers put what
 * was rare in training, or looks rare, into a range of its own far away ("function.cold"); in
 * builds with PGO that is nearly all of a function that training did not run. .eh_frame describes
 * such a part as if it were a function, but its frame is already set up where it begins: so it is
 * told from functions. It belongs to the function whose jumps go there and back.
 */
struct kb_code_parts;

/* NULL: no memory, or more code than is looked at (256 MB). The table must outlive it. */
struct kb_code_parts *kb_code_parts__find(const struct kb_elf_file *file,
					  const struct kb_unwind_table *table);
void kb_code_parts__free(struct kb_code_parts *parts);

/* The function that a relative address belongs to, when it lies in a part of one. */
bool kb_code_parts__owner(const struct kb_code_parts *parts, uint64_t relative,
			  struct kb_unwind_function *owner);

#endif
