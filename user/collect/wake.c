// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <poll.h>
#include "base/error.h"
#include "collect/wake.h"

struct kb_error *kb_wake__add(struct kb_wake *wake, int fd)
{
	if (wake->n == KB_WAKE_MAX)
		return kb_usage("more than %d file descriptors to wait for", KB_WAKE_MAX);
	wake->fds[wake->n++] = fd;
	return NULL;
}

void kb_wake__remove(struct kb_wake *wake, int fd)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < wake->n; i++) {
		if (wake->fds[i] != fd)
			wake->fds[n++] = wake->fds[i];
	}
	wake->n = n;
}

bool kb_wake__await(const struct kb_wake *wake, int fd, int timeout_ms)
{
	struct pollfd fds[KB_WAKE_MAX + 1] = { { .fd = fd, .events = POLLIN } };

	if (!wake->n)
		return false;
	for (uint32_t i = 0; i < wake->n; i++)
		fds[i + 1] = (struct pollfd){ .fd = wake->fds[i], .events = POLLIN };
	poll(fds, wake->n + 1, timeout_ms);
	return true;
}
