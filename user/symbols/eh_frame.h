/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_EH_FRAME_H
#define KB_SYMBOLS_EH_FRAME_H

#include <stdint.h>
#include "keelback/error.h"
#include "symbols/cfa_program.h"
#include "system/elf_file.h"

/* The .eh_frame of an ELF file: which addresses its FDEs cover, with which programs. */
struct kb_eh_frame;

struct kb_eh_range {
	uint64_t start, end; /* link-time addresses */
	uint32_t common;     /* index of its CIE */
	uint32_t code_bytes;
	const uint8_t *code; /* of its own program */
};

/*
 * Reads the FDEs of a file, at most `max`; `fp`: DWARF's number of the frame pointer.
 * KB_STATUS_UNSUPPORTED: there are none.
 */
struct kb_error *kb_eh_frame__open(const struct kb_elf_file *file, uint32_t fp, uint32_t max,
				   struct kb_eh_frame **frames);
void kb_eh_frame__close(struct kb_eh_frame *frames);

/* Ascending and without overlap: what a range shares with the one before is left out. */
uint32_t kb_eh_frame__count(const struct kb_eh_frame *frames);
const struct kb_eh_range *kb_eh_frame__at(const struct kb_eh_frame *frames, uint32_t index);

/* kb_cfa_program__run() for one of the ranges. */
struct kb_error *kb_eh_frame__rows(const struct kb_eh_frame *frames,
				   const struct kb_eh_range *range, kb_cfa_row_fn row,
				   void *context);

#endif
