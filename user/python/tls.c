// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "python/decode.h"
#include "python/tls.h"
#include "system/arch.h"

static struct kb_tls from_getter(const struct kb_elf_file *file, const char *getter)
{
	struct kb_tls tls = { .kind = KB_TLS_NONE };
	struct kb_decode_value value;
	struct kb_elf_symbol symbol;

	if (!kb_elf_file__symbol(file, getter, &symbol) || !symbol.function ||
	    !kb_decode__result(file, symbol.address, &value) || !value.contents || value.width != 8)
		return tls;
	switch (value.where) {
	case KB_DECODE_THREAD:
		return (struct kb_tls){ .kind = KB_TLS_STATIC, .value = value.displacement };
	case KB_DECODE_THREAD_GOT:
		return (struct kb_tls){ .kind = KB_TLS_GOT,
					.value = (kb_s64)value.base,
					.displacement = (kb_s32)value.displacement };
	case KB_DECODE_TLS_PAIR:
		return (struct kb_tls){ .kind = KB_TLS_DYNAMIC,
					.value = (kb_s64)value.base,
					.displacement = (kb_s32)value.displacement };
	default:
		return tls;
	}
}

/*
 * The GOT pair of a library's own variable: its module word has a relocation, its offset
 * word is already in the file. A pair of offset 0 serves all of the library's variables.
 */
static struct kb_tls from_pairs(const struct kb_elf_file *file, uint64_t offset)
{
	struct kb_tls tls = { .kind = KB_TLS_NONE };
	struct kb_elf_relocation relocation;
	uint64_t word;

	for (size_t i = 0; kb_elf_file__relocation_at(file, i, &relocation); i++) {
		if (relocation.type != KB_ARCH_R_DTPMOD || relocation.has_symbol ||
		    !kb_elf_file__read(file, relocation.place + 8, &word, sizeof(word)))
			continue;
		if (word == offset || (!word && tls.kind == KB_TLS_NONE))
			tls = (struct kb_tls){ .kind = KB_TLS_DYNAMIC,
					       .value = (kb_s64)relocation.place,
					       .displacement = (kb_s32)(offset - word) };
		if (word == offset)
			break;
	}
	return tls;
}

static struct kb_tls from_variable(const struct kb_elf_file *file, const char *variable)
{
	struct kb_tls tls = { .kind = KB_TLS_NONE };
	struct kb_elf_symbol symbol;
	uint64_t size, align;

	if (!kb_elf_file__symbol(file, variable, &symbol) || !symbol.tls ||
	    !kb_elf_file__tls_block(file, &size, &align) || symbol.address > size)
		return tls;
	if (kb_elf_file__is_shared(file))
		return from_pairs(file, symbol.address);
	tls.kind = KB_TLS_STATIC;
	tls.value = kb_arch__tls_offset(symbol.address, size, align);
	return tls;
}

struct kb_tls kb_tls__find(const struct kb_elf_file *file, const char *getter, const char *variable)
{
	struct kb_tls tls = from_getter(file, getter);

	return tls.kind == KB_TLS_NONE ? from_variable(file, variable) : tls;
}
