// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__aarch64__)
#include "base/error.h"
#include "python/probe_address.h"

/* Not decoded yet: no place for a probe is found. */

int kb_register__argument(unsigned int index)
{
	return index < 8 ? (int)index : KB_REGISTER_NONE;
}

const char *kb_register__name(int number)
{
	return "?";
}

struct kb_error *kb_code_map__add_code(struct kb_code_map *map, const struct kb_elf_file *elf,
				       uint64_t start, uint64_t end)
{
	return kb_unsupported("no decoder for the code of this processor");
}

uint64_t kb_code__destination(const struct kb_elf_file *elf, uint64_t target)
{
	return target;
}

size_t kb_code__calls(const struct kb_elf_file *elf, uint64_t start, uint64_t end, uint64_t callee,
		      uint64_t *addresses, size_t max)
{
	return 0;
}

size_t kb_code__slot_calls(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
			   uint8_t slot, struct kb_code_slot_call *calls, size_t max)
{
	return 0;
}

bool kb_code__returns(const struct kb_elf_file *elf, uint64_t call)
{
	return false;
}

size_t kb_code__last_branches(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
			      int32_t displacement, uint64_t *addresses, size_t max)
{
	return 0;
}

uint64_t kb_code__first_call(const struct kb_elf_file *elf, uint64_t address, uint64_t *call)
{
	return 0;
}

size_t kb_code__checks(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
		       uint64_t variable, struct kb_code_check *checks, size_t max)
{
	return 0;
}

int kb_code__reads_below(const struct kb_elf_file *elf, uint64_t address)
{
	return KB_REGISTER_NONE;
}

struct kb_code_store kb_code__store_at(const struct kb_elf_file *elf, uint64_t address,
				       int64_t displacement)
{
	return (struct kb_code_store){ .base = KB_REGISTER_NONE, .value = KB_REGISTER_NONE };
}

struct kb_code_place kb_code__extends(const struct kb_elf_file *elf, uint64_t address)
{
	return (struct kb_code_place){ .number = KB_REGISTER_NONE };
}

bool kb_code__counter_checks(const struct kb_elf_file *elf, uint64_t start, kb_register_set intact,
			     uint64_t *addresses, size_t max, size_t *n)
{
	*n = 0;
	return false;
}

bool kb_probe_address__search(const struct kb_elf_file *elf, const struct kb_code_map *map,
			      uint64_t start, kb_register_set intact,
			      struct kb_probe_address *probe)
{
	return false;
}

#endif
