// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Finding pymalloc's arenas.
 *
 * `arenas` is an array of struct arena_object. What points to it has no symbol in stripped builds,
 * and its place differs: a static variable up to 3.11; in PyInterpreterState, so in _PyRuntime for
 * the main interpreter, in 3.12; in a static struct for the main interpreter from 3.13, and on the
 * heap for interpreters with an allocator of their own. But the array says what it is:
 *
 *   - its entries have an address on a page, and a mark of where the next pool will be, within the
 * arena
 *   - they have 64 pools each, or one less when the arena's start is not on a pool's boundary
 *   - the first pool of arena number i says in its header that it is of arena number i
 *
 * So each word of the interpreter's data that points to private memory is tried, some ten thousand
 * in a few milliseconds, and those of sub-interpreters' states. No array: the process was started
 * with PYTHONMALLOC=malloc, or the like.
 */
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "python/heap_bytes.h"
#include "python/heap.h"
#include "system/memory.h"

/* struct arena_object, the same from 3.6 to 3.15. */
#define ENTRY_BYTES  48
#define ADDRESS	     0
#define POOL_ADDRESS 8
#define N_FREE	     16
#define N_TOTAL	     20
#define NEXT_ARENA   32
#define INITIAL	     16 /* INITIAL_ARENA_OBJECTS; the array grows by doubling */
#define ARENA_POOLS  64
#define HUGE_POOLS   128 /* 3.15 with PYMALLOC_USE_HUGEPAGES */
#define PAGE	     4096

/* 64 GB in arenas of 1 MB; our own memory is a sixtieth of it. */
#define ARENAS_MAX     (1u << 16)
#define ARRAYS_MAX     1024	   /* interpreters with an allocator of their own */
#define DATA_BYTES_MAX (32u << 20) /* an interpreter's data is 1 MB */
#define STATE_BYTES    (1u << 20)  /* PyInterpreterState has at most 400 kB */
#define INTERPS_MAX    1024
/* In struct _obmalloc_state: the pools in use come first, 2 * 32 pointers. */
#define STATE_ARENAS 512
#define BATCH	     512

enum { SEEN_WORD, SEEN_INTERPRETER };

struct finding {
	struct kb_heap *heap;
	uint64_t *words; /* candidates */
	uint32_t n, capacity;
	struct kb_id_map seen;
	uint64_t arrays[ARRAYS_MAX];
	uint32_t n_arrays;
};

/* Words tried: those of an interpreter's data, and of a thousand sub-interpreters. */
#define WORDS_MAX (1u << 22)

/* ---------------------------------------------------------------- one array */

static uint64_t align_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) & ~(to - 1);
}

/* Has this entry an arena, or is it one that waits for one? */
static bool is_entry(const struct kb_heap_space *space, const uint8_t *entry, uint64_t array,
		     bool *in_use)
{
	uint64_t address = kb_u64_at(entry + ADDRESS), carved = kb_u64_at(entry + POOL_ADDRESS),
		 next = kb_u64_at(entry + NEXT_ARENA);
	uint32_t total = kb_u32_at(entry + N_TOTAL);

	*in_use = address != 0;
	if (!address)
		return !next || (next >= array && !((next - array) % ENTRY_BYTES));
	return !(address % PAGE) && carved >= address &&
	       carved - address <= (uint64_t)HUGE_POOLS * KB_HEAP_POOL_MAX &&
	       (total == ARENA_POOLS || total == ARENA_POOLS - 1 || total == HUGE_POOLS ||
		total == HUGE_POOLS - 1) &&
	       kb_u32_at(entry + N_FREE) <= total &&
	       kb_heap_space__where(space, address) == KB_HEAP_OUTSIDE;
}

/* The first pool of the arena knows the arena's number. */
static bool has_pools(struct kb_heap *heap, const uint8_t *entry, uint32_t index)
{
	uint64_t address = kb_u64_at(entry + ADDRESS);
	uint8_t header[KB_HEAP_POOL_HEADER];

	for (uint32_t bytes = PAGE; bytes <= KB_HEAP_POOL_MAX; bytes = bytes * 4) {
		uint64_t pool = align_up(address, bytes);

		if (kb_u64_at(entry + POOL_ADDRESS) > pool &&
		    kb_memory__read(heap->remote->pid, pool, header, sizeof(header)) &&
		    kb_heap_pool__geometry(header, index, bytes, &heap->geometry))
			return true;
	}
	return false;
}

/* INITIAL entries. One may be changing right now. */
static bool is_array(struct kb_heap *heap, const uint8_t *entries, uint64_t array)
{
	unsigned int bad = 0, in_use = 0;
	bool used;

	for (uint32_t i = 0; i < INITIAL; i++) {
		bad += !is_entry(&heap->space, entries + i * ENTRY_BYTES, array, &used);
		in_use += used;
	}
	if (bad > 1 || !in_use)
		return false;
	for (uint32_t i = 0; i < INITIAL; i++) {
		if (is_entry(&heap->space, entries + i * ENTRY_BYTES, array, &used) && used &&
		    has_pools(heap, entries + i * ENTRY_BYTES, i))
			return true;
	}
	return false;
}

