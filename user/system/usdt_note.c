// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <elf.h>
#include <string.h>
#include "system/usdt_note.h"

#define SECTION	   ".note.stapsdt"
#define OWNER	   "stapsdt" /* with its zero a multiple of 4 */
#define TYPE_THREE 3	     /* the only one that sys/sdt.h has written since 2010 */

/* What a descriptor begins with; three texts follow. */
struct places {
	uint64_t address, base, semaphore;
};

/* The text at *text, which is moved behind it. NULL: it does not end before `end`. */
static const char *next_text(const char **text, const char *end)
{
	const char *start = *text, *zero = memchr(start, 0, (size_t)(end - start));

	if (!zero)
		return NULL;
	*text = zero + 1;
	return start;
}

/*
 * Whoever moved the program after linking (prelink) has not changed the notes, but has moved
 * the section whose address they have as `base`.
 */
static uint64_t moved_by(const struct kb_elf_file *file, uint64_t base)
{
	struct kb_elf_section section;

	return base && kb_elf_file__section(file, ".stapsdt.base", &section) && section.address
		       ? section.address - base
		       : 0;
}

static bool parse(const struct kb_elf_file *file, const char *descriptor, size_t size,
		  struct kb_usdt_note *usdt)
{
	const char *text = descriptor + sizeof(struct places), *end = descriptor + size;
	struct places places;
	uint64_t moved;

	if (size < sizeof(places))
		return false;
	memcpy(&places, descriptor, sizeof(places));
	moved = moved_by(file, places.base);
	*usdt = (struct kb_usdt_note){ .address = places.address + moved };
	usdt->provider = next_text(&text, end);
	usdt->name = usdt->provider ? next_text(&text, end) : NULL;
	usdt->arguments = usdt->name ? next_text(&text, end) : NULL;
	if (!usdt->arguments || !kb_elf_file__offset_of(file, usdt->address, &usdt->offset))
		return false;
	if (places.semaphore)
		usdt->semaphore = places.semaphore + moved;
	return !usdt->semaphore ||
	       kb_elf_file__offset_of(file, usdt->semaphore, &usdt->semaphore_offset);
}

static size_t padded(uint32_t size)
{
	return ((size_t)size + 3) & ~(size_t)3;
}

bool kb_usdt_note__next(const struct kb_elf_file *file, size_t *at, struct kb_usdt_note *usdt)
{
	size_t size = 0, left;
	const char *notes = kb_elf_file__section_bytes(file, SECTION, &size);
	Elf64_Nhdr header;

	while (notes && *at < size && size - *at >= sizeof(header)) {
		const char *owner = notes + *at + sizeof(header);

		memcpy(&header, notes + *at, sizeof(header));
		left = size - *at - sizeof(header);
		if (padded(header.n_namesz) > left ||
		    header.n_descsz > left - padded(header.n_namesz))
			break;
		*at += sizeof(header) + padded(header.n_namesz) + padded(header.n_descsz);
		if (header.n_type == TYPE_THREE && header.n_namesz == sizeof(OWNER) &&
		    !memcmp(owner, OWNER, sizeof(OWNER)) &&
		    parse(file, owner + sizeof(OWNER), header.n_descsz, usdt))
			return true;
	}
	*at = size;
	return false;
}
