// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The format is that of the Linux Standard Base, core specification 5.0, section 10.6: as
 * DWARF's .debug_frame, with an augmentation string in the CIE that says how addresses are
 * encoded. libdw splits it into CIEs and FDEs. .eh_frame_hdr, the linker's search table, is not
 * used: it says nothing that the FDEs do not say, and may be missing, wrong or hostile.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
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
/* Linkers merge equal CIEs: files have 1 to 20. Hand-written ones are kept apart. */
#define COMMONS_MAX 65536
/* Encodings of pointers: the low half is the form, then what they count from. */
#define ENCODING_FORM(encoding)	  ((encoding)&0x0f)
#define ENCODING_ORIGIN(encoding) ((encoding)&0x70)

/* A CIE. */
struct common {
	uint64_t offset;
	struct kb_cfa_common cfa;
	uint8_t encoding; /* of its FDEs' addresses */
	bool augmented;	  /* FDEs have augmentation data, with its size before it */
};

struct kb_eh_frame {
	Elf *elf;
	Elf_Data *data; /* of .eh_frame */
	uint64_t address;
	unsigned char ident[EI_NIDENT];
	uint32_t fp, max;
	struct kb_eh_range *ranges;
	uint32_t n_ranges, ranges_capacity;
	struct common *commons;
	uint32_t n_commons, commons_capacity;
};

/* ---------------------------------------------------------------- section */

static bool find_section(struct kb_eh_frame *frames)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(frames->elf, &names))
		return false;
	while ((section = elf_nextscn(frames->elf, section))) {
		const char *name;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS ||
		    header.sh_size > EH_FRAME_BYTES_MAX || (header.sh_flags & SHF_COMPRESSED))
			continue;
		name = elf_strptr(frames->elf, names, header.sh_name);
		if (!name || strcmp(name, ".eh_frame"))
			continue;
		frames->data = elf_rawdata(section, NULL);
		frames->address = header.sh_addr;
		return frames->data && frames->data->d_buf && frames->data->d_size;
	}
	return false;
}

/* ---------------------------------------------------------------- CIEs */

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

/* What the augmentation tells: the encoding of addresses (absolute ones without), signal frames. */
static bool read_augmentation(const Dwarf_CIE *cie, struct common *common)
{
	const uint8_t *at = cie->augmentation_data, *end = at + cie->augmentation_data_size;
	const char *letter = cie->augmentation;

	common->encoding = DW_EH_PE_absptr;
	if (!*letter)
		return true;
	if (*letter++ != 'z')
		return false;
	common->augmented = true;
	for (; *letter; letter++) {
		common->cfa.signal |= *letter == 'S';
		if (*letter == 'S' || *letter == 'B')
			continue; /* B, on arm64: which key signs return addresses */
		if (at >= end)
			return false;
		switch (*letter) {
		case 'R':
			common->encoding = *at++;
			break;
		case 'L':
			at++;
			break;
		case 'P':
			if (!form_size(ENCODING_FORM(*at)) ||
			    (size_t)(end - at) < 1 + form_size(ENCODING_FORM(*at)))
				return false;
			at += 1 + form_size(ENCODING_FORM(*at));
			break;
		default:
			return false;
		}
	}
	return true;
}

static bool read_common(struct kb_eh_frame *frames, uint64_t offset, struct common *common)
{
	Dwarf_CFI_Entry entry;
	Dwarf_Off next;

	*common = (struct common){ .offset = offset };
	if (dwarf_next_cfi(frames->ident, frames->data, true, offset, &next, &entry) ||
	    !dwarf_cfi_cie_p(&entry) || !read_augmentation(&entry.cie, common))
		return false;
	common->cfa.initial.at = entry.cie.initial_instructions;
	common->cfa.initial.end = entry.cie.initial_instructions_end;
	common->cfa.code_alignment = entry.cie.code_alignment_factor;
	common->cfa.data_alignment = entry.cie.data_alignment_factor;
	common->cfa.fp = frames->fp;
	common->cfa.ra = (uint32_t)entry.cie.return_address_register;
	return true;
}

/* The CIE of an FDE, which mostly is that of the one before. */
static const struct common *common_of(struct kb_eh_frame *frames, uint64_t offset)
{
	struct common *commons = frames->commons;

	if (frames->n_commons && commons[frames->n_commons - 1].offset == offset)
		return &commons[frames->n_commons - 1];
	for (uint32_t i = 0; i < frames->n_commons && i < 32; i++)
		if (commons[i].offset == offset)
			return &commons[i];
	commons = kb_array__grow(commons, &frames->commons_capacity, frames->n_commons + 1,
				 sizeof(*commons), COMMONS_MAX);
	if (!commons)
		return NULL;
	frames->commons = commons;
	if (!read_common(frames, offset, &commons[frames->n_commons]))
		return NULL;
	return &commons[frames->n_commons++];
}

/* ---------------------------------------------------------------- FDEs */

static uint64_t read_form(const uint8_t *at, uint8_t form)
{
	uint64_t word = 0;

	memcpy(&word, at, form_size(form));
	if (form == DW_EH_PE_sdata4)
		return (uint64_t)(int32_t)word;
	return form == DW_EH_PE_sdata2 ? (uint64_t)(int16_t)word : word;
}

/* The program behind an FDE's augmentation data. */
static bool find_code(const struct common *common, const uint8_t *at, const uint8_t *end,
		      struct kb_eh_range *range)
{
	struct kb_cfa_code rest = { at, end };
	uint64_t size = 0;

