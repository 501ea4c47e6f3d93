// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "format/refs_view.h"

uint64_t kb_refs_view__amount(const struct kb_refs_view *view, uint64_t created, uint64_t destroyed,
			      uint64_t alive)
{
	enum kb_refs_order order = view->opts->order;

	return order == KB_REFS_BY_ALIVE       ? alive
	       : order == KB_REFS_BY_DESTROYED ? destroyed
					       : created;
}

/* More first; what is equal by the others, and then as it was met. */
static int compare(const struct kb_refs_view *view, const uint64_t a[3], const uint64_t b[3],
		   uint32_t first, uint32_t second)
{
	uint64_t m = kb_refs_view__amount(view, a[0], a[1], a[2]);
	uint64_t n = kb_refs_view__amount(view, b[0], b[1], b[2]);

	if (m == n) {
		m = a[0] + a[1];
		n = b[0] + b[1];
	}
	return m != n ? (m < n) - (m > n) : (first > second) - (first < second);
}

static int compare_types(const void *first, const void *second, void *context)
{
	const struct kb_refs_view *view = context;
	uint32_t i = *(const uint32_t *)first, j = *(const uint32_t *)second;
	const struct kb_refs_type *a = kb_refs__type(view->refs, i),
				  *b = kb_refs__type(view->refs, j);

	return compare(view, (uint64_t[]){ a->created, a->destroyed, a->alive },
		       (uint64_t[]){ b->created, b->destroyed, b->alive }, i, j);
}

static int compare_rows(const void *first, const void *second, void *context)
{
	const struct kb_refs_view *view = context;
	uint32_t i = *(const uint32_t *)first, j = *(const uint32_t *)second;
	const struct kb_refs_row *a = kb_refs__row(view->refs, i), *b = kb_refs__row(view->refs, j);

	return compare(view, (uint64_t[]){ a->created, a->destroyed, a->alive },
		       (uint64_t[]){ b->created, b->destroyed, b->alive }, i, j);
}

static bool shows(const struct kb_refs_view *view, uint32_t type)
{
	return !view->opts->type ||
	       !fnmatch(view->opts->type, kb_refs__type(view->refs, type)->name, 0);
}

struct kb_error *kb_refs_view__create(const struct kb_refs *refs,
				      const struct kb_refs_view_opts *opts,
				      struct kb_refs_view *view)
{
	*view = (struct kb_refs_view){ .refs = refs, .opts = opts, .created_only = true };
	view->types = calloc(kb_refs__n_types(refs) + 1, sizeof(*view->types));
	view->rows = calloc(kb_refs__n_rows(refs) + 1, sizeof(*view->rows));
	if (!view->types || !view->rows) {
		kb_refs_view__free(view);
		return kb_error__no_memory();
	}
	for (uint32_t i = 0; i < kb_refs__n_types(refs); i++) {
		const struct kb_refs_type *type = kb_refs__type(refs, i);

		if (!shows(view, i))
			continue;
		view->types[view->n_types++] = i;
		view->created += type->created;
		view->destroyed += type->destroyed;
		view->alive += type->alive;
	}
	for (uint32_t i = 0; i < kb_refs__n_rows(refs); i++)
		if (shows(view, kb_refs__row(refs, i)->type))
			view->rows[view->n_rows++] = i;
	for (uint32_t i = 0; i < kb_refs__n_processes(refs); i++)
		view->created_only &= kb_refs__process(refs, i)->created_only;
	qsort_r(view->types, view->n_types, sizeof(*view->types), compare_types, view);
	qsort_r(view->rows, view->n_rows, sizeof(*view->rows), compare_rows, view);
	return NULL;
}

void kb_refs_view__free(struct kb_refs_view *view)
{
	free(view->types);
	free(view->rows);
}
