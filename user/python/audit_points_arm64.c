// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Compiled, not yet run: see docs/SUPPORT_MATRIX.md. */
#if defined(__aarch64__)
#include <stdio.h>
#include "python/audit_points.h"

uint64_t kb_audit_points__tstate_function(const struct kb_elf_file *elf)
{
	return 0;
}

bool kb_audit_points__stack_depth(const struct kb_elf_file *elf, uint64_t start, uint64_t address,
				  uint64_t *bytes)
{
	*bytes = 0;
	return start == address;
}

/* "x19", "[sp, 16]" or "[x29]". */
bool kb_audit_points__operand(const char *text, uint64_t *operand)
{
	unsigned int number = 31;
	int displacement = 0, end = 0;

	if (sscanf(text, "x%u%n", &number, &end) == 1 && !text[end]) {
		*operand = KB_AUDIT_OPERAND(KB_AUDIT_REGISTER, number, 0);
		return number < 31;
	}
	/* With a blank in it, which ends an operand elsewhere. */
	if (sscanf(text, "[x%u]%n", &number, &end) != 1 && sscanf(text, "[sp]%n", &end) != 0)
		return false;
	*operand = KB_AUDIT_OPERAND(KB_AUDIT_MEMORY, number, displacement);
	return end && !text[end] && number <= 31;
}

#endif
