// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * glibc's malloc (malloc/malloc.c, 2.26 to 2.43) keeps its books beside the blocks. A chunk begins
 * 16 bytes before the block, with two words: the size of the chunk before it, if that one is free,
 * and its own, with three flags. What follows begins where it ends:
 *
 *     chunk          block                            next chunk
 *     | before | size|P | ...                         | before | size|P |
 *
 * P (PREV_INUSE) says that the chunk before is in use. For as long as a block is allocated
 *
 *   - its own size does not change, and is what was asked for, made a multiple of 16 with the size
 *     word, at most 16 more where the rest was too small for a chunk, or 32 where an alignment
 *     was asked for (_int_memalign())
 *   - the chunk that follows has a size, and P
 *
 * and each of these words is written in one piece, so one of them that is otherwise proves that the
 * block is not the one that was allocated.
 *
 * A free chunk is merged with its neighbours, and words of merged ones stay behind: one whose
 * neighbours on both sides were free looks as before. But then the chunk before it has another size
 * than it says, and there is a free chunk that it lies in: one whose two ends, which both say how
 * large it is, agree. It is looked for from the chunk before on, and believed if the block's own
 * words are still the same afterwards: of a block that is allocated they change with the chunk
 * before it.
 *
 * What looks like a block in use and is none: what lies in a thread's cache (tcache: at most 7 of
 * each size up to 1032 bytes, 16 in 2.43) and in the fastbins (up to 128 bytes), which both
 * count as in use; and another block of the same size at the same address. The key that tcache
 * writes into its entries proves nothing: older versions leave it there when a thread ends.
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "system/malloc_chunks.h"
#include "system/memory.h"
#include "system/pages.h"

#define PREV_INUSE   1ull
#define IS_MMAPPED   2ull
#define FLAGS	     7ull /* with NON_MAIN_ARENA */
#define ALIGNMENT    16ull
#define CHUNK_MIN    32ull
#define HEAD_BYTES   16ull /* before a block */
#define FENCE_BYTES  16ull /* a chunk that ends a heap (sysmalloc()) is smaller than any other */
#define CHUNK_MAX    (1ull << 47)
#define CHUNKS_TRIED 16		  /* of a heap, before it is believed to be one */
#define STEPS_MAX    16		  /* of a search; most take 2 to 4 */
#define SLICE	     256	  /* blocks whose pages are fetched at once */
#define PAGES_MAX    (4u * SLICE) /* 4 MB: two of each block, and where searches lead */

struct head {
	uint64_t before; /* bytes of the chunk before, if that is free */
	uint64_t size;	 /* and flags */
};

static uint64_t bytes_of(uint64_t size)
{
	return size & ~FLAGS;
}

static bool is_size(uint64_t size, uint64_t min)
{
	uint64_t bytes = bytes_of(size);

	return bytes >= min && bytes < CHUNK_MAX && !(bytes % ALIGNMENT);
}

/* request2size() */
static uint64_t least_of(uint64_t size)
{
	uint64_t bytes = (size + 8 + ALIGNMENT - 1) & -ALIGNMENT;

	return bytes < CHUNK_MIN ? CHUNK_MIN : bytes;
}

static bool fits(const struct kb_malloc_chunk *chunk, uint64_t size)
{
	uint64_t bytes = bytes_of(size), least = least_of(chunk->size);

	if (chunk->size >= CHUNK_MAX || bytes % ALIGNMENT)
		return false;
	/* It is unmapped when it is freed, so there is little to find out. */
	if (size & IS_MMAPPED)
		return bytes >= chunk->size;
	return bytes >= least && bytes - least <= (chunk->address % 32 ? 16 : 32);
}

static const struct kb_map *heap_of(const struct kb_maps *maps)
{
	for (size_t i = 0; i < maps->count; i++)
		if (!strcmp(maps->entries[i].path, "[heap]"))
			return &maps->entries[i];
	return NULL;
}

bool kb_malloc_chunks__are_there(pid_t pid, const struct kb_maps *maps)
{
	const struct kb_map *heap = heap_of(maps);
	uint64_t at;

	if (!heap)
		return false;
	at = heap->start;
	for (int i = 0; i < CHUNKS_TRIED; i++) {
		struct head head;

		if (!kb_memory__read(pid, at, &head, sizeof(head)) ||
		    !is_size(head.size, CHUNK_MIN) || head.size & (FLAGS & ~PREV_INUSE))
			return false;
		at += bytes_of(head.size);
	}
	return true;
}

/* ---------------------------------------------------------------- judging */

struct judging {
	struct kb_pages *pages;
	const struct kb_maps *maps;
	uint64_t heap_end; /* of the main arena; 0: there is none */
	/* Those that are freed if their words are still the same. */
	struct kb_malloc_chunk *stale[SLICE];
	struct head heads[SLICE];
	size_t n_stale;
};

