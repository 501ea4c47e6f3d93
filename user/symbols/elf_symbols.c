// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "symbols/elf_symbols.h"
#include "system/debug_file.h"

/* Fedora's largest .gnu_debugdata has 2 MB and unpacks to 12. */
#define PACKED_MAX   (16u << 20)
#define UNPACKED_MAX (128u << 20)
#define LZMA_MEMORY  (256u << 20)

struct target {
	struct kb_symbol_table *table;
	uint64_t base; /* of the file itself: a debug file's segments may say something else */
};

static void take_functions(const struct target *target, const struct kb_elf_file *file, bool symtab)
{
	struct kb_elf_symbol symbol;
	const char *name;

	for (size_t i = 1; kb_elf_file__function_at(file, symtab, i, &symbol, &name); i++)
		if (name && symbol.function && symbol.address >= target->base)
			kb_symbol_table__add(target->table, symbol.address - target->base,
					     symbol.size, name, strlen(name));
}

static bool take_separate(const struct kb_elf_file *debug, void *target)
{
	if (!kb_elf_file__has_symtab(debug))
		return false;
	take_functions(target, debug, true);
	return true;
}

/* ---------------------------------------------------------------- .gnu_debugdata */

/* Unpacks one .xz stream; NULL when it is damaged or too large. */
static uint8_t *unpack(const uint8_t *packed, size_t packed_size, size_t *size)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	uint8_t *out = malloc(UNPACKED_MAX), *fitted;
	bool whole = false;

	/* Memory that is not written is not taken from the machine. */
	if (out && lzma_stream_decoder(&stream, LZMA_MEMORY, 0) == LZMA_OK) {
		stream.next_in = packed;
		stream.avail_in = packed_size;
		stream.next_out = out;
		stream.avail_out = UNPACKED_MAX;
		whole = lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END;
		*size = UNPACKED_MAX - stream.avail_out;
	}
	lzma_end(&stream);
	if (!whole) {
		free(out);
		return NULL;
	}
	fitted = realloc(out, *size ? *size : 1);
	return fitted ? fitted : out;
}

static int as_file(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("debugdata", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, bytes, size) != (ssize_t)size) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * An ELF file packed into a section: the symbols of functions that .dynsym does not have
 * ("MiniDebugInfo", binutils and GDB manuals; Fedora packages carry it).
 */
static bool take_mini(const struct target *target, const struct kb_elf_file *file)
{
	struct kb_elf_file *mini = NULL;
	struct kb_elf_section section;
	uint8_t *packed, *bytes = NULL;
	size_t size = 0;
	bool found;
	int fd = -1;

	if (!kb_elf_file__section(file, ".gnu_debugdata", &section) || section.size > PACKED_MAX ||
	    !(packed = malloc(section.size ? section.size : 1)))
		return false;
	if (kb_elf_file__read_offset(file, section.offset, packed, section.size))
		bytes = unpack(packed, section.size, &size);
	free(packed);
	if (bytes)
		fd = as_file(bytes, size);
	free(bytes);
	if (fd < 0)
		return false;
	kb_error__destroy(kb_elf_file__open(fd, &mini));
	found = mini && kb_elf_file__has_symtab(mini);
	if (found)
		take_functions(target, mini, true);
	kb_elf_file__close(mini);
	close(fd);
	return found;
}

enum kb_elf_symbols kb_elf_symbols__read(const struct kb_elf_file *file, const char *path,
					 const char *debug_root, struct kb_symbol_table *table)
{
	struct target target = { table, kb_elf_file__base(file) };
	enum kb_elf_symbols source = KB_ELF_SYMBOLS_DYNAMIC;

	/* The exported names are in the other tables, too, except in a .gnu_debugdata; .symtab may
	 * be cut down to less than them. */
	take_functions(&target, file, false);
	if (kb_elf_file__has_symtab(file)) {
		take_functions(&target, file, true);
		source = KB_ELF_SYMBOLS_OWN;
	} else if (debug_root &&
		   kb_debug_file__find(file, path, debug_root, take_separate, &target)) {
		source = KB_ELF_SYMBOLS_SEPARATE;
	} else if (debug_root && take_mini(&target, file)) {
		source = KB_ELF_SYMBOLS_MINI;
	}
	kb_symbol_table__close(table);
	return source;
}
