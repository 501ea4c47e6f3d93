/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_MODULE_H
#define KB_SYMBOLS_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"
#include "system/elf_file.h"
#include "system/maps.h"

/*
 * The ELF files with native code that observed processes have mapped. Files with
 * the same build id are one module, whatever container's file system they lie
 * in; so unwind tables and symbols exist once for each. A file is held open from when
 * its mapping was first seen: it is still there when the process, or the file's name, is gone.
 */
struct kb_modules;
struct kb_module;

/* Distinct files; a large Python process has 300. */
#define KB_MODULES_MAX 8192
#define KB_MODULE_NONE UINT32_MAX

struct kb_module_id {
	uint8_t bytes[20];
	uint32_t size;
	/* The GNU build id. Else it was made from device, inode and time, and means nothing to the
	 * next run. */
	bool is_build_id;
};

struct kb_error *kb_modules__create(struct kb_modules **modules);
void kb_modules__destroy(struct kb_modules *modules);

/*
 * The module behind a mapping of a process. NULL without an error: it shows no ELF file of this
 * processor (anonymous memory, a data file), or nothing of it can be read any more. The
 * vDSO ("[vdso]") is read from the process's memory. Errors: KB_MODULES_MAX reached, no
 * memory, out of file descriptors.
 */
struct kb_error *kb_modules__of_mapping(struct kb_modules *modules, pid_t pid,
					const struct kb_map *map, const struct kb_module **module);
/* The module in an open file, whose descriptor is duplicated. NULL as above. */
struct kb_error *kb_modules__of_file(struct kb_modules *modules, int fd, const char *path,
				     const struct kb_module **module);

uint32_t kb_modules__count(const struct kb_modules *modules);
/* NULL beyond the last. */
const struct kb_module *kb_modules__at(const struct kb_modules *modules, uint32_t index);

/* Dense, from 0, and never reused. */
uint32_t kb_module__index(const struct kb_module *module);
const struct kb_module_id *kb_module__id(const struct kb_module *module);
/* As the process that was first seen with it names the file; "[vdso]". */
const char *kb_module__path(const struct kb_module *module);
/* The last component of the path. */
const char *kb_module__name(const struct kb_module *module);
const struct kb_elf_file *kb_module__elf(const struct kb_module *module);

/*
 * Relative address (to the lowest PT_LOAD address, as unwind rows and symbols have it) of the first
 * byte of a mapping that shows the file from `map_offset` on. A process's address a in that mapping
 * is then *relative + (a - map->start). False when no segment contains the offset.
 */
bool kb_module__relative(const struct kb_module *module, uint64_t map_offset, uint64_t *relative);

#endif
