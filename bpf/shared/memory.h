/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_MEMORY_H
#define KB_SHARED_MEMORY_H

#include "types.h"

/*
 * Allocations: which blocks are alive, and what each stack has allocated
 * (bpf/memory.bpf.c). A block belongs to a domain, which says by whose function it was allocated,
 * and is accounted in a group, whose sum and peak are kept for each process.
 */
enum kb_memory_domain_id {
	KB_DOMAIN_RAW = 0, /* PYMEM_DOMAIN_RAW, _MEM and _OBJ of Include/cpython/pymem.h */
	KB_DOMAIN_MEM = 1,
	KB_DOMAIN_OBJECT = 2,
	KB_DOMAIN_LIBC = 3,   /* malloc and its family */
	KB_DOMAIN_MMAP = 4,   /* mappings that the process made itself */
	KB_DOMAIN_POOL = 5,   /* a pool of pymalloc, given to a size class */
	KB_DOMAIN_ARENA = 6,  /* a mapping of an arena's size */
	KB_DOMAIN_NATIVE = 7, /* malloc and its family, for code that is not the interpreter's */
	KB_DOMAIN_IDS = 8,
};

enum kb_memory_group_id {
	KB_GROUP_HEAP = 0,   /* what tracemalloc would count, or what stands for it */
	KB_GROUP_MAPPED = 1, /* mappings: they hold what is in the heap, and more */
	KB_GROUP_NATIVE = 2, /* malloc beside the exact heap: extensions and libraries */
	KB_GROUP_IDS = 3,
};

/* What a probed function does: where its arguments are and what its result means. */
enum kb_memory_op {
	KB_OP_MALLOC = 1,     /* (size) */
	KB_OP_CALLOC,	      /* (n, size) */
	KB_OP_REALLOC,	      /* (block, size) */
	KB_OP_REALLOCARRAY,   /* (block, n, size) */
	KB_OP_ALIGNED_ALLOC,  /* (alignment, size) */
	KB_OP_POSIX_MEMALIGN, /* (&block, alignment, size) = 0 */
	KB_OP_MMAP,	      /* (address, size, …), MAP_FAILED */
	KB_OP_MREMAP,	      /* (block, old size, size, …), MAP_FAILED */
	KB_OP_POOL,	      /* = a block in a new pool */
	KB_OP_FREE,	      /* (block) */
	KB_OP_MUNMAP,	      /* (address, size) */
};

/*
 * A probe's cookie. `shifted`: the arguments begin with the second register. `apart`: calls within
 * another function's are seen as well (mappings within pools).
 */
#define KB_COOKIE(op, domain, group, function, shifted, apart, bytes)                              \
	((kb_u64)(op) | (kb_u64)(domain) << 4 | (kb_u64)(group) << 8 | (kb_u64)(shifted) << 10 |   \
	 (kb_u64)(apart) << 11 | (kb_u64)(function) << 16 | (kb_u64)(bytes) << 32)
#define KB_COOKIE_OP(cookie)	   ((kb_u32)(cookie)&15)
#define KB_COOKIE_DOMAIN(cookie)   ((kb_u32)((cookie) >> 4) & 15)
#define KB_COOKIE_GROUP(cookie)	   ((kb_u32)((cookie) >> 8) & 3)
#define KB_COOKIE_SHIFTED(cookie)  ((kb_u32)((cookie) >> 10) & 1)
#define KB_COOKIE_APART(cookie)	   ((kb_u32)((cookie) >> 11) & 1)
#define KB_COOKIE_FUNCTION(cookie) ((kb_u32)((cookie) >> 16) & 0xff)
#define KB_COOKIE_BYTES(cookie)	   ((kb_u32)((cookie) >> 32)) /* of a pool, or of an arena */

/* Where the interpreter's code lies in a process; what calls malloc from elsewhere is native. */
struct kb_memory_text {
	kb_u64 start, end; /* 0, 0: not to be told */
};
KB_ASSERT_SIZE(struct kb_memory_text, 16);

/* A live block. */
struct kb_block_key {
	kb_u64 address;
	kb_u32 proc;
	kb_u32 group; /* an arena and its first pool have one address */
};
KB_ASSERT_SIZE(struct kb_block_key, 16);

struct kb_block {
	kb_u64 size;   /* bytes that were asked for */
	kb_u64 time;   /* CLOCK_MONOTONIC, ns */
	kb_u32 stack;  /* index into the table of stacks, 0: not known */
	kb_u16 window; /* blocks of another window are forgotten */
	kb_u8 domain;
	kb_u8 reserved;
};
KB_ASSERT_SIZE(struct kb_block, 24);

/* Blocks that user space has found to be freed (on_drop_blocks); each goes if it is still the same.
 */
#define KB_MEMORY_DROPS 512

struct kb_memory_drop {
	struct kb_block_key key;
	kb_u64 size, time; /* as in its struct kb_block */
};
KB_ASSERT_SIZE(struct kb_memory_drop, 32);

struct kb_memory_drops {
	kb_u32 n, reserved;
	struct kb_memory_drop blocks[KB_MEMORY_DROPS];
};
KB_ASSERT_SIZE(struct kb_memory_drops, 8 + 32 * KB_MEMORY_DROPS);

/* In place of a stack's hash: the ledger's reason why there is none. */
#define KB_MEMORY_REASONS 256

struct kb_memory_stack_key {
	kb_u64 hash;
	kb_u32 proc;
	kb_u32 domain;
};
KB_ASSERT_SIZE(struct kb_memory_stack_key, 16);

#define KB_MEMORY_STACK_SENT 1u /* user space has its frames */

/*
 * What a stack has allocated. What of it was alive at the process's peak needs no copy of the
 * table: a stack that has not changed since the peak was reached has now what it had then, and one
 * that is about to change notes it first. `peak_at` is the number of that peak.
 */
struct kb_memory_stack {
	struct kb_memory_stack_key key;
	kb_u64 live_bytes, live_blocks;
	kb_u64 peak_bytes, peak_blocks;
	kb_u64 total_bytes, total_blocks;
	kb_u32 peak_at;
	kb_u32 window;
	kb_u32 flags; /* KB_MEMORY_STACK_* */
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_memory_stack, 80);

struct kb_memory_sums {
	kb_u64 current, blocks;
	kb_u64 peak, peak_blocks;
	kb_u64 total, total_blocks;
	kb_u32 peak_at; /* counts the peaks */
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_memory_sums, 56);

struct kb_memory_process {
	struct kb_memory_sums sums[KB_GROUP_IDS];
	kb_u64 frees;
	kb_u64 frees_before; /* of blocks that were not seen being allocated */
	kb_u64 lost_blocks;  /* allocated, and no room to follow them */
	kb_u64 lost_bytes;
	kb_u64 unfinished; /* calls whose end was not seen */
	kb_u64 no_stack;   /* blocks whose stack had no room */
	kb_u32 window;
	kb_u32 peak_epoch;
};
KB_ASSERT_SIZE(struct kb_memory_process, 224);

/* Shared with user space while running. */
struct kb_memory_control {
	kb_u32 window;	   /* what was before is forgotten; 0: nothing is counted */
	kb_u32 peak_epoch; /* moves on: the peak is what is alive now */
	kb_u32 attached;   /* counts attachments: calls that began under another one are stale */
	kb_u32 n_stacks;   /* in the table, without number 0 */
};
KB_ASSERT_SIZE(struct kb_memory_control, 16);

#endif
