// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "python/heap.h"
#include "python/remote_frames.h"

#define PAGE 4096ull

/* Locals of running functions lead to large objects, too. Frames of 3.11 and later lie in memory of
 * their own, those of a thread next to each other; before they are objects. */
static void add_frame(struct kb_heap *heap, uint64_t address, uint64_t *last)
{
	if (heap->remote->layout->version_minor <= 10) {
		if (kb_heap_space__where(&heap->space, address) == KB_HEAP_OUTSIDE)
			kb_heap_large__candidate(heap, address);
		return;
	}
	if (address / PAGE == *last)
		return;
	*last = address / PAGE;
	if (kb_heap_space__where(&heap->space, address) == KB_HEAP_OUTSIDE)
		kb_heap_large__search(heap, *last * PAGE, PAGE);
}

static struct kb_error *add_stacks(struct kb_heap *heap)
{
	struct kb_remote_threads threads;
	struct kb_remote_stack stack = {};
	uint64_t last = 0;

	KB_TRY(kb_remote_threads__read(heap->remote, &threads));
	for (uint32_t i = 0; i < threads.n; i++) {
		/* Of a thread that runs this is a part: what is found is checked as everything is.
		 */
		kb_remote__begin(heap->remote);
		kb_remote_frames__walk(heap->remote, threads.threads[i].tstate, &stack);
		for (uint32_t j = 0; j < stack.n; j++)
			add_frame(heap, stack.frames[j].address, &last);
	}
	kb_remote_stack__free(&stack);
	kb_remote_threads__free(&threads);
	return NULL;
}

static int by_bytes(const void *a, const void *b)
{
	const struct kb_heap_large_object *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return (x->address > y->address) - (x->address < y->address);
}

static struct kb_error *read_all(struct kb_heap *heap, const struct kb_interpreter *interp,
				 const struct kb_maps *maps)
{
	KB_TRY(kb_heap_types__create(heap->remote, &heap->types));
	KB_TRY(kb_heap_keys__create(&heap->keys));
	KB_TRY(kb_heap_large__create(heap));
	KB_TRY(kb_heap_space__create(maps, &heap->space));
	KB_TRY(kb_heap__find_arenas(heap, maps, interp));
	KB_TRY(kb_heap__scan(heap));
	KB_TRY(add_stacks(heap));
	/* Static variables of the interpreter, its main state among them. */
	kb_heap_large__search(heap, heap->image_start, heap->image_end - heap->image_start);
	kb_heap_large__run(heap);
	KB_TRY(kb_heap__settle(heap));
	kb_heap_types__name(heap);
	heap->notes[KB_HEAP_TYPES_LIMIT] = heap->types.refused;
	heap->notes[KB_HEAP_SPACE_LIMIT] = heap->space.cut;
	if (heap->n_largest)
		qsort(heap->largest, heap->n_largest, sizeof(*heap->largest), by_bytes);
	return NULL;
}

struct kb_error *kb_heap__read_maps(struct kb_remote *remote, const struct kb_interpreter *interp,
				    const struct kb_maps *maps, uint32_t largest,
				    struct kb_heap *heap)
{
	struct kb_error *err;

	memset(heap, 0, sizeof(*heap));
	if (remote->layout->flags & KB_LAYOUT_FREE_THREADED)
		return kb_unsupported("process %d: free-threaded builds keep objects in mimalloc's "
				      "pages, which keelback cannot read",
				      remote->pid);
	heap->remote = remote;
	heap->max_largest = largest < KB_HEAP_LARGEST_MAX ? largest : KB_HEAP_LARGEST_MAX;
	heap->largest = malloc((heap->max_largest + 1) * sizeof(*heap->largest));
	err = heap->largest ? read_all(heap, interp, maps) : kb_error__no_memory();
	if (err)
		kb_heap__free(heap);
	return err;
}

struct kb_error *kb_heap__read(struct kb_remote *remote, const struct kb_interpreter *interp,
			       uint32_t largest, struct kb_heap *heap)
{
	struct kb_maps maps;
	struct kb_error *err;

	KB_TRY(kb_maps__read(remote->pid, &maps));
	err = kb_heap__read_maps(remote, interp, &maps, largest, heap);
	kb_maps__free(&maps);
	return err;
}

void kb_heap__free(struct kb_heap *heap)
{
	kb_heap_types__free(&heap->types);
	kb_heap_space__free(&heap->space);
	kb_heap_large__destroy(heap->large);
	free(heap->keys);
	free(heap->largest);
	memset(heap, 0, sizeof(*heap));
}
