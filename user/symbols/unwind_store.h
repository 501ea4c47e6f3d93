/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_UNWIND_STORE_H
#define KB_SYMBOLS_UNWIND_STORE_H

#include "symbols/module.h"
#include "symbols/unwind_table.h"

/*
 * Unwind tables by module, one for all processes that have it mapped, counted by reference. A
 * table comes from the on-disk cache when its build id is there, else from the file, and is
 * then put there.
 */
struct kb_unwind_store;

struct kb_unwind_store_opts {
	size_t size;		/* of this struct */
	const char *cache_path; /* directory; NULL: kb_unwind_cache__default_path() */
	bool no_cache;		/* neither read nor write files */
};

/* A cache that cannot be used (see unwind_cache.h) is no error: tables are built every time, and a
 * warning says why. */
struct kb_error *kb_unwind_store__create(const struct kb_unwind_store_opts *opts,
					 struct kb_unwind_store **store);
/* Frees tables that are still held, too. */
void kb_unwind_store__destroy(struct kb_unwind_store *store);

/*
 * The table of a module, which stays valid until its last put. Errors as of
 * kb_unwind_table__build(); what failed once fails again without another look at the file.
 */
struct kb_error *kb_unwind_store__get(struct kb_unwind_store *store, const struct kb_module *module,
				      const struct kb_unwind_table **table);
void kb_unwind_store__put(struct kb_unwind_store *store, const struct kb_module *module);

/* For reports: tables in memory, how many of all were built, how many read from the cache. */
struct kb_unwind_store_stats {
	uint32_t held, built, cached, failed;
	uint64_t rows; /* of the tables held */
	uint64_t build_ns;
};
void kb_unwind_store__stats(const struct kb_unwind_store *store,
			    struct kb_unwind_store_stats *stats);

#endif
