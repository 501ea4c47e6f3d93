// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reading ELF files with libelf. Tables that are searched by name are looked at
 * as arrays of Elf64_Sym: only files of this machine's class and byte order get
 * this far, libelf has checked that the sections lie in the file, and that names
 * lie in their string table is checked here. The relocations are read when
 * first asked for.
 */
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "system/arch.h"
#include "system/elf_file.h"

/* Sections are read whole; no interpreter's symbols or relocations come near it, a sparse hostile
 * file's may. */
#define SECTION_BYTES_MAX (256u << 20)
/* Real files have 4 to 15; the limit keeps a hostile header from costing time. */
#define SEGMENTS_MAX 128
/* The smallest unit of mappings on any processor here. */
#define PAGE 4096

struct table {
	const Elf64_Sym *symbols;
	size_t count;
	const char *names;
	size_t name_bytes;
};

struct kb_elf_file {
	int fd;
	Elf *elf;
	GElf_Ehdr header;
	GElf_Phdr *segments;
	size_t n_segments;
	struct table dynsym, symtab;
	struct kb_elf_relocation *relocations; /* ascending by place */
	size_t n_relocations;
	bool relocations_read;
};

static bool is_ours(const GElf_Ehdr *header)
{
	return header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
	       header->e_machine == KB_ARCH_ELF &&
	       (header->e_type == ET_EXEC || header->e_type == ET_DYN);
}

static const void *section_bytes(Elf_Scn *section, const GElf_Shdr *header, size_t *size)
{
	Elf_Data *data;

	if (header->sh_type == SHT_NOBITS || header->sh_size > SECTION_BYTES_MAX)
		return NULL;
	data = elf_getdata(section, NULL);
	if (!data || !data->d_buf)
		return NULL;
	*size = data->d_size;
	return data->d_buf;
}

static void read_table(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, struct table *table)
{
	Elf_Scn *strings = elf_getscn(elf, header->sh_link);
	size_t symbol_bytes = 0, name_bytes = 0;
	const void *symbols, *names;
	GElf_Shdr strings_header;

	if (!strings || !gelf_getshdr(strings, &strings_header))
		return;
	symbols = section_bytes(section, header, &symbol_bytes);
	names = section_bytes(strings, &strings_header, &name_bytes);
	/* A last byte of 0 ends every name that starts in the table. */
	if (!symbols || !names || !name_bytes || ((const char *)names)[name_bytes - 1])
		return;
	*table = (struct table){ symbols, symbol_bytes / sizeof(Elf64_Sym), names, name_bytes };
}

static void read_tables(struct kb_elf_file *file)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(file->elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		if (header.sh_type == SHT_DYNSYM)
			read_table(file->elf, section, &header, &file->dynsym);
		else if (header.sh_type == SHT_SYMTAB)
			read_table(file->elf, section, &header, &file->symtab);
	}
}

static bool read_segments(struct kb_elf_file *file)
{
	size_t count;

	if (elf_getphdrnum(file->elf, &count) || !count || count > SEGMENTS_MAX)
		return false;
	file->segments = calloc(count, sizeof(*file->segments));
	for (size_t i = 0; file->segments && i < count; i++)
		if (!gelf_getphdr(file->elf, (int)i, &file->segments[i]))
			return false;
	file->n_segments = count;
	return file->segments;
}

struct kb_error *kb_elf_file__open(int fd, struct kb_elf_file **file)
{
	struct kb_elf_file *opened = calloc(1, sizeof(*opened));

	if (!opened)
		return kb_error__no_memory();
	opened->fd = fd;
	elf_version(EV_CURRENT);
	opened->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!opened->elf || elf_kind(opened->elf) != ELF_K_ELF ||
	    !gelf_getehdr(opened->elf, &opened->header) || !is_ours(&opened->header) ||
	    !read_segments(opened)) {
		kb_elf_file__close(opened);
		*file = NULL;
		return NULL;
	}
	read_tables(opened);
	*file = opened;
	return NULL;
}

void kb_elf_file__close(struct kb_elf_file *file)
{
	if (!file)
		return;
	if (file->elf)
		elf_end(file->elf);
	free(file->segments);
	free(file->relocations);
	free(file);
}

/* ---------------------------------------------------------------- symbols */

static bool defined(const Elf64_Sym *symbol)
{
	return symbol->st_shndx != SHN_UNDEF &&
	       (symbol->st_value || ELF64_ST_TYPE(symbol->st_info) == STT_TLS);
}

