/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_METHOD_NAMES_H
#define KB_PYTHON_METHOD_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include "keelback/error.h"
#include "system/elf_file.h"

/*
 * The names that Python gives to C functions: an interpreter or extension module
 * describes its functions, types and methods to Python in static tables, which stripped files have,
 * too. A function is named for what it implements: "zlib.compress", "str.join",
 * "re.Pattern.findall", "dict.tp_dealloc". Pointers and names are what is looked for; that an
 * address is the start of a function is left to the caller to check.
 */
#define KB_METHOD_NAME_MAX 128

struct kb_method_name {
	uint64_t address; /* as linked */
	char name[KB_METHOD_NAME_MAX];
};

struct kb_method_names {
	struct kb_method_name *names; /* ascending by address, one each */
	size_t n;
};

/*
 * None in files that are neither an interpreter nor an extension module. A function that serves
 * several types has the name of the method alone; one that serves several methods of several types
 * has none.
 */
struct kb_error *kb_method_names__read(const struct kb_elf_file *file,
				       struct kb_method_names *names);
void kb_method_names__free(struct kb_method_names *names);

#endif
