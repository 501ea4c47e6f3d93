/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_TYPES_H
#define KB_SHARED_TYPES_H

/*
 * Fixed-width integers under one name for BPF programs, user space and the
 * host build of the walker. Nothing in bpf/shared includes anything else.
 */
typedef __UINT8_TYPE__ kb_u8;
typedef __UINT16_TYPE__ kb_u16;
typedef __UINT32_TYPE__ kb_u32;
/* long long, not __UINT64_TYPE__: the kernel's __u64 is long long everywhere, and the helpers take
 * it. */
typedef unsigned long long kb_u64;
typedef __INT8_TYPE__ kb_s8;
typedef __INT32_TYPE__ kb_s32;
typedef long long kb_s64;

/* Both sides of the ring and of the maps must agree on every size. */
#define KB_ASSERT_SIZE(type, bytes)                                                                \
	_Static_assert(sizeof(type) == (bytes), "size of " #type " changed")

#endif
