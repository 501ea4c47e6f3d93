// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "base/id_map.h"
#include "model/memory.h"
#include "model/private.h"

struct kb_memory {
	struct kb_profile *profile;
	struct kb_memory_head head;
	struct kb_memory_process_info *processes;
	uint32_t n_processes, processes_capacity;
	struct kb_memory_entry *entries;
	uint32_t n_entries, entries_capacity;
	struct kb_memory_blocks *blocks;
	uint32_t n_blocks, blocks_capacity;
	uint64_t n_live;	      /* sum of their counts */
	struct kb_id_map entry_index; /* (process and domain, node) */
	struct kb_id_map block_index; /* (entry, size and age) */
};

const char *kb_memory_way__text(enum kb_memory_way way)
{
	static const char *const texts[] = {
		[KB_MEMORY_WAY_API] = "exact (Python's allocator)",
		[KB_MEMORY_WAY_LIBC] = "exact (malloc, which Python uses for everything)",
		[KB_MEMORY_WAY_GROWTH] = "estimate of growth (new pools, and malloc)",
	};

	return way < sizeof(texts) / sizeof(texts[0]) ? texts[way] : NULL;
}

const char *kb_memory_domain__name(enum kb_memory_domain domain)
{
	static const char *const names[KB_MEMORY_DOMAINS] = { "raw",  "mem",  "obj",   "libc",
							      "mmap", "pool", "arena", "native" };

	return domain < KB_MEMORY_DOMAINS ? names[domain] : NULL;
}

enum kb_memory_group kb_memory__group_of(enum kb_memory_way way, enum kb_memory_domain domain)
{
	if (domain == KB_MEMORY_MMAP || domain == KB_MEMORY_ARENA)
		return KB_MEMORY_MAPPED;
	/* Recordings of before there was a domain for it have it as libc. */
	if (domain == KB_MEMORY_BY_NATIVE || (way == KB_MEMORY_WAY_API && domain == KB_MEMORY_LIBC))
		return KB_MEMORY_NATIVE;
	return KB_MEMORY_HEAP;
}

struct kb_memory *kb_memory__begin(struct kb_profile *profile, const struct kb_memory_head *head)
{
	struct kb_memory *memory = profile->memory;

	if (!memory) {
		memory = calloc(1, sizeof(*memory));
		if (!memory)
			return NULL;
		kb_id_map__init(&memory->entry_index, KB_MEMORY_ENTRIES_MAX);
		kb_id_map__init(&memory->block_index, KB_MEMORY_SIZES_MAX);
		memory->profile = profile;
		profile->memory = memory;
	}
	memory->head = *head;
	memory->n_processes = memory->n_entries = memory->n_blocks = 0;
	memory->n_live = 0;
	kb_id_map__clear(&memory->entry_index);
	kb_id_map__clear(&memory->block_index);
	return memory;
}

void kb_memory__destroy(struct kb_memory *memory)
{
	if (!memory)
		return;
	kb_id_map__free(&memory->entry_index);
	kb_id_map__free(&memory->block_index);
	free(memory->processes);
	free(memory->entries);
	free(memory->blocks);
	free(memory);
}

bool kb_memory__add_process(struct kb_memory *memory, const struct kb_memory_process_info *info)
{
	struct kb_memory_process_info *processes = kb_array__grow(
		memory->processes, &memory->processes_capacity, memory->n_processes + 1,
		sizeof(*processes), KB_PROFILE_PROCESSES_MAX);

	if (!processes || info->process >= memory->profile->n_processes)
		return false;
	memory->processes = processes;
	processes[memory->n_processes++] = *info;
	return true;
}

