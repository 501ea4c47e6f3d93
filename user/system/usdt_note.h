/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_USDT_NOTE_H
#define KB_SYSTEM_USDT_NOTE_H

#include "system/elf_file.h"

/*
 * The static probes (USDT) that a program was built with: `nop` instructions that the notes of
 * .note.stapsdt describe (systemtap's "UserSpaceProbeImplementation", sys/sdt.h). CPython has
 * them when configured with --with-dtrace (Include/pydtrace.d names them; provider "python").
 * One probe may have several places, each with a note of its own.
 */
struct kb_usdt_note {
	const char *provider, *name; /* live as long as the file, like all texts here */
	const char *arguments;	     /* as the assembler wrote them: "8@%r14 -4@-40(%rbp)" */
	uint64_t address, offset;    /* of the instruction: as linked, and in the file */
	/* A uint16_t that counts who looks, as linked and in the file: the program reaches the
	 * probe only while it is not 0. Both 0: there is none, the probe is always reached. */
	uint64_t semaphore, semaphore_offset;
};

/* The next note from *at = 0 on; false behind the last. Damaged ones are passed over, and end
 * the search when the next cannot be found. */
bool kb_usdt_note__next(const struct kb_elf_file *file, size_t *at, struct kb_usdt_note *note);

#endif
