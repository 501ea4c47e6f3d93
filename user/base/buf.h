/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_BUF_H
#define KB_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes that grow up to a maximum given at the start. The first append that
 * does not fit, or finds no memory, sets `failed`: from then on appends do nothing, so that
 * a series of them needs one check at its end.
 */
struct kb_buf {
	uint8_t *data;
	size_t size, capacity, max;
	bool failed;
};

/* Allocates nothing yet. */
void kb_buf__init(struct kb_buf *buf, size_t max);
void kb_buf__free(struct kb_buf *buf);
/* Empty again and not failed; keeps the memory. */
void kb_buf__clear(struct kb_buf *buf);

/* Makes room for `more` bytes behind data + size; the caller writes there and adds to size. */
bool kb_buf__reserve(struct kb_buf *buf, size_t more);
void kb_buf__append(struct kb_buf *buf, const void *bytes, size_t size);

#endif
