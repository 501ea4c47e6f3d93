// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/error.h"
#include "python/probe_address.h"

/* The end of the function whose symbol is at `start`; 0: no symbol. */
static uint64_t symbol_end(const struct kb_elf_file *elf, uint64_t start)
{
	struct kb_elf_symbol symbol;
	const char *name;

	for (int symtab = 0; symtab < 2; symtab++)
		for (size_t i = 0; kb_elf_file__function_at(elf, symtab, i, &symbol, &name); i++)
			if (name && symbol.address == start && symbol.size)
				return start + symbol.size;
	return 0;
}

static uint64_t code_end(const struct kb_elf_file *elf, uint64_t start)
{
	struct kb_elf_segment segment;

	for (size_t i = 0; kb_elf_file__segment_at(elf, i, &segment); i++)
		if (segment.executable && start - segment.address < segment.size)
			return segment.address + segment.size;
	return 0;
}

struct kb_error *kb_probe_address__find(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
					kb_register_set intact, struct kb_probe_address *probe)
{
	uint64_t limit = code_end(elf, start);
	struct kb_code_map map = { 0 };
	struct kb_error *err;

	if (!limit)
		return kb_failed("0x%llx is no address of code", (unsigned long long)start);
	if (!end)
		end = symbol_end(elf, start);
	if (!end)
		end = start + KB_PROBE_FUNCTION_BYTES;
	err = kb_code_map__add_code(&map, elf, start, end < limit ? end : limit);
	kb_code_map__finish(&map);
	if (!err && !kb_probe_address__search(elf, &map, start, intact, probe))
		err = kb_unsupported("no place for a probe in code of this processor");
	kb_code_map__free(&map);
	return err;
}
