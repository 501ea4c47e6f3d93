// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/calls_private.h"
#include "model/text_pool.h"

struct kb_error *kb_calls__set_chosen(struct kb_calls *calls, uint32_t index,
				      const struct kb_calls_chosen *chosen)
{
	struct kb_calls_chosen copy = *chosen;
	uint64_t *buckets;

	if (index > calls->n_chosen || index >= KB_CALLS_CHOSEN_MAX ||
	    copy.n_buckets > KB_CALLS_BUCKETS_MAX)
		return kb_failed("more chosen functions than call statistics hold");
	buckets = calloc(copy.n_buckets + 1, sizeof(*buckets));
	copy.size = sizeof(copy);
	copy.name = kb_text_pool__intern(calls->strings, chosen->name);
	copy.remark = kb_text_pool__intern(calls->strings, chosen->remark);
	if (!buckets || !copy.name || !copy.remark) {
		free(buckets);
		return kb_error__no_memory();
	}
	if (copy.n_buckets)
		memcpy(buckets, chosen->buckets, copy.n_buckets * sizeof(*buckets));
	copy.buckets = buckets;
	if (index < calls->n_chosen)
		free((void *)calls->chosen[index].buckets);
	else
		calls->n_chosen++;
	calls->chosen[index] = copy;
	return NULL;
}

void kb_calls__free_chosen(struct kb_calls *calls)
{
	for (uint32_t i = 0; i < calls->n_chosen; i++)
		free((void *)calls->chosen[i].buckets);
}

uint32_t kb_calls__n_chosen(const struct kb_calls *calls)
{
	return calls->n_chosen;
}

const struct kb_calls_chosen *kb_calls__chosen(const struct kb_calls *calls, uint32_t index)
{
	return index < calls->n_chosen ? &calls->chosen[index] : NULL;
}

double kb_calls_chosen__bucket_start(uint32_t bucket)
{
	double quarter = (double)(bucket % KB_CALLS_BUCKETS_PER_OCTAVE);

	return KB_CALLS_SECONDS(ldexp(1 + quarter / KB_CALLS_BUCKETS_PER_OCTAVE,
				      (int)(bucket / KB_CALLS_BUCKETS_PER_OCTAVE)));
}

double kb_calls_chosen__quantile(const struct kb_calls_chosen *chosen, double share)
{
	double wanted = 0, before = 0;

	for (uint32_t i = 0; i < chosen->n_buckets; i++)
		wanted += (double)chosen->buckets[i] * share;
	for (uint32_t i = 0; i < chosen->n_buckets; i++) {
		double n = (double)chosen->buckets[i];
		double start = kb_calls_chosen__bucket_start(i);

		/* As if they were spread evenly in the bucket. */
		if (n > 0 && before + n >= wanted)
			return start + (kb_calls_chosen__bucket_start(i + 1) - start) *
					       (wanted - before) / n;
		before += n;
	}
	return 0;
}
