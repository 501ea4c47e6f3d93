// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libdw evaluates the CFA programs: some 1.5 million rows a second, so nothing
 * faster is needed. It answers for one address, and does not tell which addresses there are:
 * these are read here, from the FDEs' own start and length.
 *
 * The format is that of the Linux Standard Base, core specification 5.0, section 10.6: as
 * DWARF's .debug_frame, with an augmentation string in the CIE that says how addresses are
 * encoded. .eh_frame_hdr, the linker's search table, is not used: it says nothing that the
 * FDEs do not say, and may be missing, wrong or hostile.
 */
#include <dwarf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "symbols/eh_frame.h"

/* A browser's .eh_frame has 25 MB. */
#define EH_FRAME_BYTES_MAX (256u << 20)
/* CIEs and FDEs looked at; the smallest possible has 12 bytes. */
#define ENTRIES_MAX (EH_FRAME_BYTES_MAX / 12)
/* Encodings of pointers: the low half is the form, then what they count from. */
#define ENCODING_FORM(encoding)	  ((encoding)&0x0f)
#define ENCODING_ORIGIN(encoding) ((encoding)&0x70)

struct kb_eh_frame {
	Elf *elf;
	Elf_Data *data; /* of .eh_frame */
	uint64_t address;
	unsigned char ident[EI_NIDENT];
	Dwarf_CFI *cfi;
	struct kb_eh_range *ranges;
	uint32_t n_ranges, capacity;
	/* The last CIE that an FDE referred to, and the encoding of addresses it gives. */
	uint64_t cie;
	uint8_t encoding;
};

/* ---------------------------------------------------------------- opening */

/*
 * libdw gets its own handle, in which .eh_frame has the type that old versions insist on
 * (assemblers may give it SHT_X86_64_UNWIND), and .eh_frame_hdr no name.
 */
static void prepare_section(struct kb_eh_frame *frames, Elf_Scn *section, GElf_Shdr *header,
			    const char *name)
{
	if (!strcmp(name, ".eh_frame_hdr")) {
		header->sh_name = 0;
		gelf_update_shdr(section, header);
	}
	if (strcmp(name, ".eh_frame") || frames->data || header->sh_type == SHT_NOBITS ||
	    header->sh_size > EH_FRAME_BYTES_MAX || (header->sh_flags & SHF_COMPRESSED))
		return;
	header->sh_type = SHT_PROGBITS;
	gelf_update_shdr(section, header);
	frames->data = elf_rawdata(section, NULL);
	frames->address = header->sh_addr;
}

static bool find_section(struct kb_eh_frame *frames)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(frames->elf, &names))
		return false;
	while ((section = elf_nextscn(frames->elf, section))) {
		const char *name;

		if (gelf_getshdr(section, &header) &&
		    (name = elf_strptr(frames->elf, names, header.sh_name)))
			prepare_section(frames, section, &header, name);
	}
	return frames->data && frames->data->d_buf && frames->data->d_size;
}

struct kb_error *kb_eh_frame__open(const struct kb_elf_file *file, struct kb_eh_frame **frames)
{
	struct kb_eh_frame *opened = calloc(1, sizeof(*opened));
	const char *ident;

	if (!opened)
		return kb_error__no_memory();
	opened->cie = UINT64_MAX;
	opened->elf = elf_begin(kb_elf_file__fd(file), ELF_C_READ, NULL);
	ident = opened->elf ? elf_getident(opened->elf, NULL) : NULL;
	if (ident && find_section(opened))
		opened->cfi = dwarf_getcfi_elf(opened->elf);
	if (!opened->cfi) {
		kb_eh_frame__close(opened);
		return kb_unsupported("no unwind information (.eh_frame)");
	}
	memcpy(opened->ident, ident, EI_NIDENT);
	*frames = opened;
	return NULL;
}

void kb_eh_frame__close(struct kb_eh_frame *frames)
{
	if (!frames)
		return;
	if (frames->cfi)
		dwarf_cfi_end(frames->cfi);
	elf_end(frames->elf);
	free(frames->ranges);
	free(frames);
}

Dwarf_Frame *kb_eh_frame__at(struct kb_eh_frame *frames, uint64_t address)
{
	Dwarf_Frame *frame = NULL;

	return dwarf_cfi_addrframe(frames->cfi, address, &frame) ? NULL : frame;
}

/* ---------------------------------------------------------------- ranges */

/* Bytes of a pointer in this form; 0: not one that is used for the addresses of code. */
static size_t form_size(uint8_t form)
{
	switch (form) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return 8;
	case DW_EH_PE_udata4:
	case DW_EH_PE_sdata4:
		return 4;
	case DW_EH_PE_udata2:
	case DW_EH_PE_sdata2:
		return 2;
	}
	return 0;
}

