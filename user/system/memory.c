// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <sys/uio.h>
#include "system/memory.h"

bool kb_memory__read(pid_t pid, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = { .iov_base = buffer, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = size };
	ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	if (n >= 0 && (size_t)n != size)
		errno = EFAULT;
	return n >= 0 && (size_t)n == size;
}

bool kb_memory__read_u64(pid_t pid, uint64_t address, uint64_t *value)
{
	return kb_memory__read(pid, address, value, sizeof(*value));
}

bool kb_memory__read_u32(pid_t pid, uint64_t address, uint32_t *value)
{
	return kb_memory__read(pid, address, value, sizeof(*value));
}
