/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_REGISTERS_H
#define KB_KERNEL_REGISTERS_H

#include <sys/types.h>
#include "bpf/shared/registers.h"
#include "keelback/error.h"

/* Registers of threads that sleep, by bpf/registers.bpf.c. */
struct kb_register_reader;

/* KB_STATUS_UNSUPPORTED with the reason where the kernel does not let us. */
struct kb_error *kb_register_reader__create(struct kb_register_reader **reader);
void kb_register_reader__destroy(struct kb_register_reader *reader);

/* Of one thread; false: it is gone. */
bool kb_register_reader__read(struct kb_register_reader *reader, pid_t pid, pid_t tid,
			      struct kb_registers *registers);

#endif
