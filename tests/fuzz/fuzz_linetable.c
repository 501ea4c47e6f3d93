// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Input: kind, first line (4 bytes), table. Runs must follow on each other and single look-ups
 * agree with them. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "python/linetable.h"

#define HEADER	5
#define LOOKUPS 64
#define KINDS	4 /* one more than there are */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
	uint32_t next;
	int32_t lines[LOOKUPS];
};

static void check_run(uint32_t start, uint32_t end, int32_t line, void *context)
{
	struct state *state = context;

	if (start != state->next || end < start || line < 0)
		abort();
	state->next = end;
	for (uint32_t unit = start; unit < end && unit < LOOKUPS; unit++)
		state->lines[unit] = line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state state = { 0 };
	int32_t first;

	if (size < HEADER)
		return 0;
	memcpy(&first, data + 1, sizeof(first));
	kb_linetable__each(data[0] % KINDS, data + HEADER, size - HEADER, first, check_run, &state);
	for (uint32_t unit = 0; unit < LOOKUPS; unit++)
		if (kb_linetable__line(data[0] % KINDS, data + HEADER, size - HEADER, first,
				       unit) != state.lines[unit])
			abort();
	return 0;
}
