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

/* The pieces from `first` on that one call reads: it stops at the first that cannot be read. */
static size_t read_run(pid_t pid, const uint64_t *addresses, size_t n, size_t size, void *buffer)
{
	struct iovec local = { .iov_base = buffer }, remote[IOV_MAX];
	ssize_t got;

	if (n > IOV_MAX)
		n = IOV_MAX;
	for (size_t i = 0; i < n; i++)
		remote[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)addresses[i],
					    .iov_len = size };
	local.iov_len = n * size;
	got = process_vm_readv(pid, &local, 1, remote, n, 0);
	return got > 0 ? (size_t)got / size : 0;
}

void kb_memory__read_many(pid_t pid, const uint64_t *addresses, size_t n, size_t size, void *buffer,
			  bool *readable)
{
	for (size_t done = 0; done < n;) {
		size_t got = read_run(pid, addresses + done, n - done, size,
				      (char *)buffer + done * size);

		for (size_t end = done + got; done < end; done++)
			readable[done] = true;
		/* The next one is unreadable, or the call had as many as it takes. */
		if (done < n && got < IOV_MAX)
			readable[done++] = false;
	}
}
