// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include "base/clock.h"
#include "format/gecko_rows.h"

static uint64_t nanoseconds(const struct kb_profile *profile, uint64_t count)
{
	double ns;

	if (kb_profile__meta(profile)->unit == KB_UNIT_NS)
		return count;
	ns = kb_profile__seconds(profile, count) * KB_NS_PER_SECOND;
	return ns < 9e18 ? (uint64_t)llround(ns) : INT64_MAX;
}

struct kb_gecko_rows kb_gecko_rows__of(const struct kb_gecko *gecko, uint32_t thread)
{
	return (struct kb_gecko_rows){ gecko, gecko->rows.first[thread],
				       gecko->rows.first[thread + 1], 0 };
}

bool kb_gecko_rows__next(struct kb_gecko_rows *rows, struct kb_gecko_row *row)
{
	const struct kb_gecko *gecko = rows->gecko;
	const struct kb_profile *profile = gecko->profile;
	uint32_t node, index;

	if (rows->at == rows->end)
		return false;
	index = gecko->rows.order[rows->at++];
	if (gecko->timeline) {
		const struct kb_moment *moment = &kb_profile__moments(profile)[index];

		*row = (struct kb_gecko_row){ .time_ns = moment->time_ns,
					      .count = moment->count,
					      .flags = moment->flags };
		node = moment->node;
	} else {
		const struct kb_sample *sample = &kb_profile__samples(profile)[index];

		*row = (struct kb_gecko_row){ .time_ns = rows->time_ns, .count = sample->count };
		node = sample->node;
	}
	row->ns = nanoseconds(profile, row->count);
	/* Without a rate a row is as long as any other. */
	rows->time_ns += row->ns ? row->ns : KB_NS_PER_MS;
	row->stack = gecko->stacks->stack_of_node[node];
	row->frame = kb_profile__nodes(profile)[node].frame;
	return true;
}
