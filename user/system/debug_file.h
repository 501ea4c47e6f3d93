/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_DEBUG_FILE_H
#define KB_SYSTEM_DEBUG_FILE_H

#include "system/elf_file.h"

/* Where Debian, Fedora and others install separate debug files. */
#define KB_DEBUG_ROOT "/usr/lib/debug"

/* True: this file has what was looked for. It is closed after the call. */
typedef bool (*kb_debug_file_fn)(const struct kb_elf_file *debug, void *context);

/*
 * Shows the separate debug files of an ELF file to `look`, until it takes one: by build id below
 * `root`, by .gnu_debuglink beside `path`, in .debug there, and below `root`. Only files with the
 * same build id; nothing is fetched from the network. False: none was taken.
 */
bool kb_debug_file__find(const struct kb_elf_file *file, const char *path, const char *root,
			 kb_debug_file_fn look, void *context);

#endif
