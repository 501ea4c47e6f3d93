/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_INSPECT_CENSUS_H
#define KB_INSPECT_CENSUS_H

#include "base/strpool.h"
#include "keelback/census.h"
#include "python/heap.h"

/* A census as it is kept. */

struct kb_census_data {
	struct kb_census_process info;
	struct kb_census_type *types; /* info.n_types of them, and so on */
	struct kb_census_class *classes;
	struct kb_census_object *largest;
	struct kb_census_ledger *ledger;
};

struct kb_census {
	struct kb_strpool *strings;
	struct kb_census_data *processes;
	uint32_t n, capacity;
	unsigned largest;
};

/* A string of the census; a text that says so where there is no room for it. */
const char *kb_census__string(struct kb_census *census, const char *text);

/* Takes over what was read (census_heap.c). */
struct kb_error *kb_census__fill(struct kb_census *census, struct kb_census_data *data,
				 const struct kb_heap *heap);
void kb_census__free_data(struct kb_census_data *data);

#endif
