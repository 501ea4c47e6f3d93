/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_REFS_VIEW_H
#define KB_FORMAT_REFS_VIEW_H

#include "base/error.h"
#include "keelback/refs.h"

/* What of the objects is shown, and in which order: for the formats behind refs_format.c. */
struct kb_refs_view {
	const struct kb_refs *refs;
	const struct kb_refs_view_opts *opts;
	uint32_t *types; /* indices, in order */
	uint32_t n_types;
	uint32_t *rows;
	uint32_t n_rows;
	uint64_t created, destroyed, alive; /* of the types */
	bool created_only;		    /* destructions were not observed anywhere */
};

struct kb_error *kb_refs_view__create(const struct kb_refs *refs,
				      const struct kb_refs_view_opts *opts,
				      struct kb_refs_view *view);
void kb_refs_view__free(struct kb_refs_view *view);
/* What of these is ordered by. */
uint64_t kb_refs_view__amount(const struct kb_refs_view *view, uint64_t created, uint64_t destroyed,
			      uint64_t alive);

typedef struct kb_error *kb_refs_writer(const struct kb_refs_view *view, FILE *stream);
kb_refs_writer kb_refs_table__write;
kb_refs_writer kb_refs_json__write;
kb_refs_writer kb_refs_collapsed__write;

#endif
