// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/error.h"
#include "keelback/inspect.h"
#include "kernel/features.h"

struct kb_doctor {
	const struct kb_feature *features; /* static */
	size_t count;
};

struct kb_error *kb_doctor__probe(struct kb_doctor **doctor)
{
	struct kb_doctor *new = malloc(sizeof(*new));

	if (!new)
		return kb_error__no_memory();
	new->features = kb_features__probe(&new->count);
	*doctor = new;
	return NULL;
}

void kb_doctor__destroy(struct kb_doctor *doctor)
{
	free(doctor);
}

size_t kb_doctor__count(const struct kb_doctor *doctor)
{
	return doctor->count;
}

const struct kb_feature *kb_doctor__at(const struct kb_doctor *doctor, size_t index)
{
	return index < doctor->count ? &doctor->features[index] : NULL;
}