	if (common->augmented && (!kb_cfa__uleb(&rest, &size) || size > (uint64_t)(end - rest.at)))
		return false;
	range->code = rest.at + size;
	range->code_bytes = (uint32_t)(end - range->code);
	return true;
}

static bool read_range(struct kb_eh_frame *frames, const Dwarf_FDE *fde, struct kb_eh_range *range)
{
	const struct common *common = common_of(frames, fde->CIE_pointer);
	const uint8_t *at = fde->start;
	uint8_t origin, form;
	size_t size;

	if (!common)
		return false;
	origin = ENCODING_ORIGIN(common->encoding);
	form = ENCODING_FORM(common->encoding);
	size = form_size(form);
	if (!size || (common->encoding & DW_EH_PE_indirect) || fde->end < at ||
	    (size_t)(fde->end - at) < 2 * size ||
	    (origin != DW_EH_PE_absptr && origin != DW_EH_PE_pcrel))
		return false;
	range->start = read_form(at, form);
	if (origin == DW_EH_PE_pcrel)
		range->start += frames->address + (uint64_t)(at - (uint8_t *)frames->data->d_buf);
	/* The length has the same form, without a sign. */
	range->end = 0;
	memcpy(&range->end, at + size, size);
	range->end += range->start;
	range->common = (uint32_t)(common - frames->commons);
	return range->end > range->start && find_code(common, at + 2 * size, fde->end, range);
}

static struct kb_error *add_range(struct kb_eh_frame *frames, const struct kb_eh_range *range)
{
	struct kb_eh_range *ranges;

	if (frames->n_ranges >= frames->max)
		return kb_failed("more than %u functions in its .eh_frame", frames->max);
	ranges = kb_array__grow(frames->ranges, &frames->ranges_capacity, frames->n_ranges + 1,
				sizeof(*ranges), frames->max);
	if (!ranges)
		return kb_error__no_memory();
	frames->ranges = ranges;
	ranges[frames->n_ranges++] = *range;
	return NULL;
}

static struct kb_error *read_ranges(struct kb_eh_frame *frames)
{
	Dwarf_Off offset = 0, next = 0;
	Dwarf_CFI_Entry entry;

	for (uint32_t i = 0; i < ENTRIES_MAX; i++, offset = next) {
		struct kb_eh_range range;
		int status =
			dwarf_next_cfi(frames->ident, frames->data, true, offset, &next, &entry);

		/* An entry that cannot be read is passed over, when it says where the next one is.
		 */
		if (status > 0 || next == (Dwarf_Off)-1 || next <= offset)
			break;
		if (status == 0 && !dwarf_cfi_cie_p(&entry) &&
		    read_range(frames, &entry.fde, &range))
			KB_TRY(add_range(frames, &range));
	}
	return NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct kb_eh_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* After sorting. A range is only cut at its end: its program runs from its start. */
static void cut_overlaps(struct kb_eh_frame *frames)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < frames->n_ranges; i++) {
		struct kb_eh_range *range = &frames->ranges[i];
		struct kb_eh_range *before = kept ? &frames->ranges[kept - 1] : NULL;

		if (before && before->start == range->start)
			continue;
		if (before && before->end > range->start)
			before->end = range->start;
		frames->ranges[kept++] = *range;
	}
	frames->n_ranges = kept;
}

static struct kb_error *open_frames(struct kb_eh_frame *frames, const struct kb_elf_file *file)
{
	const char *ident;

	frames->elf = elf_begin(kb_elf_file__fd(file), ELF_C_READ, NULL);
	ident = frames->elf ? elf_getident(frames->elf, NULL) : NULL;
	if (!ident || !find_section(frames))
		return kb_unsupported("no unwind information (.eh_frame)");
	memcpy(frames->ident, ident, EI_NIDENT);
	KB_TRY(read_ranges(frames));
	if (!frames->n_ranges)
		return kb_unsupported("no unwind information (.eh_frame is empty)");
	qsort(frames->ranges, frames->n_ranges, sizeof(*frames->ranges), by_start);
	cut_overlaps(frames);
	return NULL;
}

struct kb_error *kb_eh_frame__open(const struct kb_elf_file *file, uint32_t fp, uint32_t max,
				   struct kb_eh_frame **frames)
{
	struct kb_eh_frame *opened = calloc(1, sizeof(*opened));
	struct kb_error *err;

	if (!opened)
		return kb_error__no_memory();
	opened->fp = fp;
	opened->max = max;
	err = open_frames(opened, file);
	if (err) {
		kb_eh_frame__close(opened);
		return err;
	}
	*frames = opened;
	return NULL;
}

void kb_eh_frame__close(struct kb_eh_frame *frames)
{
	if (!frames)
		return;
	elf_end(frames->elf);
	free(frames->ranges);
	free(frames->commons);
	free(frames);
}

uint32_t kb_eh_frame__count(const struct kb_eh_frame *frames)
{
	return frames->n_ranges;
}

const struct kb_eh_range *kb_eh_frame__at(const struct kb_eh_frame *frames, uint32_t index)
{
	return &frames->ranges[index];
}

struct kb_error *kb_eh_frame__rows(const struct kb_eh_frame *frames,
				   const struct kb_eh_range *range, kb_cfa_row_fn row,
				   void *context)
{
	struct kb_cfa_code code = { range->code, range->code + range->code_bytes };

	return kb_cfa_program__run(&frames->commons[range->common].cfa, code, range->start,
				   range->end, row, context);
}
