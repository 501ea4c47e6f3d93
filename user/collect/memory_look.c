// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Blocks of three kinds: of malloc (system/malloc_chunks.h), mappings, and pools of pymalloc. A
 * mapping is gone when nothing of it is mapped; a pool too, or when its header says that none of
 * its blocks is in use, which is so from when the last is freed until it is given to a size class
 * again (Objects/obmalloc.c).
 *
 * A process that ends or executes another program while it is looked at has other memory than its
 * blocks lay in. So nothing is believed unless it was the same process, with its libc in place,
 * afterwards as well.
 */
#include <stdlib.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "collect/memory_look.h"
#include "python/heap_pool.h"
#include "system/malloc_chunks.h"
#include "system/maps.h"
#include "system/memory.h"

/* Of one look while the target is watched, 1 to 2 us each: some times as many as are seen between
 * two of them (KB_MEMORY_RATE_DEFAULT). */
#define LOOK_BLOCKS (1u << 15)

struct found {
	struct kb_memory_drop block;
	kb_u8 domain;
	bool freed;
};

struct kb_memory_look {
	struct kb_programs *programs;
	const struct kb_memory_processes *processes;
	struct kb_memory_blocks_cursor cursor;
	struct found *found;
	uint32_t n, capacity;
	bool full;		   /* no memory for more */
	uint64_t looked_at, freed; /* so far */
};

struct kb_error *kb_memory_look__create(struct kb_programs *programs,
					const struct kb_memory_processes *processes,
					struct kb_memory_look **result)
{
	struct kb_memory_look *look = calloc(1, sizeof(*look));

	if (!look)
		return kb_error__no_memory();
	look->programs = programs;
	look->processes = processes;
	*result = look;
	return NULL;
}

void kb_memory_look__destroy(struct kb_memory_look *look)
{
	if (!look)
		return;
	free(look->found);
	free(look);
}

uint64_t kb_memory_look__freed(const struct kb_memory_look *look)
{
	return look->freed;
}

/* ---------------------------------------------------------------- judging */

/* The blocks of one process, and what is needed to judge them. */
struct judging {
	struct kb_memory_look *look;
	pid_t pid;
	struct found *found;
	uint32_t n;
	struct kb_maps maps;
	struct kb_malloc_chunk *chunks;
	uint64_t *pools;
	uint32_t *in_use; /* of each pool: how many of its blocks */
	uint32_t *places; /* whose they are */
	bool *readable;
};

static bool is_chunk(const struct found *found)
{
	return found->domain == KB_DOMAIN_LIBC || found->domain == KB_DOMAIN_NATIVE;
}

static void judge_mappings(struct judging *j)
{
	for (uint32_t i = 0; i < j->n; i++) {
		struct found *found = &j->found[i];

		if (found->domain == KB_DOMAIN_MMAP || found->domain == KB_DOMAIN_ARENA)
			found->freed = !kb_maps__touch(&j->maps, found->block.key.address,
						       found->block.size);
	}
}

static void judge_pools(struct judging *j)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < j->n; i++) {
		if (j->found[i].domain != KB_DOMAIN_POOL)
			continue;
		j->places[n] = i;
		j->pools[n++] = j->found[i].block.key.address;
	}
	/* The count comes first in struct pool_header. */
	kb_memory__read_many(j->pid, j->pools, n, sizeof(*j->in_use), j->in_use, j->readable);
	for (uint32_t i = 0; i < n; i++)
		j->found[j->places[i]].freed =
			j->readable[i]
				? !j->in_use[i]
				: !kb_maps__touch(&j->maps, j->pools[i], KB_HEAP_POOL_HEADER);
}

static struct kb_error *judge_chunks(struct judging *j)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < j->n; i++) {
		if (!is_chunk(&j->found[i]))
			continue;
		j->places[n] = i;
		j->chunks[n++] = (struct kb_malloc_chunk){ .address = j->found[i].block.key.address,
							   .size = j->found[i].block.size };
	}
	KB_TRY(kb_malloc_chunks__judge(j->pid, &j->maps, j->chunks, n));
	for (uint32_t i = 0; i < n; i++)
		j->found[j->places[i]].freed = j->chunks[i].freed;
	return NULL;
}

static struct kb_error *judge(struct judging *j, uint32_t proc)
{
	struct kb_proc known;
	const struct kb_map *libc;
	uint64_t word;
	bool glibc, same;