static const Elf64_Sym *find(const struct table *table, const char *name)
{
	for (size_t i = 1; i < table->count; i++) {
		const Elf64_Sym *symbol = &table->symbols[i];

		if (defined(symbol) && symbol->st_name < table->name_bytes &&
		    !strcmp(table->names + symbol->st_name, name))
			return symbol;
	}
	return NULL;
}

bool kb_elf_file__symbol(const struct kb_elf_file *file, const char *name,
			 struct kb_elf_symbol *symbol)
{
	const Elf64_Sym *found = find(&file->dynsym, name);

	if (!found)
		found = find(&file->symtab, name);
	if (!found)
		return false;
	*symbol = (struct kb_elf_symbol){
		.address = found->st_value,
		.size = found->st_size,
		.function = ELF64_ST_TYPE(found->st_info) == STT_FUNC,
		.tls = ELF64_ST_TYPE(found->st_info) == STT_TLS,
	};
	return true;
}

bool kb_elf_file__has_symtab(const struct kb_elf_file *file)
{
	return file->symtab.count > 1;
}

bool kb_elf_file__function_at(const struct kb_elf_file *file, bool symtab, size_t index,
			      struct kb_elf_symbol *symbol, const char **name)
{
	const struct table *table = symtab ? &file->symtab : &file->dynsym;
	const Elf64_Sym *entry;

	if (index >= table->count)
		return false;
	entry = &table->symbols[index];
	*name = NULL;
	symbol->function = ELF64_ST_TYPE(entry->st_info) == STT_FUNC;
	if ((!symbol->function && ELF64_ST_TYPE(entry->st_info) != STT_GNU_IFUNC) ||
	    !defined(entry) || entry->st_name >= table->name_bytes)
		return true;
	*name = table->names + entry->st_name;
	symbol->address = entry->st_value;
	symbol->size = entry->st_size;
	return true;
}

static Elf_Scn *find_section(const struct kb_elf_file *file, const char *name, GElf_Shdr *header)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(file->elf, &names))
		return NULL;
	while ((section = elf_nextscn(file->elf, section))) {
		const char *own;

		if (!gelf_getshdr(section, header))
			continue;
		own = elf_strptr(file->elf, names, header->sh_name);
		if (own && !strcmp(own, name))
			return section;
	}
	return NULL;
}

bool kb_elf_file__section(const struct kb_elf_file *file, const char *name,
			  struct kb_elf_section *section)
{
	GElf_Shdr header;

	if (!find_section(file, name, &header))
		return false;
	*section = (struct kb_elf_section){ header.sh_addr, header.sh_offset, header.sh_size };
	return true;
}

const void *kb_elf_file__section_bytes(const struct kb_elf_file *file, const char *name,
				       size_t *size)
{
	GElf_Shdr header;
	Elf_Scn *section = find_section(file, name, &header);

	return section ? section_bytes(section, &header, size) : NULL;
}

/* ---------------------------------------------------------------- relocations */

static bool self_contained(const struct kb_elf_relocation *relocation)
{
	switch (relocation->type) {
	case KB_ARCH_R_RELATIVE:
		return true;
	case KB_ARCH_R_ABSOLUTE:
	case KB_ARCH_R_GLOB_DAT:
	case KB_ARCH_R_JUMP:
		return relocation->symbol;
	}
	return false;
}

static void take_relocation(struct kb_elf_file *file, const Elf64_Rela *rela)
{
	uint32_t index = ELF64_R_SYM(rela->r_info);
	struct kb_elf_relocation *out = &file->relocations[file->n_relocations++];

	*out = (struct kb_elf_relocation){
		.place = rela->r_offset,
		.addend = rela->r_addend,
		.type = ELF64_R_TYPE(rela->r_info),
		.has_symbol = index,
	};
	if (index && index < file->dynsym.count && defined(&file->dynsym.symbols[index]))
		out->symbol = file->dynsym.symbols[index].st_value;
}

static void read_relocation_section(struct kb_elf_file *file, Elf_Scn *section,
				    const GElf_Shdr *header)
{
	const Elf64_Rela *entries;
	struct kb_elf_relocation *more;
	size_t size = 0, count;

	entries = section_bytes(section, header, &size);
	count = entries ? size / sizeof(*entries) : 0;
	if (!count)
		return;
	more = realloc(file->relocations, (file->n_relocations + count) * sizeof(*more));
	if (!more)
		return;
	file->relocations = more;
	for (size_t i = 0; i < count; i++)
		take_relocation(file, &entries[i]);
}

static int by_place(const void *a, const void *b)
{
	const struct kb_elf_relocation *x = a, *y = b;

	return x->place < y->place ? -1 : x->place > y->place;
}

