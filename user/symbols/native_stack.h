/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_NATIVE_STACK_H
#define KB_SYMBOLS_NATIVE_STACK_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/registers.h"
#include "symbols/module.h"
#include "symbols/unwind_store.h"
#include "system/pages.h"

/*
 * The native stack of a thread that does not run, from its registers and its memory: the
 * same rules and the same steps as in bpf/native/unwind.bpf.c.
 */
#define KB_NATIVE_STACK_MAX 1024

/* The code that a process has mapped. */
struct kb_code_map;
/* As it is now. modules is borrowed, and outlives it. */
struct kb_error *kb_code_map__create(struct kb_modules *modules, pid_t pid,
				     struct kb_code_map **map);
/* As it was: ascending ranges, which are copied. */
struct kb_code_range {
	uint64_t start, end;
	uint64_t relative;		/* of start, in the module */
	const struct kb_module *module; /* NULL: no file's code */
	const char *label;		/* of what is no module; "": anonymous memory */
};
struct kb_error *kb_code_map__of_ranges(const struct kb_code_range *ranges, uint32_t n,
					struct kb_code_map **map);
uint32_t kb_code_map__size(const struct kb_code_map *map);
void kb_code_map__destroy(struct kb_code_map *map);

struct kb_native_place {
	uint64_t address; /* one that lies in the call, or the interrupted instruction */
	const struct kb_module *module; /* NULL: no file's code */
	uint64_t relative;		/* in the module */
	const char *label; /* of what is no module: "[anonymous]" …; lives as long as the map */
};

enum kb_native_end {
	KB_NATIVE_ROOT,	      /* complete */
	KB_NATIVE_NO_TABLE,   /* code without unwind information */
	KB_NATIVE_UNMAPPED,   /* an address where no code is */
	KB_NATIVE_UNREADABLE, /* a stack that could not be read, or is none */
	KB_NATIVE_CUT,	      /* deeper than KB_NATIVE_STACK_MAX */
};

/* Leaf first; *n of places, which has room for KB_NATIVE_STACK_MAX. */
enum kb_native_end kb_native_stack__walk(struct kb_pages *pages, const struct kb_code_map *map,
					 struct kb_unwind_store *tables,
					 const struct kb_registers *registers,
					 struct kb_native_place *places, uint32_t *n);

#endif
