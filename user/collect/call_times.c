// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>
#include "base/error.h"
#include "collect/call_counter.h"
#include "format/function_table.h"
#include "format/sample_time.h"

/* What is taken off is a part of a sample. */
#define PARTS 256

/* A count's time, of which there may be less than none. */
struct scale {
	double per_second;
	int sign;
};

static struct kb_call_stats times(uint64_t direct, uint64_t cumulative, const struct scale *scale)
{
	return (struct kb_call_stats){
		.tottime = scale->sign * kb_sample_time__seconds(direct, scale->per_second),
		.cumtime = scale->sign * kb_sample_time__seconds(cumulative, scale->per_second),
	};
}

static uint32_t function_of(struct kb_calls *calls, const struct kb_label *label)
{
	return kb_calls__add_function(calls, *label->file ? label->file : "~",
				      *label->file ? label->number : 0,
				      kb_call_ingest__plain_name(label->name));
}

static struct kb_error *add_rows(struct kb_calls *calls, const struct kb_function_table *table,
				 const struct scale *scale, uint32_t *ids)
{
	for (uint32_t i = 0; i < table->n_rows; i++) {
		const struct kb_function_row *row = &table->rows[i];
		struct kb_call_stats stats = times(row->direct, row->cumulative, scale);

		ids[i] = function_of(calls, &row->label);
		if (ids[i] == KB_ID_NONE || !kb_calls__add_stats(calls, KB_ID_NONE, ids[i], &stats))
			return kb_failed("more functions than call statistics hold");
	}
	for (uint32_t i = 0; i < table->n_rows; i++) {
		const struct kb_function_row *row = &table->rows[i];

		for (uint32_t j = 0; j < row->n_callers; j++) {
			const struct kb_caller_row *caller = &table->callers[row->first_caller + j];
			struct kb_call_stats stats =
				times(caller->direct, caller->cumulative, scale);

			if (!kb_calls__add_edge(calls, KB_ID_NONE, ids[caller->caller], ids[i],
						&stats))
				return kb_failed("more callers than call statistics hold");
		}
	}
	return NULL;
}

static struct kb_error *add_tree(struct kb_calls *calls, const struct kb_tree *tree,
				 const struct scale *scale)
{
	struct kb_function_table *table;
	struct kb_error *err;
	uint32_t *ids;

	KB_TRY(kb_function_table__from_tree(tree, &table));
	ids = calloc((size_t)table->n_rows + 1, sizeof(*ids));
	err = ids ? add_rows(calls, table, scale, ids) : kb_error__no_memory();
	free(ids);
	kb_function_table__destroy(table);
	return err;
}

/* Makes of the samples in a tree those that are aftermath, in parts. */
static void keep_aftermath(struct kb_calls *calls, struct kb_tree *tree, const double *shares)
{
	tree->total = 0;
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		struct kb_tree_node *node = &tree->nodes[i];
		uint32_t function = function_of(calls, &tree->labels[node->label]);

		node->self = (uint64_t)llround((double)node->self * PARTS * shares[function]);
		node->total = node->self;
		tree->total += node->self;
	}
	/* In preorder: what lies below a node comes after it. */
	for (uint32_t i = tree->n_nodes; i-- > 0;)
		if (tree->nodes[i].parent != KB_ID_NONE)
			tree->nodes[tree->nodes[i].parent].total += tree->nodes[i].total;
}

static struct kb_error *take_off(struct kb_call_ingest *ingest, struct kb_tree *tree,
				 const struct kb_profile *profile,
				 const struct kb_call_aftermath *aftermath)
{
	double per_second = kb_sample_time__per_second(profile) * PARTS;
	struct scale scale = { per_second, -1 };
	double *shares = kb_call_aftermath__shares(ingest->calls, aftermath);

	if (!shares)
		return kb_error__no_memory();
	keep_aftermath(ingest->calls, tree, shares);
	free(shares);
	ingest->aftermath = (uint64_t)llround(kb_sample_time__seconds(tree->total, per_second) *
					      kb_sample_time__rate(profile));
	return add_tree(ingest->calls, tree, &scale);
}

struct kb_error *kb_call_ingest__add_times(struct kb_call_ingest *ingest,
					   const struct kb_profile *profile,
					   const struct kb_call_aftermath *(*measure)(void *),
					   void *context)
{
	struct scale scale = { kb_sample_time__per_second(profile), 1 };
	const struct kb_call_aftermath *aftermath;
	struct kb_tree_opts opts = {};
	struct kb_tree *tree;
	struct kb_error *err;

	KB_TRY(kb_tree__create(profile, &opts, &tree));
	err = add_tree(ingest->calls, tree, &scale);
	aftermath = err ? NULL : measure(context);
	if (aftermath)
		err = take_off(ingest, tree, profile, aftermath);
	kb_tree__destroy(tree);
	return err;
}
