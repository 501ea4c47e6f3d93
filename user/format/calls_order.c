// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/regex.h"
#include "format/calls_order.h"
#include "format/calls_restriction.h"
#include "format/calls_sort.h"
#include "format/pstats_names.h"

static struct kb_error *make_names(const struct kb_calls *calls, struct kb_calls_order *order)
{
	order->n_names = kb_calls__n_functions(calls);
	order->names = calloc((size_t)order->n_names + 1, sizeof(*order->names));
	order->ids = calloc((size_t)kb_calls__n_listed(calls) + 1, sizeof(*order->ids));
	if (!order->names || !order->ids)
		return kb_error__no_memory();
	order->n = kb_calls__n_listed(calls);
	for (uint32_t i = 0; i < order->n; i++) {
		uint32_t id = kb_calls__listed(calls)[i];

		order->ids[i] = id;
		order->names[id] = kb_pstats_name(kb_calls__function(calls, id));
		if (!order->names[id])
			return kb_error__no_memory();
	}
	return NULL;
}

static struct kb_error *sort(const struct kb_calls *calls, const struct kb_calls_format_opts *opts,
			     struct kb_calls_order *order, FILE *message)
{
	struct kb_calls_sorting sorting;

	if (!opts->sort) {
		fputs("   Random listing order was used\n", message);
		return NULL;
	}
	KB_TRY(kb_calls_sorting__parse(opts->sort, &sorting));
	if (!kb_calls_sorting__sort(&sorting, calls, order->names, order->ids, order->n))
		return kb_error__no_memory();
	for (uint32_t i = 0; opts->reverse && i < order->n / 2; i++) {
		uint32_t *other = &order->ids[order->n - 1 - i], id = order->ids[i];

		order->ids[i] = *other;
		*other = id;
	}
	fputs("   Ordered by: ", message);
	kb_calls_sorting__describe(&sorting, message);
	putc('\n', message);
	return NULL;
}

/* ---- restrictions: pstats' eval_print_amount() */

static struct kb_error *keep_matching(const struct kb_calls_restriction *restriction,
				      struct kb_calls_order *order, FILE *message)
{
	struct kb_error *err;
	struct kb_regex *regex;
	uint32_t n = 0;

	err = kb_regex__create(restriction->pattern, &regex);
	if (err) {
		kb_error__destroy(err);
		fputs("   <Invalid regular expression ", message);
		kb_calls_restriction__repr(restriction, message);
		fputs(">\n", message);
		return NULL;
	}
	for (uint32_t i = 0; i < order->n && !err; i++) {
		bool found = false;

		err = kb_regex__search(regex, order->names[order->ids[i]], &found);
		if (found)
			order->ids[n++] = order->ids[i];
	}
	kb_regex__destroy(regex);
	order->n = n;
	return err;
}

static struct kb_error *restrict_by(const char *text, struct kb_calls_order *order, FILE *message)
{
	struct kb_calls_restriction restriction;
	uint32_t before = order->n;

	KB_TRY(kb_calls_restriction__parse(text, &restriction));
	if (restriction.kind == KB_RESTRICT_PATTERN)
		KB_TRY(keep_matching(&restriction, order, message));
	else if (restriction.kind == KB_RESTRICT_FRACTION && restriction.fraction < 1)
		order->n = (uint32_t)(order->n * restriction.fraction + .5);
	else if (restriction.kind == KB_RESTRICT_COUNT && restriction.count >= 0 &&
		 restriction.count < order->n)
		order->n = (uint32_t)restriction.count;
	if (order->n == before)
		return NULL;
	fprintf(message, "   List reduced from %" PRIu32 " to %" PRIu32 " due to restriction <",
		before, order->n);
	kb_calls_restriction__repr(&restriction, message);
	fputs(">\n", message);
	return NULL;
}

static struct kb_error *make(const struct kb_calls *calls, const struct kb_calls_format_opts *opts,
			     struct kb_calls_order *order, FILE *message)
{
	KB_TRY(make_names(calls, order));
	KB_TRY(sort(calls, opts, order, message));
	for (size_t i = 0; i < opts->n_restrictions; i++)
		KB_TRY(restrict_by(opts->restrictions[i], order, message));
	return NULL;
}

struct kb_error *kb_calls_order__create(const struct kb_calls *calls,
					const struct kb_calls_format_opts *opts,
					struct kb_calls_order *order)
{
	struct kb_calls_order fresh = {};
	struct kb_error *err;
	size_t size;
	FILE *message = open_memstream(&fresh.message, &size);

	if (!message)
		return kb_error__no_memory();
	err = make(calls, opts, &fresh, message);
	if (fclose(message) && !err)
		err = kb_error__no_memory();
	if (err) {
		kb_calls_order__free(&fresh);
		return err;
	}
	*order = fresh;
	return NULL;
}

void kb_calls_order__free(struct kb_calls_order *order)
{
	for (uint32_t i = 0; order->names && i < order->n_names; i++)
		free(order->names[i]);
	free(order->names);
	free(order->ids);
	free(order->message);
	*order = (struct kb_calls_order){};
}
