// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "symbols/unwind_cache.h"
#include "symbols/unwind_store.h"

struct slot {
	struct kb_unwind_table *table;
	uint32_t references;
	char *failure; /* why there is no table, or NULL */
	enum kb_status status;
};

struct kb_unwind_store {
	struct kb_unwind_cache *cache; /* NULL: none */
	struct slot *slots;	       /* by module index */
	uint32_t n_slots;
	struct kb_unwind_store_stats stats;
};

/* Without a cache everything works, only slower. */
static void open_cache(struct kb_unwind_store *store, const struct kb_unwind_store_opts *opts)
{
	char path[PATH_MAX];
	struct kb_error *err;

	if (!opts->cache_path && !kb_unwind_cache__default_path(path))
		return;
	err = kb_unwind_cache__open(opts->cache_path ? opts->cache_path : path,
				    KB_UNWIND_CACHE_BYTES_MAX, &store->cache);
	if (err)
		kb_warn("unwind tables are not kept for the next time: %s", kb_error__text(err));
	kb_error__destroy(err);
}

struct kb_error *kb_unwind_store__create(const struct kb_unwind_store_opts *opts,
					 struct kb_unwind_store **store)
{
	struct kb_unwind_store_opts own = { 0 };
	struct kb_unwind_store *made;

	if (opts)
		KB_TRY(KB_COPY_OPTIONS(&own, opts));
	made = calloc(1, sizeof(*made));
	if (!made)
		return kb_error__no_memory();
	if (!own.no_cache)
		open_cache(made, &own);
	*store = made;
	return NULL;
}

void kb_unwind_store__destroy(struct kb_unwind_store *store)
{
	if (!store)
		return;
	for (uint32_t i = 0; i < store->n_slots; i++) {
		kb_unwind_table__destroy(store->slots[i].table);
		free(store->slots[i].failure);
	}
	kb_unwind_cache__close(store->cache);
	free(store->slots);
	free(store);
}

static struct slot *slot_of(struct kb_unwind_store *store, uint32_t index)
{
	uint32_t n = index + 1 + index / 2;
	struct slot *slots;

	if (index < store->n_slots)
		return &store->slots[index];
	slots = reallocarray(store->slots, n, sizeof(*slots));
	if (!slots)
		return NULL;
	memset(slots + store->n_slots, 0, (n - store->n_slots) * sizeof(*slots));
	store->slots = slots;
	store->n_slots = n;
	return &slots[index];
}

static struct kb_error *make_table(struct kb_unwind_store *store, const struct kb_module *module,
				   struct kb_unwind_table **table)
{
	const struct kb_module_id *id = kb_module__id(module);
	uint64_t start = kb_now(CLOCK_MONOTONIC);

	if (store->cache)
		*table = kb_unwind_cache__load(store->cache, id);
	if (*table) {
		store->stats.cached++;
		return NULL;
	}
	KB_TRY(kb_unwind_table__build(kb_module__elf(module), table));
	store->stats.built++;
	store->stats.build_ns += kb_now(CLOCK_MONOTONIC) - start;
	if (store->cache)
		kb_unwind_cache__save(store->cache, id, *table);
	return NULL;
}

struct kb_error *kb_unwind_store__get(struct kb_unwind_store *store, const struct kb_module *module,
				      const struct kb_unwind_table **table)
{
	struct slot *slot = slot_of(store, kb_module__index(module));
	struct kb_error *err;

	if (!slot)
		return kb_error__no_memory();
	if (slot->failure)
		return kb_error__create(slot->status, "%s", slot->failure);
	if (!slot->table) {
		err = make_table(store, module, &slot->table);
		if (err) {
			store->stats.failed++;
			slot->status = kb_error__status(err);
			slot->failure = strdup(kb_error__text(err));
			return err;
		}
		store->stats.held++;
		store->stats.rows += slot->table->n_rows;
	}
	slot->references++;
	*table = slot->table;
	return NULL;
}

void kb_unwind_store__put(struct kb_unwind_store *store, const struct kb_module *module)
{
	struct slot *slot = slot_of(store, kb_module__index(module));

	if (!slot || !slot->references || --slot->references)
		return;
	store->stats.held--;
	store->stats.rows -= slot->table->n_rows;
	kb_unwind_table__destroy(slot->table);
	slot->table = NULL;
}

void kb_unwind_store__stats(const struct kb_unwind_store *store,
			    struct kb_unwind_store_stats *stats)
{
	*stats = store->stats;
}
