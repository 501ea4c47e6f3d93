/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_TLS_H
#define KB_PYTHON_TLS_H

#include "bpf/shared/process.h"
#include "system/elf_file.h"

/*
 * Where a thread-local pointer of the interpreter lives: by the exported function
 * `getter` that returns it, else by the name of the variable itself, which only builds with .symtab
 * have. kind is KB_TLS_NONE when neither tells.
 */
struct kb_tls kb_tls__find(const struct kb_elf_file *file, const char *getter,
			   const char *variable);

#endif
