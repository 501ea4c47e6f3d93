// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Member offsets from DWARF, with libdw. Types are looked for among the
 * top-level entries of a few compilation units, and in the partial units that
 * these import: dwz moves what several units share there.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <string.h>
#include "system/debug_file.h"
#include "system/dwarf_info.h"

/* Limits for what a hostile or damaged file can make us do; the largest CPython build is far below.
 */
#define DEBUG_BYTES_MAX	 (512ull << 20)
#define UNITS_MAX	 65536
#define ENTRIES_MAX	 2000000
#define IMPORT_DEPTH_MAX 4
#define TYPE_DEPTH_MAX	 8
#define MEMBERS_MAX	 4096
#define MEMBER_NAME_MAX	 64

struct search {
	const char *const *sources;
	size_t n_sources;
	struct kb_dwarf_query *queries;
	size_t n_queries;
	size_t open;	/* queries not answered yet */
	size_t entries; /* looked at so far */
};

/* ---------------------------------------------------------------- members */

/* Follows typedefs and qualifiers to a structure or union that is not just declared. */
static bool peel(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	for (int depth = 0; depth < TYPE_DEPTH_MAX; depth++) {
		switch (dwarf_tag(die)) {
		case DW_TAG_structure_type:
		case DW_TAG_union_type:
			return !dwarf_hasattr_integrate(die, DW_AT_declaration);
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_atomic_type:
			if (!dwarf_attr_integrate(die, DW_AT_type, &attribute) ||
			    !dwarf_formref_die(&attribute, die))
				return false;
			break;
		default:
			return false;
		}
	}
	return false;
}

static bool unsigned_attribute(Dwarf_Die *die, unsigned int name, uint64_t *value)
{
	Dwarf_Attribute attribute;
	Dwarf_Word word;

	if (!dwarf_attr(die, name, &attribute) || dwarf_formudata(&attribute, &word))
		return false;
	*value = word;
	return true;
}

/* Before DWARF 4 a bit field was counted from the most significant bit of its storage unit. */
static uint64_t old_bit_offset(Dwarf_Die *member)
{
	uint64_t from_top, size, storage = 4;

	if (!unsigned_attribute(member, DW_AT_bit_offset, &from_top) ||
	    !unsigned_attribute(member, DW_AT_bit_size, &size))
		return 0;
	unsigned_attribute(member, DW_AT_byte_size, &storage);
	return storage * 8 >= from_top + size ? storage * 8 - from_top - size : 0;
}

static uint64_t member_bits(Dwarf_Die *member)
{
	uint64_t value;

	if (unsigned_attribute(member, DW_AT_data_bit_offset, &value))
		return value;
	if (!unsigned_attribute(member, DW_AT_data_member_location, &value))
		value = 0; /* of a union */
	return value * 8 + old_bit_offset(member);
}

static bool find_member(Dwarf_Die *type, const char *name, Dwarf_Die *member)
{
	int more = dwarf_child(type, member);

	for (int i = 0; more == 0 && i < MEMBERS_MAX; i++) {
		const char *own = dwarf_tag(member) == DW_TAG_member ? dwarf_diename(member) : NULL;

		if (own && !strcmp(own, name))
			return true;
		more = dwarf_siblingof(member, member);
	}
	return false;
}

static bool offset_of(Dwarf_Die type, const char *path, uint64_t *bits)
{
	char name[MEMBER_NAME_MAX];
	Dwarf_Attribute attribute;
	Dwarf_Die member;
	uint64_t sum = 0;

	for (;;) {
		size_t length = strcspn(path, ".");

		if (length >= sizeof(name) || !peel(&type))
			return false;
		memcpy(name, path, length);
		name[length] = '\0';
		if (!find_member(&type, name, &member))
			return false;
		sum += member_bits(&member);
		if (!path[length])
			break;
		path += length + 1;
		if (!dwarf_attr_integrate(&member, DW_AT_type, &attribute) ||
		    !dwarf_formref_die(&attribute, &type))
			return false;
	}
	*bits = sum;
	return true;
}

static bool answer(Dwarf_Die die, struct kb_dwarf_query *query)
{
	int size;

	if (query->member)
		return offset_of(die, query->member, &query->bits);
	if (!peel(&die) || (size = dwarf_bytesize(&die)) < 0)
		return false;
	query->bits = (uint64_t)size * 8;
	return true;
}

/* ---------------------------------------------------------------- units */

static void look_at_type(struct search *search, Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);

	for (size_t i = 0; name && i < search->n_queries; i++) {
		struct kb_dwarf_query *query = &search->queries[i];

		if (!query->type || query->found || strcmp(query->type, name))
			continue;
		query->found = answer(*die, query);
		search->open -= query->found;
	}
}

