/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_STRPOOL_H
#define KB_BASE_STRPOOL_H

#include <stddef.h>
#include <stdint.h>

/*
 * Byte strings stored once each. Ids are dense and start at 0; pointers stay
 * valid until the pool is destroyed, so equal strings have equal pointers.
 * A 0 byte follows each, which is not part of its size.
 */
#define KB_STRPOOL_NONE UINT32_MAX

struct kb_strpool;

/* Never holds more than max_bytes (counting the 0 bytes) in max_strings. NULL: out of memory. */
struct kb_strpool *kb_strpool__create(size_t max_bytes, uint32_t max_strings);
void kb_strpool__destroy(struct kb_strpool *pool);

/* The id of these bytes, which are copied when new. KB_STRPOOL_NONE: a limit was reached, or no
 * memory. */
uint32_t kb_strpool__add(struct kb_strpool *pool, const void *bytes, size_t size);
/* KB_STRPOOL_NONE: not in the pool. */
uint32_t kb_strpool__find(const struct kb_strpool *pool, const void *bytes, size_t size);

uint32_t kb_strpool__count(const struct kb_strpool *pool);
const char *kb_strpool__at(const struct kb_strpool *pool, uint32_t id);
uint32_t kb_strpool__size(const struct kb_strpool *pool, uint32_t id);

#endif
