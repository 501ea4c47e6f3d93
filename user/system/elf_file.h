/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_ELF_FILE_H
#define KB_SYSTEM_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "keelback/error.h"

/*
 * An ELF file of this machine's processor, read by offset from its descriptor:
 * it is not mapped, so that a file that is cut short while we look at it is an
 * error and not a SIGBUS. All addresses are as linked, without a load bias. The
 * file may be hostile: every offset and index in it is checked.
 */
struct kb_elf_file;

struct kb_elf_symbol {
	uint64_t address; /* in STT_TLS symbols: the offset in the TLS block */
	uint64_t size;
	bool function;
	bool tls;
};

struct kb_elf_section {
	uint64_t address, offset, size;
};

struct kb_elf_relocation {
	uint64_t place;
	uint64_t symbol; /* value of a symbol defined in this file, else 0 */
	int64_t addend;
	uint32_t type;
	bool has_symbol; /* refers to a symbol by name, defined here or elsewhere */
};

/*
 * The descriptor stays the caller's and must stay open. *file is NULL without an
 * error when it is no ELF executable or library of this processor.
 */
struct kb_error *kb_elf_file__open(int fd, struct kb_elf_file **file);
void kb_elf_file__close(struct kb_elf_file *file);

/* A symbol that the file itself defines, from .dynsym, else from .symtab. */
bool kb_elf_file__symbol(const struct kb_elf_file *file, const char *name,
			 struct kb_elf_symbol *symbol);
bool kb_elf_file__has_symtab(const struct kb_elf_file *file);
/* The index-th function that .symtab (else .dynsym) defines; *name is NULL for entries that are
 * none. False behind the last. The name lives as long as the file. */
bool kb_elf_file__function_at(const struct kb_elf_file *file, bool symtab, size_t index,
			      struct kb_elf_symbol *symbol, const char **name);
bool kb_elf_file__section(const struct kb_elf_file *file, const char *name,
			  struct kb_elf_section *section);

/* The bytes of a section as the file has them, loaded or not; NULL when there is none. They live as
 * long as the file, and lie as is right for the section's type. */
const void *kb_elf_file__section_bytes(const struct kb_elf_file *file, const char *name,
				       size_t *size);

/*
 * Bytes as the dynamic linker leaves them, before the program has run and with a
 * load bias of 0: from the file, zeros in the .bss, and 8-byte relocations against this
 * file's own addresses applied. False when an address is not in a segment.
 */
bool kb_elf_file__read(const struct kb_elf_file *file, uint64_t address, void *buffer, size_t size);
/* Bytes of the file itself, at a file offset. */
bool kb_elf_file__read_offset(const struct kb_elf_file *file, uint64_t offset, void *buffer,
			      size_t size);
/* File offset of an address in a segment's file-backed part; uprobes want it. */
bool kb_elf_file__offset_of(const struct kb_elf_file *file, uint64_t address, uint64_t *offset);

/* The relocation of exactly this place. */
bool kb_elf_file__relocation(const struct kb_elf_file *file, uint64_t place,
			     struct kb_elf_relocation *relocation);
/* Relocations in ascending order of their places, for searching; false at the end. */
bool kb_elf_file__relocation_at(const struct kb_elf_file *file, size_t index,
				struct kb_elf_relocation *relocation);

/* Address that offset 0 of the file is linked at: bias = start of the mapping of offset 0 - this.
 */
uint64_t kb_elf_file__load_address(const struct kb_elf_file *file);
/* The index-th segment that is loaded, as far as the file has its bytes. False behind the last. */
struct kb_elf_segment {
	uint64_t address, size;
	bool executable, writable;
};
bool kb_elf_file__segment_at(const struct kb_elf_file *file, size_t index,
			     struct kb_elf_segment *segment);
/* Start of the lowest page that a segment is linked at: where unwind tables and symbols count from.
 */
uint64_t kb_elf_file__base(const struct kb_elf_file *file);
/* Link-time address of a file offset at which a mapping begins. Where two segments share a page,
 * the one with code is meant. */
bool kb_elf_file__address_of(const struct kb_elf_file *file, uint64_t offset, uint64_t *address);
/* Size and alignment of the TLS block; false when there is none. */
bool kb_elf_file__tls_block(const struct kb_elf_file *file, uint64_t *size, uint64_t *align);
/* A library, not an executable (position-independent ones are told by their PT_INTERP). */
bool kb_elf_file__is_shared(const struct kb_elf_file *file);
/* Up to 20 bytes of the GNU build id; the number of bytes, 0 when there is none. */
size_t kb_elf_file__build_id(const struct kb_elf_file *file, uint8_t id[20]);
/* DT_SONAME, or NULL. Lives as long as the file. */
const char *kb_elf_file__soname(const struct kb_elf_file *file);
/* The first DT_NEEDED entry that begins with `prefix`, or NULL. Lives as long as the file. */
const char *kb_elf_file__needed(const struct kb_elf_file *file, const char *prefix);
/* DT_RUNPATH, or else DT_RPATH, or NULL. Lives as long as the file. */
const char *kb_elf_file__run_path(const struct kb_elf_file *file);
/* Name of the separate debug file in .gnu_debuglink, or NULL. Lives as long as the file. */
const char *kb_elf_file__debug_link(const struct kb_elf_file *file);

/* The descriptor that it was opened with. */
int kb_elf_file__fd(const struct kb_elf_file *file);

#endif
