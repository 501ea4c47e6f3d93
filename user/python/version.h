/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_VERSION_H
#define KB_PYTHON_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "system/elf_file.h"

/*
 * PY_VERSION_HEX of the interpreter in a file without _Py_DebugOffsets: Py_Version (3.11+),
 * the text that Py_GetVersion() formats, the library's soname, the file's name, or the
 * name of the directory of the standard library. From names only 3.x is known; the rest is 0 then.
 */
bool kb_version__find(const struct kb_elf_file *file, const char *path, uint32_t *version_hex);

/* The same from a text that begins with a version as PY_VERSION is written: "3.9.18", "3.13.0rc2+".
 */
bool kb_version__parse(const char *text, uint32_t *version_hex);

/* "3.12.1", "3.13.0rc2"; "3.6" when nothing more is known. */
void kb_version__format(uint32_t version_hex, char *text, size_t size);

#endif
