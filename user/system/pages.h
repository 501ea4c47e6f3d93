/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_PAGES_H
#define KB_SYSTEM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"

/*
 * Memory of another process for many small reads: each page is fetched once and
 * then looked at as it was. 1,000 reads of 8 bytes cost 1.3 ms one by one, and a
 * read of 64 kB 45 µs. What is read this way is not of one instant: the process
 * runs on between the first look at one page and at another.
 */
struct kb_pages;

/* max_pages of 4 kB are kept at most; when they are full all are dropped and fetched anew. */
struct kb_error *kb_pages__create(pid_t pid, uint32_t max_pages, struct kb_pages **pages);
void kb_pages__destroy(struct kb_pages *pages);

/* Exactly `size` bytes at `address`; false when one of them cannot be read. */
bool kb_pages__read(struct kb_pages *pages, uint64_t address, void *buffer, size_t size);
bool kb_pages__read_u64(struct kb_pages *pages, uint64_t address, uint64_t *value);
bool kb_pages__read_u32(struct kb_pages *pages, uint64_t address, uint32_t *value);

/* Keeps a page that was had in another way: `bytes` has all of it. False: no room. */
bool kb_pages__put(struct kb_pages *pages, uint64_t address, const void *bytes);

/* Fetches the pages of many addresses with few system calls, as far as there is room. */
void kb_pages__fetch(struct kb_pages *pages, const uint64_t *addresses, size_t n);

/* Later reads see the memory as it is then. */
void kb_pages__forget(struct kb_pages *pages);
pid_t kb_pages__pid(const struct kb_pages *pages);

#endif
