/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_NATIVE_TABLE_H
#define KB_COLLECT_NATIVE_TABLE_H

#include "kernel/native_maps.h"
#include "symbols/unwind_table.h"

/*
 * An unwind table as the kernel searches it (bpf/shared/mappings.h). It has more rows than
 * the table: one at the start of every function, so that a row never lies in two, and the
 * kernel can give the row for the instruction.
 */
struct kb_native_table {
	union kb_native_element *elements;
	uint32_t n;
};

/* Rows of one table: 64 MB. Beyond are only files that no unwinder should be asked for. */
#define KB_NATIVE_ELEMENTS_MAX (8u << 20)

struct kb_error *kb_native_table__pack(const struct kb_unwind_table *table,
				       struct kb_native_table *packed);
void kb_native_table__free(struct kb_native_table *packed);

#endif
