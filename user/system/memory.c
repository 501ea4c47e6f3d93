// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <limits.h>
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

#define RUN_MAX (1u << 16) /* pieces of one call: neighbours are read as one */

/*
 * As many pieces as one call takes, *n of them. Returns how many it has read: it stops at the first
 * that cannot be read.
 */
static size_t read_run(pid_t pid, const uint64_t *addresses, size_t *n, size_t size, void *buffer)
{
	struct iovec local = { .iov_base = buffer }, remote[IOV_MAX];
	size_t taken = 0, places = 0;
	ssize_t got;

	for (; taken < *n && taken < RUN_MAX; taken++) {
		if (taken && addresses[taken] == addresses[taken - 1] + size) {
			remote[places - 1].iov_len += size;
			continue;
		}
		if (places == IOV_MAX)
			break;
		remote[places++] = (struct iovec){ .iov_base = (void *)(uintptr_t)addresses[taken],
						   .iov_len = size };
	}
	*n = taken;
	local.iov_len = taken * size;
	got = process_vm_readv(pid, &local, 1, remote, places, 0);
	return got > 0 ? (size_t)got / size : 0;
}

void kb_memory__read_many(pid_t pid, const uint64_t *addresses, size_t n, size_t size, void *buffer,
			  bool *readable)
{
	for (size_t done = 0; done < n;) {
		size_t taken = n - done, got = read_run(pid, addresses + done, &taken, size,
							(char *)buffer + done * size);

		for (size_t i = 0; i < got; i++)
			readable[done + i] = true;
		done += got;
		if (got < taken)
			readable[done++] = false;
	}
}