	libc = kb_memory_processes__libc(&j->maps, &glibc);
	if (!libc)
		return NULL;
	judge_mappings(j);
	judge_pools(j);
	if (glibc && kb_malloc_chunks__are_there(j->pid, &j->maps))
		KB_TRY(judge_chunks(j));
	same = kb_memory__read_u64(j->pid, libc->start, &word) &&
	       kb_programs__get_proc(j->look->programs, j->pid, &known) && known.id == proc;
	for (uint32_t i = 0; i < j->n && !same; i++)
		j->found[i].freed = false;
	return NULL;
}

static struct kb_error *judge_process(struct kb_memory_look *look, struct found *found, uint32_t n)
{
	uint32_t proc = found->block.key.proc;
	const struct kb_traced_process *traced = kb_memory_processes__find(look->processes, proc);
	struct judging j = { .look = look, .found = found, .n = n };
	struct kb_error *err;

	if (!traced || traced->ended || traced->way != KB_MEMORY_WAY_GROWTH)
		return NULL;
	j.pid = traced->pid;
	err = kb_maps__read(j.pid, &j.maps);
	kb_error__destroy(err);
	if (err)
		return NULL; /* it has ended */
	j.chunks = calloc(n, sizeof(*j.chunks));
	j.pools = calloc(n, sizeof(*j.pools));
	j.in_use = calloc(n, sizeof(*j.in_use));
	j.places = calloc(n, sizeof(*j.places));
	j.readable = calloc(n, sizeof(*j.readable));
	err = j.chunks && j.pools && j.in_use && j.places && j.readable ? judge(&j, proc)
									: kb_error__no_memory();
	free(j.chunks);
	free(j.pools);
	free(j.in_use);
	free(j.places);
	free(j.readable);
	kb_maps__free(&j.maps);
	return err;
}

/* ---------------------------------------------------------------- looking */

static void add_found(const struct kb_block_key *key, const struct kb_block *block, void *context)
{
	struct kb_memory_look *look = context;
	struct found *grown;

	grown = kb_array__grow(look->found, &look->capacity, look->n + 1, sizeof(*grown),
			       UINT32_MAX);
	if (!grown) {
		look->full = true;
		return;
	}
	look->found = grown;
	grown[look->n++] = (struct found){
		.block = { .key = *key, .size = block->size, .time = block->time },
		.domain = block->domain,
	};
}

/* By process, and within by address, so that what is read one after the other lies together. */
static int by_place(const void *a, const void *b)
{
	const struct kb_block_key *x = &((const struct found *)a)->block.key,
				  *y = &((const struct found *)b)->block.key;

	if (x->proc != y->proc)
		return x->proc < y->proc ? -1 : 1;
	return x->address < y->address ? -1 : x->address > y->address;
}

static struct kb_error *judge_all(struct kb_memory_look *look)
{
	for (uint32_t start = 0, end; start < look->n; start = end) {
		for (end = start + 1; end < look->n; end++)
			if (look->found[end].block.key.proc != look->found[start].block.key.proc)
				break;
		KB_TRY(judge_process(look, look->found + start, end - start));
	}
	return NULL;
}

static struct kb_error *drop_freed(struct kb_memory_look *look)
{
	struct kb_memory_drop *drops = calloc(look->n + 1, sizeof(*drops));
	struct kb_error *err;
	uint64_t dropped = 0;
	size_t n = 0;

	if (!drops)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < look->n; i++)
		if (look->found[i].freed)
			drops[n++] = look->found[i].block;
	err = kb_memory_programs__drop(look->programs, drops, n, &dropped);
	look->freed += dropped;
	free(drops);
	return err;
}

static struct kb_error *take_part(struct kb_memory_look *look)
{
	look->n = 0;
	look->full = false;
	KB_TRY(kb_memory_programs__some_blocks(look->programs, &look->cursor, LOOK_BLOCKS,
					       add_found, look));
	if (look->full)
		return kb_error__no_memory();
	if (!look->n)
		return NULL;
	look->looked_at += look->n;
	qsort(look->found, look->n, sizeof(*look->found), by_place);
	KB_TRY(judge_all(look));
	return drop_freed(look);
}

struct kb_error *kb_memory_look__take(struct kb_memory_look *look, bool all)
{
	uint64_t began = kb_now(CLOCK_MONOTONIC), freed = look->freed, looked_at = look->looked_at;

	if (all)
		look->cursor.begun = false;
	do
		KB_TRY(take_part(look));
	while (all && look->cursor.begun);
	kb_debug("%llu of %llu blocks that were looked at were freed unseen, %.1f ms",
		 (unsigned long long)(look->freed - freed),
		 (unsigned long long)(look->looked_at - looked_at),
		 (double)(kb_now(CLOCK_MONOTONIC) - began) / KB_NS_PER_MS);
	return NULL;
}
