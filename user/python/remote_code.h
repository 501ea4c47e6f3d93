/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_CODE_H
#define KB_PYTHON_REMOTE_CODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "bpf/shared/layout.h"
#include "system/pages.h"

/* A code object read from a live process. */
struct kb_remote_code {
	char *file, *name; /* UTF-8 */
	uint8_t *lines;
	uint32_t lines_bytes;
	int32_t first_line;
};

/*
 * For what BPF could not read in interrupt context because its page was not in
 * memory, as after a fork or under memory pressure. code_type: address of the
 * process's PyCode_Type. False when the process is gone or there is no code
 * object. kb_remote_code__free() it.
 */
bool kb_remote_code__read(pid_t pid, const struct kb_layout *layout, uint64_t code_type,
			  uint64_t address, struct kb_remote_code *code);
/* The same for many objects of one process. */
bool kb_remote_code__read_pages(struct kb_pages *pages, const struct kb_layout *layout,
				uint64_t code_type, uint64_t address, struct kb_remote_code *code);
void kb_remote_code__free(struct kb_remote_code *code);

#endif