static uint64_t start_of(const struct kb_malloc_chunk *chunk)
{
	return chunk->address - HEAD_BYTES;
}

static bool read_head(struct judging *j, uint64_t at, struct head *head)
{
	return kb_pages__read(j->pages, at, head, sizeof(*head));
}

/*
 * The size of the chunk at *at, which is before a block or has it within; 0: there is none, and
 * the search ends. Goes on to the chunk that follows until it has the one that does not end before
 * the block.
 */
static uint64_t walk_to(struct judging *j, uint64_t *at, uint64_t block)
{
	struct head head;

	for (int step = 0; step < STEPS_MAX; step++) {
		if (!read_head(j, *at, &head) || !is_size(head.size, CHUNK_MIN) ||
		    head.size & IS_MMAPPED)
			return 0;
		if (*at + bytes_of(head.size) >= block)
			return bytes_of(head.size);
		*at += bytes_of(head.size);
	}
	return 0;
}

/* Is there a free chunk with both its ends around where the block begins? */
static bool lies_in_free(struct judging *j, uint64_t block, uint64_t before)
{
	uint64_t at = block - before;

	for (int step = 0; step < STEPS_MAX; step++) {
		uint64_t bytes = walk_to(j, &at, block), end = at + bytes;
		struct head head;

		if (!bytes || end == block)
			return false;
		if (end == j->heap_end)
			return true;
		if (!read_head(j, end, &head) || head.size & PREV_INUSE ||
		    !is_size(head.size, FENCE_BYTES) || !is_size(head.before, CHUNK_MIN) ||
		    head.before < bytes || head.before > end)
			return false;
		if (head.before == bytes)
			return true;
		/* What ends here was merged with more before it. */
		at = end - head.before;
	}
	return false;
}

static void judge_chunk(struct judging *j, struct kb_malloc_chunk *chunk)
{
	uint64_t start = start_of(chunk);
	struct head head, next;

	chunk->freed = false;
	/* A tag in the top byte (arm64's MTE) is not in the list of mappings. */
	if (chunk->address % ALIGNMENT || chunk->address >> 56)
		return;
	if (!read_head(j, start, &head)) {
		chunk->freed = !kb_maps__touch(j->maps, start, HEAD_BYTES);
		return;
	}
	chunk->freed = !fits(chunk, head.size);
	if (chunk->freed || head.size & IS_MMAPPED ||
	    !read_head(j, start + bytes_of(head.size), &next))
		return;
	chunk->freed = !is_size(next.size, FENCE_BYTES) || next.size & IS_MMAPPED ||
		       !(next.size & PREV_INUSE);
	if (chunk->freed || head.size & PREV_INUSE || !is_size(head.before, CHUNK_MIN) ||
	    head.before > start || !lies_in_free(j, start, head.before))
		return;
	j->heads[j->n_stale] = head;
	j->stale[j->n_stale++] = chunk;
}

static void judge_stale(struct judging *j)
{
	uint64_t places[SLICE];
	struct head heads[SLICE];
	bool readable[SLICE];

	for (size_t i = 0; i < j->n_stale; i++)
		places[i] = start_of(j->stale[i]);
	kb_memory__read_many(kb_pages__pid(j->pages), places, j->n_stale, sizeof(*heads), heads,
			     readable);
	for (size_t i = 0; i < j->n_stale; i++)
		j->stale[i]->freed =
			readable[i] && !memcmp(&heads[i], &j->heads[i], sizeof(*heads));
}

static void judge_slice(struct judging *j, struct kb_malloc_chunk *chunks, size_t n)
{
	uint64_t places[2 * SLICE];

	for (size_t i = 0; i < n; i++) {
		places[2 * i] = start_of(&chunks[i]);
		places[2 * i + 1] = start_of(&chunks[i]) + least_of(chunks[i].size);
	}
	j->n_stale = 0;
	kb_pages__forget(j->pages);
	kb_pages__fetch(j->pages, places, 2 * n);
	for (size_t i = 0; i < n; i++)
		judge_chunk(j, &chunks[i]);
	judge_stale(j);
}

struct kb_error *kb_malloc_chunks__judge(pid_t pid, const struct kb_maps *maps,
					 struct kb_malloc_chunk *chunks, size_t n)
{
	struct judging *j = calloc(1, sizeof(*j));
	const struct kb_map *heap = heap_of(maps);
	struct kb_error *err;

	if (!j)
		return kb_error__no_memory();
	j->maps = maps;
	if (heap)
		j->heap_end = heap->end;
	err = kb_pages__create(pid, PAGES_MAX, &j->pages);
	for (size_t done = 0; done < n && !err; done += SLICE)
		judge_slice(j, chunks + done, n - done < SLICE ? n - done : SLICE);
	kb_pages__destroy(j->pages);
	free(j);
	return err;
}
