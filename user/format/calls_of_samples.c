// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/error.h"
#include "format/calls_of_samples.h"
#include "format/pstats_names.h"
#include "format/sample_time.h"
#include "model/calls.h"

struct conversion {
	const struct kb_function_table *table;
	struct kb_calls *calls;
	double per_second; /* counts */
	bool of_time;
};

static struct kb_call_stats stats_of(const struct conversion *c, uint64_t direct,
				     uint64_t cumulative)
{
	return (struct kb_call_stats){
		.ncalls = c->of_time ? 0 : cumulative,
		.primitive = c->of_time ? 0 : direct,
		.tottime = kb_sample_time__seconds(direct, c->per_second),
		.cumtime = kb_sample_time__seconds(cumulative, c->per_second),
	};
}

static uint32_t add_label(const struct conversion *c, const struct kb_label *label)
{
	bool named = *label->file;

	return kb_calls__add_function(c->calls, named ? label->file : KB_PSTATS_FILE_OF_NAMES,
				      named && label->number > 0 ? label->number : 0, label->name);
}

static struct kb_error *full(void)
{
	return kb_failed("more functions and callers than call statistics hold");
}

static struct kb_error *convert(const struct conversion *c, uint32_t *ids)
{
	const struct kb_function_table *table = c->table;

	for (uint32_t i = 0; i < table->n_rows; i++) {
		const struct kb_function_row *row = &table->rows[i];
		struct kb_call_stats stats = stats_of(c, row->direct, row->cumulative);

		ids[i] = add_label(c, &row->label);
		if (ids[i] == KB_ID_NONE ||
		    !kb_calls__add_stats(c->calls, KB_ID_NONE, ids[i], &stats))
			return full();
	}
	for (uint32_t i = 0; i < table->n_rows; i++) {
		const struct kb_function_row *row = &table->rows[i];

		for (uint32_t j = 0; j < row->n_callers; j++) {
			const struct kb_caller_row *caller = &table->callers[row->first_caller + j];
			struct kb_call_stats stats =
				stats_of(c, caller->direct, caller->cumulative);

			if (!kb_calls__add_edge(c->calls, KB_ID_NONE, ids[caller->caller], ids[i],
						&stats))
				return full();
		}
	}
	return NULL;
}

static struct kb_error *create(const struct kb_profile *profile, struct kb_calls **calls)
{
	const struct kb_profile_meta *from = kb_profile__meta(profile);
	struct kb_calls_meta meta = {
		.size = sizeof(meta),
		.target = from->target,
		.host = from->host,
		.version = from->version,
		.start_unix_ns = from->start_unix_ns,
		.duration_ns = from->duration_ns,
		.timing = KB_CALLS_SAMPLED,
		.clock = from->mode == KB_MODE_WALL || from->mode == KB_MODE_GIL_WAIT
				 ? KB_CALLS_WALL
				 : KB_CALLS_CPU,
		.unit = KB_CALLS_SAMPLES,
		.incomplete = from->incomplete,
	};

	return kb_calls__create(&meta, calls);
}

static struct kb_error *add_ledger(const struct kb_profile *profile, struct kb_calls *calls)
{
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.count && !kb_calls__set_ledger(calls, &entry))
			return full();
	}
	return NULL;
}

struct kb_error *kb_calls__of_samples(const struct kb_profile *profile, enum kb_rows rows,
				      struct kb_calls **calls)
{
	struct conversion c = { .per_second = kb_sample_time__per_second(profile),
				.of_time = kb_profile__meta(profile)->unit == KB_UNIT_NS };
	struct kb_function_table *table;
	struct kb_error *err;
	uint32_t *ids;

	KB_TRY(kb_function_table__create(profile, rows, &table));
	ids = calloc((size_t)table->n_rows + 1, sizeof(*ids));
	err = ids ? create(profile, &c.calls) : kb_error__no_memory();
	c.table = table;
	if (!err)
		err = convert(&c, ids);
	if (!err)
		err = add_ledger(profile, c.calls);
	free(ids);
	kb_function_table__destroy(table);
	if (err) {
		kb_calls__destroy(c.calls);
		return err;
	}
	*calls = c.calls;
	return NULL;
}
