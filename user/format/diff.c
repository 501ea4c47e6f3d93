// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "format/diff.h"
#include "format/function_table.h"

/* Rates that differ by less are the same: clocks of hardware are not exact. */
#define RATE_TOLERANCE 0.005

static const char *mode_name(const struct kb_profile_meta *meta)
{
	const char *name = kb_sample_mode__name(meta->mode);

	return name ? name : "unknown";
}

static const char *unit_name(const struct kb_profile_meta *meta)
{
	return meta->unit == KB_UNIT_NS ? "nanoseconds" : "samples";
}

static bool same_rate(double a, double b)
{
	return a == b || fabs(a - b) <= RATE_TOLERANCE * fmax(a, b);
}

struct kb_error *kb_diff__check(const struct kb_profile *before, const struct kb_profile *after)
{
	const struct kb_profile_meta *old = kb_profile__meta(before);
	const struct kb_profile_meta *now = kb_profile__meta(after);

	if (old->mode != now->mode)
		return kb_usage("cannot be compared: the old profile's mode is %s, the new one's "
				"is %s",
				mode_name(old), mode_name(now));
	if (old->unit != now->unit)
		return kb_usage("cannot be compared: the old profile's unit is %s, the new one's "
				"is %s",
				unit_name(old), unit_name(now));
	if (!same_rate(old->rate_hz, now->rate_hz))
		return kb_usage("cannot be compared: the old profile's rate is %g Hz, the new "
				"one's is %g Hz",
				old->rate_hz, now->rate_hz);
	return NULL;
}

double kb_diff__share(uint64_t count, uint64_t total)
{
	return total ? (double)count / (double)total : 0;
}

double kb_diff__self_change(const struct kb_diff *diff, const struct kb_diff_row *row)
{
	return kb_diff__share(row->after.self, diff->after_total) -
	       kb_diff__share(row->before.self, diff->before_total);
}

double kb_diff__total_change(const struct kb_diff *diff, const struct kb_diff_row *row)
{
	return kb_diff__share(row->after.total, diff->after_total) -
	       kb_diff__share(row->before.total, diff->before_total);
}

static enum kb_frame_kind kind_of(const struct kb_label *label)
{
	switch (label->kind) {
	case KB_LABEL_NATIVE:
		return KB_FRAME_NATIVE;
	case KB_LABEL_KERNEL:
		return KB_FRAME_KERNEL;
	case KB_LABEL_FRAME:
		return KB_FRAME_PYTHON;
	default:
		return KB_FRAME_MARKER;
	}
}

/* Rows that changed alike stay in the order of the table, which is that of their names. */
static int compare_rows(const void *a, const void *b, void *arg)
{
	double x = fabs(kb_diff__self_change(arg, a)), y = fabs(kb_diff__self_change(arg, b));
	const struct kb_diff_row *row = a, *other = b;

	if (x != y)
		return x > y ? -1 : 1;
	x = fabs(kb_diff__total_change(arg, a));
	y = fabs(kb_diff__total_change(arg, b));
	if (x != y)
		return x > y ? -1 : 1;
	return strcmp(row->name, other->name) ?: strcmp(row->file, other->file);
}

static struct kb_error *fill(struct kb_diff *diff, const struct kb_function_table *table)
{
	diff->before_total = table->baseline_total;
	diff->after_total = table->total;
	diff->rows = calloc(table->n_rows + 1, sizeof(*diff->rows));
	if (!diff->rows)
		return kb_error__no_memory();
	diff->n_rows = table->n_rows;
	for (uint32_t i = 0; i < table->n_rows; i++) {
		const struct kb_function_row *row = &table->rows[i];

		diff->rows[i] = (struct kb_diff_row){
			.kind = kind_of(&row->label),
			.name = row->label.name,
			.file = row->label.file,
			.first_line = row->label.number,
			.before = { row->baseline.self, row->baseline.total },
			.after = { row->direct, row->cumulative },
		};
	}
	qsort_r(diff->rows, diff->n_rows, sizeof(*diff->rows), compare_rows, diff);
	return NULL;
}

static struct kb_error *compare(struct kb_diff *diff)
{
	struct kb_tree_opts opts = { .by_name = true, .baseline = diff->before };
	struct kb_function_table *table;
	struct kb_tree *tree;
	struct kb_error *err;

	KB_TRY(kb_tree__create(diff->after, &opts, &tree));
	err = kb_function_table__from_tree(tree, &table);
	kb_tree__destroy(tree);
	if (err)
		return err;
	err = fill(diff, table);
	kb_function_table__destroy(table);
	return err;
}

struct kb_error *kb_diff__create(const struct kb_profile *before, const struct kb_profile *after,
				 struct kb_diff **result)
{
	struct kb_diff *diff;
	struct kb_error *err;

	KB_TRY(kb_diff__check(before, after));
	diff = calloc(1, sizeof(*diff));
	if (!diff)
		return kb_error__no_memory();
	diff->before = before;
	diff->after = after;
	err = compare(diff);
	if (err)
		kb_diff__destroy(diff);
	else
		*result = diff;
	return err;
}

void kb_diff__destroy(struct kb_diff *diff)
{
	if (!diff)
		return;
	free(diff->rows);
	free(diff);
}

uint32_t kb_diff__n_rows(const struct kb_diff *diff)
{
	return diff->n_rows;
}

const struct kb_diff_row *kb_diff__row(const struct kb_diff *diff, uint32_t index)
{
	return &diff->rows[index];
}
