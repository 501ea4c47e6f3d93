/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_MEMORY_H
#define KB_MODEL_MEMORY_H

#include "keelback/memory.h"

/*
 * Building what keelback/memory.h reads. The memory belongs to its profile, which checks nothing of
 * it: adding functions say false for ids that are not there, past a limit, and without memory.
 */
#define KB_MEMORY_ENTRIES_MAX (1u << 20) /* as many stacks as the kernel's table may have */
#define KB_MEMORY_SIZES_MAX   (1u << 24) /* entries in the table of blocks */

struct kb_memory_head {
	unsigned frames_max;
	uint64_t taken_ns;
};

/* Makes the profile one of memory, or empties what it has. */
struct kb_memory *kb_memory__begin(struct kb_profile *profile, const struct kb_memory_head *head);
void kb_memory__destroy(struct kb_memory *memory);

bool kb_memory__add_process(struct kb_memory *memory, const struct kb_memory_process_info *info);
/* Entries of the same process, node and domain are one. Its index, KB_ID_NONE: none. */
uint32_t kb_memory__add_entry(struct kb_memory *memory, const struct kb_memory_entry *entry);
/* Blocks of the same entry, size and (within a factor of 2) age are one row. */
bool kb_memory__add_blocks(struct kb_memory *memory, const struct kb_memory_blocks *blocks);

struct kb_section_writer;
/* All of it, as sections of a recording; a later one replaces it. The profile's tables that it
 * refers to have been written. */
struct kb_error *kb_memory__write(const struct kb_memory *memory, struct kb_section_writer *writer);

/* The way of a process; KB_MEMORY_WAY_API when it is not known. */
enum kb_memory_way kb_memory__way_of(const struct kb_memory *memory, uint32_t process);

#endif
