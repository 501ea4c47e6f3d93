/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_WAKE_H
#define KB_COLLECT_WAKE_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/sample.h"

/* File descriptors of the session's owner that end a wait for samples, see kb_sampler__wake_on().
 */
struct kb_wake {
	int fds[KB_WAKE_MAX];
	uint32_t n;
};

struct kb_error *kb_wake__add(struct kb_wake *wake, int fd);
void kb_wake__remove(struct kb_wake *wake, int fd);
/* Waits up to timeout_ms for one of them or for fd. False, at once: there are none. */
bool kb_wake__await(const struct kb_wake *wake, int fd, int timeout_ms);

#endif
