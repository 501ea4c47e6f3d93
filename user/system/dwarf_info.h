/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_DWARF_INFO_H
#define KB_SYSTEM_DWARF_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "system/elf_file.h"

/* Where in a structure a member lies, asked by name. */
struct kb_dwarf_query {
	const char *type;   /* tag of a structure or name of a typedef; NULL: a question that is not
			       asked */
	const char *member; /* may go through nested structures: "threads.head"; NULL: the size of
			       the type */
	bool found;
	uint64_t bits; /* offset, or size, in bits */
};

/*
 * Answers as many of the queries as it can from the debug information of an ELF
 * file, which is in the file or in a separate one: by build id below
 * /usr/lib/debug, or by .gnu_debuglink beside `path` (and then only with the same
 * build id). Nothing is fetched from the network.
 *
 * Only compilation units whose name ends with one of `sources` ("Python/ceval.c")
 * are looked into, in the order of the file: a whole interpreter has 300, and the five that
 * matter are read in milliseconds. False when there is no debug information at all.
 */
bool kb_dwarf_info__resolve(const struct kb_elf_file *file, const char *path,
			    const char *const *sources, size_t n_sources,
			    struct kb_dwarf_query *queries, size_t n_queries);

#endif
