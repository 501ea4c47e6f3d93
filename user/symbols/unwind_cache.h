/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_UNWIND_CACHE_H
#define KB_SYMBOLS_UNWIND_CACHE_H

#include <limits.h>
#include <stdbool.h>
#include "symbols/module.h"
#include "symbols/unwind_table.h"

/*
 * Unwind tables in files, one for each build id. What is read from here steers reads of other
 * processes' memory, so the directory must be the user's own and nobody else's to write: a
 * directory that is not is refused. Files appear by rename, whole. One that is cut short, damaged,
 * of another format or of another build id is removed and counts as absent.
 */
struct kb_unwind_cache;

/* 100 interpreters with their libraries; the least recently used files go when there are more. */
#define KB_UNWIND_CACHE_BYTES_MAX (256ull << 20)

/*
 * /var/cache/keelback/unwind for root, else $XDG_CACHE_HOME/keelback/unwind or
 * $HOME/.cache/keelback/unwind. False: there is no such place (HOME is not set, or not absolute).
 */
bool kb_unwind_cache__default_path(char path[PATH_MAX]);

/* Creates the directory with mode 0700. Fails when the directory cannot be made, is not the
 * caller's own or can be written by others; the text says which. */
struct kb_error *kb_unwind_cache__open(const char *path, uint64_t bytes_max,
				       struct kb_unwind_cache **cache);
void kb_unwind_cache__close(struct kb_unwind_cache *cache);

/* NULL: not in the cache. The caller destroys it. */
struct kb_unwind_table *kb_unwind_cache__load(struct kb_unwind_cache *cache,
					      const struct kb_module_id *id);
/* Ids that are no build ids are left out. Failures (disk full) are silent: the next run builds
 * again. */
void kb_unwind_cache__save(struct kb_unwind_cache *cache, const struct kb_module_id *id,
			   const struct kb_unwind_table *table);

#endif
