/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_LAYOUT_H
#define KB_PYTHON_LAYOUT_H

#include "bpf/shared/layout.h"
#include "keelback/error.h"
#include "system/elf_file.h"

/*
 * Layouts are made in two steps: a source (python/debug_offsets.h, DWARF, the
 * built-in table) fills in offsets, then the traits of the version and the
 * sizes that follow from the offsets are added and everything is checked.
 */
#define KB_PYTHON_MINOR_MIN 6
#define KB_PYTHON_MINOR_MAX 15

/* Bytes of a frame that the walker's window is made for; the largest is 3.6's (f_lasti at 120). */
#define KB_FRAME_SIZE_MAX 128

/* A layout in which no offset is known. */
void kb_layout__init(struct kb_layout *layout, unsigned int minor);

/* Copies the offsets that the layout's version has; its other fields stay. */
void kb_layout__copy_fields(struct kb_layout *layout, const struct kb_layout *from);

/*
 * Adds what follows from the version and from the other offsets (kinds, frame_size, code_size,
 * owner to skip), and checks that everything that the walk needs is known and of a
 * sane size. KB_STATUS_UNSUPPORTED with the reason otherwise.
 */
struct kb_error *kb_layout__finish(struct kb_layout *layout);

/* From debug information, see system/dwarf_info.h. False when there is none, or it lacks a field.
 */
bool kb_layout__from_dwarf(const struct kb_elf_file *file, const char *path, unsigned int minor,
			   struct kb_layout *layout);

/* The built-in table, 3.6 to 3.12, of builds for 64 bits without Py_DEBUG. False for other
 * versions. */
bool kb_layout__from_table(unsigned int minor, struct kb_layout *layout);

#endif
