/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_SYMBOL_TABLE_H
#define KB_SYMBOLS_SYMBOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/*
 * Names of address ranges: first everything is added, then the table is closed,
 * then it is asked. All zero is an empty, closed table.
 */
struct kb_symbol_entry {
	uint64_t start;
	uint64_t size; /* 0: not known, up to the next symbol */
	uint32_t name; /* offset in names */
};

struct kb_symbol_table {
	struct kb_symbol_entry *entries; /* ascending by start once closed */
	uint32_t n, capacity;
	struct kb_buf names;
	uint32_t n_left_out; /* a limit was reached, or a name was none */
	bool last_wins; /* of several names of one address the one that was added last is shown */
};

/* A browser's separate debug file has 1.5 million functions; the kernel with modules 0.25. */
#define KB_SYMBOLS_MAX	    (4u << 20)
#define KB_SYMBOL_NAMES_MAX (512u << 20)
/* Instantiated templates have some thousand characters. Longer names are left out. */
#define KB_SYMBOL_NAME_MAX 8192

void kb_symbol_table__init(struct kb_symbol_table *table);
void kb_symbol_table__free(struct kb_symbol_table *table);

/* What does not fit is counted and left out. */
void kb_symbol_table__add(struct kb_symbol_table *table, uint64_t start, uint64_t size,
			  const char *name, size_t length);
/* Sorts. Of several names of one address the plainest is shown ("read" of "__read" and
 * "__libc_read"), but for last_wins. */
void kb_symbol_table__close(struct kb_symbol_table *table);

/*
 * The symbol that contains an address, or NULL. Where symbols lie in one another, the one that
 * starts last. One without a size ends where the next symbol starts, or `size_limit` behind its
 * start.
 */
const struct kb_symbol_entry *kb_symbol_table__find(const struct kb_symbol_table *table,
						    uint64_t address, uint64_t size_limit);
/* The last symbol that does not start behind an address, whether it contains it or not; or NULL. */
const struct kb_symbol_entry *kb_symbol_table__before(const struct kb_symbol_table *table,
						      uint64_t address);
/* By name, or NULL. Looks at all of them. */
const struct kb_symbol_entry *kb_symbol_table__named(const struct kb_symbol_table *table,
						     const char *name);
const char *kb_symbol_table__name(const struct kb_symbol_table *table,
				  const struct kb_symbol_entry *entry);

#endif
