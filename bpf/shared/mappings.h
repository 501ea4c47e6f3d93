/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_MAPPINGS_H
#define KB_SHARED_MAPPINGS_H

#include "types.h"

/*
 * What the unwinder knows of a process's code and of the files in it. Both are
 * arrays of their own size within maps of maps, so that the kernel holds what is
 * needed and no more, and a new version takes the old one's place in one step.
 *
 * A table of an image, elements of 8 bytes:
 *
 *     0                     kb_native_head
 *     1 … n_blocks          kb_native_block, one for every 2^shift bytes of addresses
 *     1 + n_blocks …        kb_unwind_row, ascending (shared/native.h)
 *
 * A list of the executable mappings of a process, elements of kb_native_mapping:
 * the first has their number in `start`, the others are ascending and do not overlap.
 */
/* Up to 3.10 each Python frame is three or four native ones. */
#define KB_NATIVE_FRAMES_MAX 1024
#define KB_NATIVE_IMAGES_MAX 2048 /* files with code on one machine that are unwound; 16 kB */
#define KB_NATIVE_LISTS_MAX  4096 /* processes with lists of their own: as many as are known */
/* A mapping of code without a table. The kernel stops there; user space knows of it and is not
 * asked. */
#define KB_NATIVE_NO_IMAGE 0xffffffffu

struct kb_native_head {
	kb_u32 n_blocks;
	kb_u32 shift;
};
KB_ASSERT_SIZE(struct kb_native_head, 8);

/*
 * Where to search for the row of an address in the block: the last row at or before the block's
 * start (the first of all, when there is none before), and those within the block.
 */
struct kb_native_block {
	kb_u32 first; /* element of the table */
	kb_u32 n;
};
KB_ASSERT_SIZE(struct kb_native_block, 8);
#define KB_NATIVE_BLOCK_ROWS 4096 /* at most; 13 steps of binary search */

struct kb_native_mapping {
	kb_u64 start;
	kb_u64 end;
	kb_u64 base;  /* address of the image's lowest link-time address */
	kb_u32 image; /* place of its table, or KB_NATIVE_NO_IMAGE */
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_native_mapping, 32);
#define KB_NATIVE_MAPPINGS_MAX                                                                     \
	4095 /* per process; 12 steps. The largest programs have some hundred libraries            \
	      */

/* What is known of a process's mappings, by process id. */
struct kb_native_proc {
	kb_u32 list;	    /* 1 + its place among the lists, 0: not read yet */
	kb_u32 asked;	    /* notices sent since the list was read */
	kb_u64 next_notice; /* ns */
};
KB_ASSERT_SIZE(struct kb_native_proc, 16);

#endif
