/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_IMAGE_H
#define KB_PYTHON_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/layout.h"
#include "bpf/shared/process.h"
#include "bpf/shared/tasks.h"
#include "keelback/error.h"
#include "python/object_layout.h"

/*
 * What one ELF file tells of the interpreter in it, without a running process:
 * version, layout, the addresses of the interpreter's global state, where the
 * current thread state's thread-local pointer lives, and the functions that
 * every start of an interpreter enters.
 */
#define KB_INIT_FUNCTIONS_MAX KB_IMAGE_INIT_MAX

enum kb_layout_source { KB_LAYOUT_DEBUG_OFFSETS, KB_LAYOUT_DWARF, KB_LAYOUT_BUILT_IN };

struct kb_image_info {
	uint32_t version_hex; /* PY_VERSION_HEX; the micro version is 0 with release level 0 when
				 only 3.x is known */
	struct kb_layout layout;
	enum kb_layout_source layout_source;
	struct kb_object_layout objects;
	struct kb_task_layout tasks;
	struct kb_image image; /* addresses as linked; layout index and id are left 0 */
	uint64_t load_address; /* p_vaddr of the first PT_LOAD, page-aligned: bias = start of its
				  mapping - this */
	/* File offsets (for uprobes) and link-time addresses of Py_InitializeFromConfig and its
	 * older cousins. */
	uint32_t n_init;
	uint64_t init_offset[KB_INIT_FUNCTIONS_MAX];
	uint64_t init_address[KB_INIT_FUNCTIONS_MAX];
	bool shared;  /* a library, not an executable */
	bool symbols; /* has .symtab */
	bool free_threaded;
	bool jit; /* built with the JIT compiled in */
	uint8_t build_id[20];
	uint32_t build_id_bytes;
	char version[32]; /* "3.12.1", "3.6" */
};

/*
 * Analyses an open ELF file; path is for messages, for its file name (the
 * version of builds without Py_Version) and to find separate debug files.
 * *is_python false with no error: simply no interpreter in this file.
 * KB_STATUS_UNSUPPORTED: one that keelback refuses, with the reason.
 */
struct kb_error *kb_image__read(int fd, const char *path, bool *is_python,
				struct kb_image_info *info);

/* A cheap first look at a file name: could this mapped file hold an interpreter? (libpython*,
 * python*, any main executable) */
bool kb_image__plausible_name(const char *path);

#endif
