// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "python/decode.h"
#include "symbols/variant_names.h"

/* glibc has 70 in libc and 50 in libm, with up to 10 variants. */
#define CHOOSERS_MAX 1024
#define VARIANTS_MAX 32

void kb_variant_names__read(const struct kb_elf_file *file, struct kb_symbol_table *table)
{
	uint64_t base = kb_elf_file__base(file), variants[VARIANTS_MAX];
	struct kb_elf_symbol symbol;
	const char *name;
	int choosers = 0;

	for (size_t i = 1; kb_elf_file__function_at(file, false, i, &symbol, &name); i++) {
		size_t n;

		if (!name || symbol.function)
			continue;
		if (++choosers > CHOOSERS_MAX)
			return;
		n = kb_decode__addresses(file, symbol.address, symbol.size, variants, VARIANTS_MAX);
		for (size_t j = 0; j < n; j++)
			if (variants[j] >= base)
				kb_symbol_table__add(table, variants[j] - base, 0, name,
						     strlen(name));
	}
}