static void look_into(struct search *search, Dwarf_Die *unit, int depth)
{
	Dwarf_Attribute attribute;
	Dwarf_Die die, imported;
	int more = dwarf_child(unit, &die);

	while (more == 0 && search->open && search->entries++ < ENTRIES_MAX) {
		switch (dwarf_tag(&die)) {
		case DW_TAG_structure_type:
		case DW_TAG_typedef:
			look_at_type(search, &die);
			break;
		case DW_TAG_imported_unit:
			if (depth < IMPORT_DEPTH_MAX &&
			    dwarf_attr(&die, DW_AT_import, &attribute) &&
			    dwarf_formref_die(&attribute, &imported))
				look_into(search, &imported, depth + 1);
			break;
		}
		more = dwarf_siblingof(&die, &die);
	}
}

static bool wanted(const struct search *search, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < search->n_sources; i++) {
		size_t suffix = strlen(search->sources[i]);

		if (length >= suffix && !strcmp(name + length - suffix, search->sources[i]))
			return true;
	}
	return false;
}

static void search_units(struct search *search, Dwarf *dwarf)
{
	Dwarf_Off offset = 0, next;
	size_t header;

	for (int i = 0; i < UNITS_MAX && search->open; i++, offset = next) {
		const char *name;
		Dwarf_Die unit;

		if (dwarf_nextcu(dwarf, offset, &next, &header, NULL, NULL, NULL))
			break;
		if (!dwarf_offdie(dwarf, offset + header, &unit) ||
		    dwarf_tag(&unit) != DW_TAG_compile_unit)
			continue;
		name = dwarf_diename(&unit);
		if (name && wanted(search, name))
			look_into(search, &unit, 0);
	}
}

/* ---------------------------------------------------------------- files */

/* What types and their names are made of. */
static bool is_needed(const char *section)
{
	static const char *const names[] = { ".debug_info",	 ".debug_types",
					     ".debug_abbrev",	 ".debug_str",
					     ".debug_line_str",	 ".debug_str_offsets",
					     ".gnu_debugaltlink" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(section, names[i]))
			return true;
	return false;
}

static uint64_t unpacked_size(Elf_Scn *section, const GElf_Shdr *header)
{
	GElf_Chdr compressed;

	if ((header->sh_flags & SHF_COMPRESSED) && gelf_getchdr(section, &compressed))
		return compressed.ch_size;
	return header->sh_size;
}

/*
 * libdw reads, and unpacks, all debug sections when it starts, most of which are line
 * tables and locations of variables. It passes over sections without contents,
 * so the others are made to look like that, in this handle only. True when there
 * is debug information, and none of it is too large.
 */
static bool keep_needed_sections(Elf *elf)
{
	Elf_Scn *section = NULL;
	bool found = false;
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = elf_nextscn(elf, section))) {
		const char *name;

		if (!gelf_getshdr(section, &header))
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (!name || strncmp(name, ".debug_", 7) || header.sh_type == SHT_NOBITS)
			continue;
		if (is_needed(name)) {
			if (unpacked_size(section, &header) > DEBUG_BYTES_MAX)
				return false;
			found |= !strcmp(name, ".debug_info");
			continue;
		}
		header.sh_type = SHT_NOBITS;
		gelf_update_shdr(section, &header);
	}
	return found;
}

static bool search_file(struct search *search, const struct kb_elf_file *file)
{
	Elf *elf = elf_begin(kb_elf_file__fd(file), ELF_C_READ, NULL);
	Dwarf *dwarf = NULL;
	bool found;

	if (elf && keep_needed_sections(elf))
		dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	found = dwarf;
	if (found) {
		search_units(search, dwarf);
		dwarf_end(dwarf);
	}
	elf_end(elf);
	return found;
}

static bool search_separate(const struct kb_elf_file *debug, void *search)
{
	return search_file(search, debug);
}

bool kb_dwarf_info__resolve(const struct kb_elf_file *file, const char *path,
			    const char *const *sources, size_t n_sources,
			    struct kb_dwarf_query *queries, size_t n_queries)
{
	struct search search = {
		.sources = sources,
		.n_sources = n_sources,
		.queries = queries,
		.n_queries = n_queries,
	};

	for (size_t i = 0; i < n_queries; i++) {
		queries[i].found = false;
		search.open += queries[i].type != NULL;
	}
	return search_file(&search, file) ||
	       kb_debug_file__find(file, path, KB_DEBUG_ROOT, search_separate, &search);
}