static uint64_t read_form(const uint8_t *at, uint8_t form)
{
	uint64_t word = 0;

	memcpy(&word, at, form_size(form));
	if (form == DW_EH_PE_sdata4)
		return (uint64_t)(int32_t)word;
	return form == DW_EH_PE_sdata2 ? (uint64_t)(int16_t)word : word;
}

/* The encoding that a CIE's augmentation gives for its FDEs' addresses; absolute ones without. */
static bool cie_encoding(const Dwarf_CIE *cie, uint8_t *encoding)
{
	const uint8_t *at = cie->augmentation_data, *end = at + cie->augmentation_data_size;
	const char *letter = cie->augmentation;

	*encoding = DW_EH_PE_absptr;
	if (!*letter)
		return true;
	if (*letter++ != 'z')
		return false;
	for (; *letter; letter++) {
		if (*letter == 'S' || *letter == 'B')
			continue; /* a signal frame; signed return addresses: without data */
		if (at >= end)
			return false;
		switch (*letter) {
		case 'R':
			*encoding = *at;
			return true;
		case 'L':
			at++;
			break;
		case 'P':
			if (!form_size(ENCODING_FORM(*at)))
				return false;
			at += 1 + form_size(ENCODING_FORM(*at));
			break;
		default:
			return false;
		}
	}
	return true;
}

static bool learn_encoding(struct kb_eh_frame *frames, uint64_t cie)
{
	Dwarf_CFI_Entry entry;
	Dwarf_Off next;

	if (cie == frames->cie)
		return true;
	if (dwarf_next_cfi(frames->ident, frames->data, true, cie, &next, &entry) ||
	    !dwarf_cfi_cie_p(&entry) || !cie_encoding(&entry.cie, &frames->encoding))
		return false;
	frames->cie = cie;
	return true;
}

static bool range_of(struct kb_eh_frame *frames, const Dwarf_FDE *fde, struct kb_eh_range *range)
{
	const uint8_t *begin = frames->data->d_buf, *at = fde->start;
	uint8_t origin, form;
	size_t size;

	if (!learn_encoding(frames, fde->CIE_pointer))
		return false;
	origin = ENCODING_ORIGIN(frames->encoding);
	form = ENCODING_FORM(frames->encoding);
	size = form_size(form);
	if (!size || (frames->encoding & DW_EH_PE_indirect) || fde->end < at ||
	    (size_t)(fde->end - at) < 2 * size ||
	    (origin != DW_EH_PE_absptr && origin != DW_EH_PE_pcrel))
		return false;
	range->start = read_form(at, form);
	if (origin == DW_EH_PE_pcrel)
		range->start += frames->address + (uint64_t)(at - begin);
	/* The length has the same form, without a sign. */
	range->end = 0;
	memcpy(&range->end, at + size, size);
	range->end += range->start;
	return range->end > range->start;
}

static struct kb_error *add_range(struct kb_eh_frame *frames, uint32_t max,
				  const struct kb_eh_range *range)
{
	struct kb_eh_range *ranges;

	if (frames->n_ranges >= max)
		return kb_failed("more than %u functions in its .eh_frame", max);
	ranges = kb_array__grow(frames->ranges, &frames->capacity, frames->n_ranges + 1,
				sizeof(*ranges), max);
	if (!ranges)
		return kb_error__no_memory();
	frames->ranges = ranges;
	ranges[frames->n_ranges++] = *range;
	return NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct kb_eh_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* After sorting. */
static void cut_overlaps(struct kb_eh_frame *frames)
{
	uint64_t reached = 0;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < frames->n_ranges; i++) {
		struct kb_eh_range range = frames->ranges[i];

		if (range.end <= reached)
			continue;
		if (range.start < reached)
			range.start = reached;
		reached = range.end;
		frames->ranges[kept++] = range;
	}
	frames->n_ranges = kept;
}

struct kb_error *kb_eh_frame__ranges(struct kb_eh_frame *frames, uint32_t max,
				     const struct kb_eh_range **ranges, uint32_t *n)
{
	Dwarf_Off offset = 0, next = 0;
	Dwarf_CFI_Entry entry;

	frames->n_ranges = 0;
	for (uint32_t i = 0; i < ENTRIES_MAX; i++, offset = next) {
		struct kb_eh_range range;
		int status =
			dwarf_next_cfi(frames->ident, frames->data, true, offset, &next, &entry);

		/* An entry that cannot be read is passed over, when it says where the next one is.
		 */
		if (status > 0 || next == (Dwarf_Off)-1 || next <= offset)
			break;
		if (status == 0 && !dwarf_cfi_cie_p(&entry) && range_of(frames, &entry.fde, &range))
			KB_TRY(add_range(frames, max, &range));
	}
	if (frames->n_ranges)
		qsort(frames->ranges, frames->n_ranges, sizeof(*frames->ranges), by_start);
	cut_overlaps(frames);
	*ranges = frames->ranges;
	*n = frames->n_ranges;
	return NULL;
}
