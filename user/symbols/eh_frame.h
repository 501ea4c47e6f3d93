/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_EH_FRAME_H
#define KB_SYMBOLS_EH_FRAME_H

#include <elfutils/libdw.h>
#include <stdint.h>
#include "keelback/error.h"
#include "system/elf_file.h"

/*
 * The .eh_frame of an ELF file: the address ranges that its FDEs cover, and libdw's reader for
 * what holds at one address.
 */
struct kb_eh_frame;

struct kb_eh_range {
	uint64_t start, end; /* link-time addresses */
};

/* KB_STATUS_UNSUPPORTED: there is none. */
struct kb_error *kb_eh_frame__open(const struct kb_elf_file *file, struct kb_eh_frame **frames);
void kb_eh_frame__close(struct kb_eh_frame *frames);

/* The ranges, at most `max`, ascending and without overlap: what a range shares with the one before
 * is left out. Both live as long as `frames`. */
struct kb_error *kb_eh_frame__ranges(struct kb_eh_frame *frames, uint32_t max,
				     const struct kb_eh_range **ranges, uint32_t *n);

/* What holds at an address, or NULL; free() it. */
Dwarf_Frame *kb_eh_frame__at(struct kb_eh_frame *frames, uint64_t address);

#endif
