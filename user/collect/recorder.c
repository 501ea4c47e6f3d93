// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "collect/recorder.h"
#include "model/window.h"

/* States of the ledger that are remembered: failures of a window are known to a part in so many of
 * it. */
#define LEDGERS 256
/* Stacks are forgotten when there are so many nodes, and twice as many as were left the last time.
 */
#define NODES_MANY (1u << 20)

struct past_ledger {
	uint64_t time_ns;
	uint64_t counts[KB_L_COUNT];
};

struct kb_recorder {
	uint64_t keep_ns;		     /* 0: everything */
	uint64_t now_ns;		     /* of the last drain */
	struct past_ledger ledgers[LEDGERS]; /* a ring, oldest at first */
	unsigned first, n;
	uint32_t nodes_many;
};

struct kb_error *kb_recorder__create(unsigned keep_s, struct kb_recorder **result)
{
	struct kb_recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return kb_error__no_memory();
	recorder->keep_ns = keep_s * KB_NS_PER_SECOND;
	recorder->nodes_many = NODES_MANY;
	*result = recorder;
	return NULL;
}

void kb_recorder__destroy(struct kb_recorder *recorder)
{
	free(recorder);
}

static const struct past_ledger *ledger_at(const struct kb_recorder *recorder, unsigned index)
{
	return &recorder->ledgers[(recorder->first + index) % LEDGERS];
}

/* When the window begins that is kept. */
static uint64_t kept_from(const struct kb_recorder *recorder)
{
	if (!recorder->keep_ns || recorder->now_ns < recorder->keep_ns)
		return 0;
	return recorder->now_ns - recorder->keep_ns;
}

static void remember_ledger(struct kb_recorder *recorder, const struct kb_profile *profile)
{
	uint64_t from = kept_from(recorder), now = recorder->now_ns;
	struct past_ledger *fresh;

	/* The newest one that is not in the window stays: failures since then are the window's. */
	while (recorder->n > 1 && ledger_at(recorder, 1)->time_ns <= from) {
		recorder->first = (recorder->first + 1) % LEDGERS;
		recorder->n--;
	}
	if (recorder->n &&
	    now - ledger_at(recorder, recorder->n - 1)->time_ns < recorder->keep_ns / (LEDGERS - 2))
		return;
	if (recorder->n == LEDGERS)
		return;
	fresh = (struct past_ledger *)ledger_at(recorder, recorder->n++);
	fresh->time_ns = now;
	for (size_t i = 0; i < KB_L_COUNT; i++)
		fresh->counts[i] = kb_profile__ledger_get(profile, i);
}

void kb_recorder__drained(struct kb_recorder *recorder, struct kb_profile *profile,
			  struct kb_ingest *ingest, uint64_t now_ns)
{
	recorder->now_ns = now_ns;
	if (!recorder->keep_ns)
		return;
	kb_profile__drop_moments(profile, kept_from(recorder));
	remember_ledger(recorder, profile);
	if (kb_profile__n_nodes(profile) < recorder->nodes_many)
		return;
	/* Without memory for it: tried again at the next drain; the profile has its own limit. */
	if (kb_ingest__forget_stacks(ingest))
		recorder->nodes_many = kb_profile__n_nodes(profile) * 2 > NODES_MANY
					       ? kb_profile__n_nodes(profile) * 2
					       : NODES_MANY;
}

struct kb_error *kb_recorder__last(const struct kb_recorder *recorder,
				   const struct kb_profile *profile, struct kb_profile **last)
{
	uint64_t from = kept_from(recorder), ledger[KB_L_COUNT];
	const struct past_ledger *before = NULL;

	if (recorder->n && ledger_at(recorder, 0)->time_ns <= from)
		before = ledger_at(recorder, 0);
	for (size_t i = 0; i < KB_L_COUNT; i++)
		ledger[i] = kb_profile__ledger_get(profile, i) - (before ? before->counts[i] : 0);
	/* What a CPU noted while the last drain read is part of it. */
	return kb_profile__window(profile, from, UINT64_MAX, ledger, last);
}
