// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Input: a byte, then (0) an ELF file or (1) the contents of an .eh_frame. What is built must be in
 * order, and agree with itself.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "python/method_names.h"
#include "symbols/code_parts.h"
#include "symbols/elf_symbols.h"
#include "symbols/unwind_table.h"
#include "system/arch.h"

#define ADDRESS 0x1000
#define LOOKUPS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char strings[] = "\0.eh_frame\0.shstrtab";

struct frame_file {
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	Elf64_Shdr sections[3];
	char strings[sizeof(strings)];
};

/* The head of a file whose .eh_frame follows it. */
static struct frame_file make_head(size_t size)
{
	struct frame_file head = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_DYN,
			.e_machine = KB_ARCH_ELF,
			.e_version = EV_CURRENT,
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phoff = offsetof(struct frame_file, segment),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
			.e_shoff = offsetof(struct frame_file, sections),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 3,
			.e_shstrndx = 2,
		},
		.segment = { .p_type = PT_LOAD, .p_filesz = sizeof(head) + size },
		.sections = {
			[1] = { .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_addr = ADDRESS,
				.sh_offset = sizeof(head), .sh_size = size },
			[2] = { .sh_name = 11, .sh_type = SHT_STRTAB,
				.sh_offset = offsetof(struct frame_file, strings),
				.sh_size = sizeof(strings) },
		},
	};

	memcpy(head.strings, strings, sizeof(strings));
	return head;
}

static void check_table(const struct kb_unwind_table *table)
{
	struct kb_unwind_function range;

	if (!table->n_rows || table->rows[0].pc)
		abort();
	for (uint32_t i = 1; i < table->n_rows; i++)
		if (table->rows[i].pc <= table->rows[i - 1].pc)
			abort();
	for (uint32_t i = 0; i < table->n_functions; i++)
		if (table->functions[i].start >= table->functions[i].end ||
		    (i && table->functions[i].start < table->functions[i - 1].end))
			abort();
	for (uint32_t i = 0; i < table->n_functions && i < LOOKUPS; i++)
		if (!kb_unwind_table__function_range(table, table->functions[i].end - 1, &range) ||
		    range.start != table->functions[i].start)
			abort();
	for (uint32_t i = 0; i < table->n_rows && i < LOOKUPS; i++)
		if (kb_unwind_table__rule(table, table->rows[i].pc) != table->rows[i].rule)
			abort();
}

static void look_at(int fd)
{
	struct kb_unwind_table *table = NULL;
	struct kb_elf_file *file = NULL;
	struct kb_symbol_table symbols;
	struct kb_method_names names;

	kb_error__destroy(kb_elf_file__open(fd, &file));
	if (!file)
		return;
	kb_error__destroy(kb_unwind_table__build(file, &table));
	if (table) {
		check_table(table);
		kb_code_parts__free(kb_code_parts__find(file, table));
	}
	kb_unwind_table__destroy(table);
	kb_error__destroy(kb_method_names__read(file, &names));
	kb_method_names__free(&names);
	kb_symbol_table__init(&symbols);
	kb_elf_symbols__read(file, "/nowhere/file", "/nowhere", &symbols);
	kb_symbol_table__find(&symbols, 100, 0);
	kb_symbol_table__free(&symbols);
	kb_elf_file__close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_file head;
	int fd;

	if (!size)
		return 0;
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	head = make_head(size - 1);
	if (data[0] == 1 && write(fd, &head, sizeof(head)) != sizeof(head))
		abort();
	if (write(fd, data + 1, size - 1) != (ssize_t)(size - 1))
		abort();
	look_at(fd);
	close(fd);
	return 0;
}
