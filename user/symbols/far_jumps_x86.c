// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__x86_64__)

#include <string.h>
#include "symbols/far_jumps.h"

/* Intel SDM, volume 2: JMP rel32 (e9), Jcc rel32 (0f 80 to 0f 8f). */
static uint32_t length_at(const uint8_t *code)
{
	return code[0] == 0xe9 ? 5 : code[0] == 0x0f && (code[1] & 0xf0) == 0x80 ? 6 : 0;
}

void kb_far_jumps__find(const uint8_t *code, uint32_t size, kb_far_jump_fn *take, void *context)
{
	for (uint32_t i = 0; i + KB_FAR_JUMP_BYTES <= size; i++) {
		uint32_t length = length_at(code + i);
		int32_t distance;

		if (!length)
			continue;
		memcpy(&distance, code + i + length - sizeof(distance), sizeof(distance));
		take(context, i, (int64_t)i + length + distance);
	}
}

#endif