static void read_relocations(struct kb_elf_file *file)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	if (file->relocations_read)
		return;
	file->relocations_read = true;
	while ((section = elf_nextscn(file->elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_RELA &&
		    (header.sh_flags & SHF_ALLOC))
			read_relocation_section(file, section, &header);
	if (file->n_relocations)
		qsort(file->relocations, file->n_relocations, sizeof(*file->relocations), by_place);
}

/* Index of the first relocation at or after a place. Reading them is no visible change of the file.
 */
static size_t first_relocation(const struct kb_elf_file *file, uint64_t place)
{
	size_t low = 0, high;

	read_relocations((struct kb_elf_file *)file);
	high = file->n_relocations;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (file->relocations[middle].place < place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool kb_elf_file__relocation(const struct kb_elf_file *file, uint64_t place,
			     struct kb_elf_relocation *relocation)
{
	size_t i = first_relocation(file, place);

	if (i >= file->n_relocations || file->relocations[i].place != place)
		return false;
	*relocation = file->relocations[i];
	return true;
}

bool kb_elf_file__relocation_at(const struct kb_elf_file *file, size_t index,
				struct kb_elf_relocation *relocation)
{
	read_relocations((struct kb_elf_file *)file);
	if (index >= file->n_relocations)
		return false;
	*relocation = file->relocations[index];
	return true;
}

static void apply_relocations(const struct kb_elf_file *file, uint64_t address, uint8_t *buffer,
			      size_t size)
{
	for (size_t i = first_relocation(file, address); i < file->n_relocations; i++) {
		const struct kb_elf_relocation *relocation = &file->relocations[i];
		uint64_t at = relocation->place - address, value;

		if (at >= size || size - at < sizeof(value))
			break;
		if (!self_contained(relocation))
			continue;
		value = relocation->symbol + (uint64_t)relocation->addend;
		memcpy(buffer + at, &value, sizeof(value));
	}
}

/* ---------------------------------------------------------------- contents */

bool kb_elf_file__read_offset(const struct kb_elf_file *file, uint64_t offset, void *buffer,
			      size_t size)
{
	return offset <= INT64_MAX - size &&
	       pread(file->fd, buffer, size, (off_t)offset) == (ssize_t)size;
}

static const GElf_Phdr *segment_of(const struct kb_elf_file *file, uint64_t address)
{
	for (size_t i = 0; i < file->n_segments; i++) {
		const GElf_Phdr *segment = &file->segments[i];

		if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
		    address - segment->p_vaddr < segment->p_memsz)
			return segment;
	}
	return NULL;
}

bool kb_elf_file__read(const struct kb_elf_file *file, uint64_t address, void *buffer, size_t size)
{
	const GElf_Phdr *segment = segment_of(file, address);
	uint64_t at, in_file;

	if (!segment)
		return false;
	at = address - segment->p_vaddr;
	if (size > segment->p_memsz - at)
		return false;
	in_file = at < segment->p_filesz ? segment->p_filesz - at : 0;
	if (in_file > size)
		in_file = size;
	memset(buffer, 0, size);
	if (in_file && !kb_elf_file__read_offset(file, segment->p_offset + at, buffer, in_file))
		return false;
	apply_relocations(file, address, buffer, size);
	return true;
}

bool kb_elf_file__offset_of(const struct kb_elf_file *file, uint64_t address, uint64_t *offset)
{
	const GElf_Phdr *segment = segment_of(file, address);

	if (!segment || address - segment->p_vaddr >= segment->p_filesz)
		return false;
	*offset = address - segment->p_vaddr + segment->p_offset;
	return true;
}

/* ---------------------------------------------------------------- the file as a whole */

static const GElf_Phdr *first_segment(const struct kb_elf_file *file, uint32_t type)
{
	for (size_t i = 0; i < file->n_segments; i++)
		if (file->segments[i].p_type == type)
			return &file->segments[i];
	return NULL;
}

uint64_t kb_elf_file__load_address(const struct kb_elf_file *file)
{
	const GElf_Phdr *segment = first_segment(file, PT_LOAD);

	/* Both are equal modulo the page size, whatever the page size is. */
	return segment ? segment->p_vaddr - segment->p_offset : 0;
}

bool kb_elf_file__segment_at(const struct kb_elf_file *file, size_t index,
			     struct kb_elf_segment *segment)
{
	for (size_t i = 0; i < file->n_segments; i++) {
		const GElf_Phdr *header = &file->segments[i];

		if (header->p_type != PT_LOAD || index--)
			continue;
		*segment =
			(struct kb_elf_segment){ header->p_vaddr, header->p_filesz,
						 header->p_flags & PF_X, header->p_flags & PF_W };
		return true;
	}
	return false;
}

uint64_t kb_elf_file__base(const struct kb_elf_file *file)
{
	uint64_t lowest = UINT64_MAX;

	for (size_t i = 0; i < file->n_segments; i++)
		if (file->segments[i].p_type == PT_LOAD && file->segments[i].p_vaddr < lowest)
			lowest = file->segments[i].p_vaddr;
	return lowest == UINT64_MAX ? 0 : lowest & ~(uint64_t)(PAGE - 1);
}

bool kb_elf_file__address_of(const struct kb_elf_file *file, uint64_t offset, uint64_t *address)
{
	const GElf_Phdr *best = NULL;

	for (size_t i = 0; i < file->n_segments; i++) {
		const GElf_Phdr *segment = &file->segments[i];
		uint64_t start = segment->p_offset & ~(uint64_t)(PAGE - 1);

		if (segment->p_type == PT_LOAD && offset >= start &&
		    offset - start < segment->p_filesz + (segment->p_offset - start) &&
		    (!best || (segment->p_flags & PF_X)))
			best = segment;
	}
	if (best)
		*address = offset - best->p_offset + best->p_vaddr;
	return best;
}

bool kb_elf_file__tls_block(const struct kb_elf_file *file, uint64_t *size, uint64_t *align)
{
	const GElf_Phdr *segment = first_segment(file, PT_TLS);

	if (!segment)
		return false;
	*size = segment->p_memsz;
	*align = segment->p_align;
	return true;
}

bool kb_elf_file__is_shared(const struct kb_elf_file *file)
{
	return file->header.e_type == ET_DYN && !first_segment(file, PT_INTERP);
}

static size_t build_id_in(Elf_Data *data, uint8_t id[20])
{
	size_t at = 0, name, descriptor;
	GElf_Nhdr note;

	while (data && (at = gelf_getnote(data, at, &note, &name, &descriptor)) > 0)
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    !memcmp((char *)data->d_buf + name, "GNU", 4)) {
			size_t size = note.n_descsz < 20 ? note.n_descsz : 20;

			memcpy(id, (char *)data->d_buf + descriptor, size);
			return size;
		}
	return 0;
}

size_t kb_elf_file__build_id(const struct kb_elf_file *file, uint8_t id[20])
{
	size_t size = 0;

	for (size_t i = 0; i < file->n_segments && !size; i++) {
		const GElf_Phdr *segment = &file->segments[i];

		/* Only small ones: a note segment holds a few hundred bytes. */
		if (segment->p_type == PT_NOTE && segment->p_filesz < 65536)
			size = build_id_in(elf_getdata_rawchunk(file->elf,
								(int64_t)segment->p_offset,
								segment->p_filesz, ELF_T_NHDR),
					   id);
	}
	return size;
}

/* The index-th string of a tag in the dynamic section, or NULL after the last. */
static const char *dynamic_string(const struct kb_elf_file *file, int64_t tag, size_t index)
{
	GElf_Shdr header;
	Elf_Scn *section = find_section(file, ".dynamic", &header);
	const Elf64_Dyn *entries;
	size_t size = 0;

	if (!section || header.sh_type != SHT_DYNAMIC)
		return NULL;
	entries = section_bytes(section, &header, &size);
	for (size_t i = 0; entries && i < size / sizeof(*entries); i++) {
		if (entries[i].d_tag == DT_NULL)
			break;
		if (entries[i].d_tag == tag && !index--)
			return elf_strptr(file->elf, header.sh_link, entries[i].d_un.d_val);
	}
	return NULL;
}

const char *kb_elf_file__soname(const struct kb_elf_file *file)
{
	return dynamic_string(file, DT_SONAME, 0);
}

const char *kb_elf_file__needed(const struct kb_elf_file *file, const char *prefix)
{
	const char *name;

	for (size_t i = 0; (name = dynamic_string(file, DT_NEEDED, i)); i++)
		if (!strncmp(name, prefix, strlen(prefix)))
			return name;
	return NULL;
}

const char *kb_elf_file__run_path(const struct kb_elf_file *file)
{
	const char *path = dynamic_string(file, DT_RUNPATH, 0);

	return path ? path : dynamic_string(file, DT_RPATH, 0);
}

const char *kb_elf_file__debug_link(const struct kb_elf_file *file)
{
	size_t size = 0;
	const char *name = kb_elf_file__section_bytes(file, ".gnu_debuglink", &size);

	/* The name, zeros up to a multiple of 4, a checksum. */
	return name && memchr(name, 0, size) ? name : NULL;
}

int kb_elf_file__fd(const struct kb_elf_file *file)
{
	return file->fd;
}
