// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifdef __x86_64__
#include <string.h>
#include "python/code_scan.h"

#define FUNCTION_BYTES_MAX 4096 /* allocate_from_new_pool() has 860 to 1,250 */
#define CALLERS_MIN	   16	/* 171 to 217 where it is called by inlined code, else 2 to 4 */

static int32_t displacement(const uint8_t *at)
{
	int32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

size_t kb_code_scan__references(const struct kb_code *code, uint64_t address)
{
	size_t n = 0;

	/* ModRM with mod 0 and rm 5, which stands before the displacement, is not looked at: that
	 * it ends at the address is rare enough. */
	for (size_t i = 0; i + 4 <= code->size; i++)
		n += code->address + i + 4 + (int64_t)displacement(code->bytes + i) == address;
	return n;
}

/* CALL and JMP through memory (FF /2, FF /4) and CMP with memory (39, 3B, 83 /7 and 81 /7). */
static int uses(uint8_t opcode, uint8_t modrm)
{
	uint8_t reg = modrm >> 3 & 7;

	if ((modrm & 0xc0) != 0x80)
		return 0;
	return (opcode == 0xff && (reg == 2 || reg == 4)) || opcode == 0x39 || opcode == 0x3b ||
	       ((opcode == 0x83 || opcode == 0x81) && reg == 7);
}

size_t kb_code_scan__uses_at_offset(const struct kb_code *code, int32_t offset)
{
	size_t n = 0;

	for (size_t i = 2; i + 4 <= code->size; i++)
		n += displacement(code->bytes + i) == offset &&
		     uses(code->bytes[i - 2], code->bytes[i - 1]);
	return n;
}

/* Finds movl $0xffff,0x24(reg) from *at on. */
static int find_store(const struct kb_code *code, size_t *at)
{
	static const uint8_t tail[] = { 0x24, 0xff, 0xff, 0, 0 };

	for (size_t i = *at; i + 8 <= code->size; i++) {
		const uint8_t *bytes = code->bytes + i;
		size_t modrm = 1 + (bytes[1] == 0x44); /* with a SIB byte: rsp or r12 */

		if (bytes[0] == 0xc7 && (bytes[1] & 0xf8) == 0x40 &&
		    !memcmp(bytes + 1 + modrm, tail, sizeof(tail))) {
			*at = i;
			return 1;
		}
	}
	return 0;
}

uint64_t kb_code_scan__new_pool(const struct kb_code *code)
{
	uint16_t callers[FUNCTION_BYTES_MAX] = {};
	uint64_t store, start;
	size_t at = 0;

	if (!find_store(code, &at))
		return 0;
	store = code->address + at;
	start = store - FUNCTION_BYTES_MAX + 1;
	for (size_t i = 0; i + 5 <= code->size; i++) {
		uint64_t target;

		if (code->bytes[i] != 0xe8)
			continue;
		target = code->address + i + 5 + (int64_t)displacement(code->bytes + i + 1);
		if (target - start < FUNCTION_BYTES_MAX && callers[target - start] < UINT16_MAX)
			callers[target - start]++;
	}
	for (size_t i = FUNCTION_BYTES_MAX; i-- > 0;)
		if (callers[i] >= CALLERS_MIN)
			return start + i;
	return 0;
}
#endif
