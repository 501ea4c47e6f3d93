/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_MEMORY_H
#define KB_SYSTEM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Memory of another process, by process_vm_readv(2): the process is not stopped
 * and may change what is read at any time. A read is whole or it failed.
 */

/* Exactly `size` bytes at `address`; false when one of them could not be read (errno says why). */
bool kb_memory__read(pid_t pid, uint64_t address, void *buffer, size_t size);
bool kb_memory__read_u64(pid_t pid, uint64_t address, uint64_t *value);
bool kb_memory__read_u32(pid_t pid, uint64_t address, uint32_t *value);

/*
 * Pieces of one size from many places, with few system calls: n of `size` bytes each, one after the
 * other into buffer. readable[i] says of each whether it is whole.
 */
void kb_memory__read_many(pid_t pid, const uint64_t *addresses, size_t n, size_t size, void *buffer,
			  bool *readable);

#endif