uint32_t kb_memory__add_entry(struct kb_memory *memory, const struct kb_memory_entry *entry)
{
	uint64_t group = (uint64_t)entry->domain << 32 | entry->process;
	uint32_t id = kb_id_map__get(&memory->entry_index, group, entry->node);
	struct kb_memory_entry *entries = memory->entries;

	if (id == KB_ID_MAP_NONE) {
		id = memory->n_entries;
		entries = kb_array__grow(memory->entries, &memory->entries_capacity, id + 1,
					 sizeof(*entries), KB_MEMORY_ENTRIES_MAX);
		if (!entries || entry->process >= memory->profile->n_processes ||
		    entry->node >= memory->profile->tree.n_nodes ||
		    entry->domain >= KB_MEMORY_DOMAINS ||
		    !kb_id_map__set(&memory->entry_index, group, entry->node, id))
			return KB_ID_NONE;
		memory->entries = entries;
		entries[memory->n_entries++] = *entry;
		return id;
	}
	entries[id].live_bytes += entry->live_bytes;
	entries[id].live_blocks += entry->live_blocks;
	entries[id].peak_bytes += entry->peak_bytes;
	entries[id].peak_blocks += entry->peak_blocks;
	entries[id].total_bytes += entry->total_bytes;
	entries[id].total_blocks += entry->total_blocks;
	return id;
}

/* Blocks that are twice as old are apart, so that what is old can be told from what is new. */
static uint64_t age_class(const struct kb_memory *memory, uint64_t time_ns)
{
	uint64_t seconds = 0;

	if (memory->head.taken_ns > time_ns)
		seconds = (memory->head.taken_ns - time_ns) / 1000000000;
	return seconds ? 64 - __builtin_clzll(seconds) : 0;
}

#define SIZE_BITS 56 /* more than a process has addresses */

bool kb_memory__add_blocks(struct kb_memory *memory, const struct kb_memory_blocks *more)
{
	uint64_t key = more->size | age_class(memory, more->newest_ns) << SIZE_BITS;
	uint32_t id = kb_id_map__get(&memory->block_index, more->entry, key);
	struct kb_memory_blocks *blocks = memory->blocks;

	/* No more than the kernel's table can have. */
	if (more->count > KB_MEMORY_BLOCKS_MAX - memory->n_live || more->size >> SIZE_BITS)
		return false;
	memory->n_live += more->count;
	if (id == KB_ID_MAP_NONE) {
		id = memory->n_blocks;
		blocks = kb_array__grow(memory->blocks, &memory->blocks_capacity, id + 1,
					sizeof(*blocks), KB_MEMORY_SIZES_MAX);
		if (!blocks || more->entry >= memory->n_entries ||
		    !kb_id_map__set(&memory->block_index, more->entry, key, id))
			return false;
		memory->blocks = blocks;
		blocks[memory->n_blocks++] = *more;
		return true;
	}
	blocks[id].count += more->count;
	if (more->oldest_ns < blocks[id].oldest_ns)
		blocks[id].oldest_ns = more->oldest_ns;
	if (more->newest_ns > blocks[id].newest_ns)
		blocks[id].newest_ns = more->newest_ns;
	return true;
}

enum kb_memory_way kb_memory__way_of(const struct kb_memory *memory, uint32_t process)
{
	for (uint32_t i = 0; i < memory->n_processes; i++)
		if (memory->processes[i].process == process)
			return memory->processes[i].way;
	return KB_MEMORY_WAY_API;
}

const struct kb_memory *kb_profile__memory(const struct kb_profile *profile)
{
	return profile->memory;
}

uint32_t kb_memory__n_processes(const struct kb_memory *memory)
{
	return memory->n_processes;
}

const struct kb_memory_process_info *kb_memory__process(const struct kb_memory *memory,
							uint32_t index)
{
	return &memory->processes[index];
}

uint32_t kb_memory__n_entries(const struct kb_memory *memory)
{
	return memory->n_entries;
}

const struct kb_memory_entry *kb_memory__entries(const struct kb_memory *memory)
{
	return memory->entries;
}

uint32_t kb_memory__n_blocks(const struct kb_memory *memory)
{
	return memory->n_blocks;
}

const struct kb_memory_blocks *kb_memory__blocks(const struct kb_memory *memory)
{
	return memory->blocks;
}

unsigned kb_memory__frames_max(const struct kb_memory *memory)
{
	return memory->head.frames_max;
}

uint64_t kb_memory__taken_ns(const struct kb_memory *memory)
{
	return memory->head.taken_ns;
}