static struct kb_error *add_arena(struct kb_heap *heap, const uint8_t *entry, uint32_t index)
{
	struct kb_heap_space *space = &heap->space;
	uint32_t pool_bytes = heap->geometry.pool_bytes, total = kb_u32_at(entry + N_TOTAL);
	struct kb_heap_arena arena = { .address = kb_u64_at(entry + ADDRESS),
				       .end = kb_u64_at(entry + POOL_ADDRESS),
				       .index = index,
				       .n_total = total,
				       .n_free = kb_u32_at(entry + N_FREE) };
	struct kb_heap_arena *grown;

	if (!space->arena_bytes)
		space->arena_bytes =
			(uint64_t)pool_bytes * (total > ARENA_POOLS ? HUGE_POOLS : ARENA_POOLS);
	arena.start = align_up(arena.address, pool_bytes);
	if (arena.end > arena.address + space->arena_bytes)
		arena.end = arena.address + space->arena_bytes;
	if (arena.end < arena.start)
		arena.end = arena.start;
	arena.end -= (arena.end - arena.start) % pool_bytes;
	if (space->n_arenas == ARENAS_MAX) {
		heap->notes[KB_HEAP_ARENAS_LIMIT]++;
		return NULL;
	}
	grown = kb_array__grow(space->arenas, &space->capacity, space->n_arenas + 1, sizeof(*grown),
			       ARENAS_MAX);
	if (!grown)
		return kb_error__no_memory();
	space->arenas = grown;
	grown[space->n_arenas++] = arena;
	return NULL;
}

/* n entries; unused entries are linked, so that at most one of them has no next. */
static bool are_entries(struct kb_heap *heap, const uint8_t *entries, uint32_t n, uint64_t array)
{
	uint32_t bad = 0, ends = 0;
	bool used;

	for (uint32_t i = 0; i < n; i++) {
		bad += !is_entry(&heap->space, entries + i * ENTRY_BYTES, array, &used);
		ends += !used && !kb_u64_at(entries + i * ENTRY_BYTES + NEXT_ARENA);
	}
	return bad <= 1 && ends <= 1;
}

/* Its length is not known everywhere: it goes on for as long as doubling it finds entries. */
static struct kb_error *read_entries(struct kb_heap *heap, uint64_t array, uint8_t **entries,
				     uint32_t *n)
{
	for (uint32_t more = INITIAL; *n + more <= ARENAS_MAX; more = *n) {
		uint8_t *grown = realloc(*entries, (size_t)(*n + more) * ENTRY_BYTES),
			*at = grown + (size_t)*n * ENTRY_BYTES;

		if (!grown)
			return kb_error__no_memory();
		*entries = grown;
		if (!kb_memory__read(heap->remote->pid, array + (uint64_t)*n * ENTRY_BYTES, at,
				     (size_t)more * ENTRY_BYTES) ||
		    (*n && !are_entries(heap, at, more, array)))
			return NULL;
		*n += more;
	}
	heap->notes[KB_HEAP_ARENAS_LIMIT]++;
	return NULL;
}

static struct kb_error *add_array(struct kb_heap *heap, uint64_t array)
{
	uint8_t *entries = NULL;
	uint32_t n = 0;
	struct kb_error *err = read_entries(heap, array, &entries, &n);
	bool used;

	for (uint32_t i = 0; i < n && !err; i++) {
		const uint8_t *entry = entries + (size_t)i * ENTRY_BYTES;

		if (is_entry(&heap->space, entry, array, &used) && used)
			err = add_arena(heap, entry, i);
	}
	free(entries);
	return err;
}

/* ---------------------------------------------------------------- where it may be */

static bool is_new_place(struct finding *finding, uint64_t word)
{
	if (word % 16 || kb_heap_space__where(&finding->heap->space, word) != KB_HEAP_OUTSIDE ||
	    kb_id_map__get(&finding->seen, word, SEEN_WORD) != KB_ID_MAP_NONE)
		return false;
	return kb_id_map__set(&finding->seen, word, SEEN_WORD, 0);
}

static void add_words(struct finding *finding, const uint8_t *bytes, uint64_t size)
{
	for (uint64_t at = 0; at + 8 <= size; at += 8) {
		uint64_t word = kb_u64_at(bytes + at), *grown;

		if (!is_new_place(finding, word))
			continue;
		grown = kb_array__grow(finding->words, &finding->capacity, finding->n + 1,
				       sizeof(*grown), WORDS_MAX);
		if (!grown)
			return;
		finding->words = grown;
		grown[finding->n++] = word;
	}
}

/* Adds the words of memory that is at hand when it can be read. */
static void add_memory(struct finding *finding, uint64_t start, uint64_t size)
{
	uint8_t *bytes = malloc(size ? size : 1);

	if (bytes && kb_memory__read(finding->heap->remote->pid, start, bytes, size))
		add_words(finding, bytes, size);
	free(bytes);
}

/* What the interpreter's file is mapped to with write permission, and what follows it: .data and
 * .bss. */
