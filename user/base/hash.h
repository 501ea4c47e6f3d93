/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_HASH_H
#define KB_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * Hash of bytes under a key that is random in each process, so that nobody who
 * chooses the bytes (a target's names, a recording) can make them collide.
 * Never store it.
 */
uint64_t kb_hash__bytes(const void *bytes, size_t size);

#endif