static void add_image(struct finding *finding, const struct kb_maps *maps,
		      const struct kb_interpreter *interp)
{
	const struct kb_map *own = NULL, *last = NULL;
	struct kb_heap *heap = finding->heap;

	for (size_t i = 0; i < maps->count; i++) {
		const struct kb_map *map = &maps->entries[i];
		bool follows = last && map->start == last->end && !map->inode && !map->path[0];

		if (map->start == interp->map_start)
			own = map;
		if (!own || (!follows &&
			     (map->inode != own->inode || map->device_major != own->device_major ||
			      map->device_minor != own->device_minor)))
			continue;
		last = map;
		if (!map->writable || map->end - map->start > DATA_BYTES_MAX)
			continue;
		if (!heap->image_start)
			heap->image_start = map->start;
		heap->image_end = map->end;
		add_memory(finding, map->start, map->end - map->start);
		if (follows)
			break;
	}
}

static bool looked_at(struct finding *finding, uint64_t array)
{
	for (uint32_t i = 0; i < finding->n_arrays; i++) {
		if (finding->arrays[i] == array)
			return true;
	}
	return false;
}

static struct kb_error *try_words(struct finding *finding)
{
	struct kb_heap *heap = finding->heap;
	uint8_t *entries = malloc((size_t)BATCH * INITIAL * ENTRY_BYTES);
	struct kb_error *err = NULL;
	bool readable[BATCH];

	if (!entries)
		return kb_error__no_memory();
	for (uint32_t done = 0; done < finding->n && !err; done += BATCH) {
		uint32_t n = finding->n - done < BATCH ? finding->n - done : BATCH;

		kb_memory__read_many(heap->remote->pid, finding->words + done, n,
				     INITIAL * ENTRY_BYTES, entries, readable);
		for (uint32_t i = 0; i < n && !err; i++) {
			uint64_t array = finding->words[done + i];

			if (!readable[i] || finding->n_arrays == ARRAYS_MAX ||
			    looked_at(finding, array) ||
			    !is_array(heap, entries + (size_t)i * INITIAL * ENTRY_BYTES, array))
				continue;
			finding->arrays[finding->n_arrays++] = array;
			err = add_array(heap, array);
		}
	}
	free(entries);
	finding->n = 0;
	return err;
}

/* ---------------------------------------------------------------- sub-interpreters */

/* From 3.13 the state points to that of the allocator: one step further. */
static void add_behind(struct finding *finding)
{
	uint32_t n = finding->n;

	for (uint32_t done = 0; done < n; done += BATCH) {
		uint32_t part = n - done < BATCH ? n - done : BATCH;
		uint64_t places[BATCH], words[BATCH];
		bool readable[BATCH];

		for (uint32_t i = 0; i < part; i++)
			places[i] = finding->words[done + i] + STATE_ARENAS;
		kb_memory__read_many(finding->heap->remote->pid, places, part, sizeof(*words),
				     words, readable);
		for (uint32_t i = 0; i < part; i++) {
			if (readable[i])
				add_words(finding, (uint8_t *)&words[i], sizeof(words[i]));
		}
	}
}

static struct kb_error *try_interpreters(struct finding *finding)
{
	struct kb_remote *remote = finding->heap->remote;
	struct kb_error *err = NULL;
	uint64_t interp;

	if (!kb_memory__read_u64(remote->pid, remote->interp_head, &interp))
		return NULL;
	for (uint32_t i = 0; interp && i < INTERPS_MAX && !err; i++) {
		bool again =
			kb_id_map__get(&finding->seen, interp, SEEN_INTERPRETER) != KB_ID_MAP_NONE;
		const struct kb_heap_range *range =
			kb_heap_space__range(&finding->heap->space, interp);
		uint64_t size = range ? range->end - interp : 0;

		/* A list that goes round is a lie. */
		if (again || !kb_id_map__set(&finding->seen, interp, SEEN_INTERPRETER, 0))
			break;
		/* The main interpreter's state is a part of the interpreter's data from 3.12 on. */
		if (range &&
		    (interp < finding->heap->image_start || interp >= finding->heap->image_end)) {
			add_memory(finding, interp, size < STATE_BYTES ? size : STATE_BYTES);
			if (remote->layout->version_minor >= 13)
				add_behind(finding);
			err = try_words(finding);
		}
		if (!kb_memory__read_u64(remote->pid, interp + remote->layout->interp_next,
					 &interp))
			break;
	}
	return err;
}

struct kb_error *kb_heap__find_arenas(struct kb_heap *heap, const struct kb_maps *maps,
				      const struct kb_interpreter *interp)
{
	struct finding *finding = calloc(1, sizeof(*finding));
	struct kb_error *err;

	if (!finding)
		return kb_error__no_memory();
	finding->heap = heap;
	kb_id_map__init(&finding->seen, WORDS_MAX);
	add_image(finding, maps, interp);
	err = try_words(finding);
	/* Up to 3.11 all interpreters share one. */
	if (!err && heap->remote->layout->version_minor >= 12)
		err = try_interpreters(finding);
	kb_heap_space__add_arenas(&heap->space);
	kb_id_map__free(&finding->seen);
	free(finding->words);
	free(finding);
	return err;
}
