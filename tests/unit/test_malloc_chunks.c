// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which blocks are allocated: this process's own malloc knows, and a child's that goes on
 * meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "system/malloc_chunks.h"

#define BLOCKS 20000
#define LOOKS  20
#define CHURN  256

static unsigned seed = 7;

static unsigned up_to(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

/* Most as large as what pymalloc leaves to malloc, some small, a few mapped. */
static size_t some_size(void)
{
	unsigned kind = up_to(100);

	if (kind < 50)
		return 512 + up_to(600);
	if (kind < 70)
		return 1 + up_to(512);
	return kind < 99 ? 1 + up_to(20000) : 100000 + up_to(400000);
}

/* By one of the functions that allocate. */
static struct kb_malloc_chunk allocate(void)
{
	struct kb_malloc_chunk chunk = { .size = some_size() };
	void *block = NULL;

	switch (up_to(6)) {
	case 0:
		block = calloc(1, chunk.size);
		break;
	case 1:
		block = realloc(malloc(some_size()), chunk.size);
		break;
	case 2:
		chunk.size = (chunk.size + 63) & -64ul;
		block = aligned_alloc(64, chunk.size);
		break;
	case 3:
		if (posix_memalign(&block, 16u << up_to(9), chunk.size))
			block = NULL;
		break;
	default:
		block = malloc(chunk.size);
	}
	if (!block)
		abort();
	memset(block, 64, chunk.size);
	chunk.address = (uint64_t)(uintptr_t)block;
	return chunk;
}

static void give_back(const struct kb_malloc_chunk *chunk)
{
	free((void *)(uintptr_t)chunk->address);
}

static int by_address(const void *a, const void *b)
{
	const struct kb_malloc_chunk *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static void judge(pid_t pid, struct kb_malloc_chunk *chunks, size_t n)
{
	struct kb_maps maps;

	assert_null(kb_maps__read(pid, &maps));
	assert_true(kb_malloc_chunks__are_there(pid, &maps));
	assert_null(kb_malloc_chunks__judge(pid, &maps, chunks, n));
	kb_maps__free(&maps);
}

static void need_glibc(void)
{
#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
	print_message("skipped: malloc is not glibc's\n");
	skip();
#endif
}

static size_t count_freed(const struct kb_malloc_chunk *chunks, size_t n)
{
	size_t freed = 0;

	for (size_t i = 0; i < n; i++)
		freed += chunks[i].freed;
	return freed;
}

/* Three quarters are freed, in an order that leaves words of chunks that were merged everywhere. */
static void test_own(void **state)
{
	static struct kb_malloc_chunk chunks[BLOCKS], kept[BLOCKS], gone[BLOCKS];
	size_t n_kept = 0, n_gone = 0;

	need_glibc();
	for (size_t i = 0; i < BLOCKS; i++)
		chunks[i] = allocate();
	for (size_t i = 0; i < BLOCKS; i++) {
		size_t at = up_to(BLOCKS);

		give_back(&chunks[at]);
		chunks[at] = allocate();
	}
	judge(getpid(), chunks, BLOCKS);
	assert_int_equal(count_freed(chunks, BLOCKS), 0);
	for (size_t i = 0; i < BLOCKS; i++)
		if (up_to(4))
			gone[n_gone++] = chunks[i];
		else
			kept[n_kept++] = chunks[i];
	for (size_t i = 0; i < n_gone; i++)
		give_back(&gone[i]);
	judge(getpid(), kept, n_kept);
	assert_int_equal(count_freed(kept, n_kept), 0);
	qsort(gone, n_gone, sizeof(*gone), by_address);
	judge(getpid(), gone, n_gone);
	print_message("%zu of %zu found\n", count_freed(gone, n_gone), n_gone);
	/* The others are in caches. */
	assert_true(count_freed(gone, n_gone) > n_gone * 9 / 10);
	for (size_t i = 0; i < n_kept; i++)
		give_back(&kept[i]);
}

struct shared {
	volatile size_t n;
	struct kb_malloc_chunk chunks[BLOCKS];
};

/* Keeps half of what it allocates, and allocates and frees between that for ever. */
_Noreturn static void churn(struct shared *shared)
{
	static struct kb_malloc_chunk all[BLOCKS], some[CHURN];
	size_t n = 0;

	for (size_t i = 0; i < BLOCKS; i++)
		all[i] = allocate();
	for (size_t i = 0; i < BLOCKS; i++)
		if (up_to(2))
			give_back(&all[i]);
		else
			shared->chunks[n++] = all[i];
	shared->n = n;
	for (;;) {
		size_t at = up_to(CHURN);

		give_back(&some[at]);
		some[at] = allocate();
	}
}

static void test_running(void **state)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	need_glibc();
	assert_ptr_not_equal(shared, MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		churn(shared);
	while (!shared->n)
		usleep(1000);
	qsort(shared->chunks, shared->n, sizeof(*shared->chunks), by_address);
	for (int i = 0; i < LOOKS; i++) {
		judge(pid, shared->chunks, shared->n);
		assert_int_equal(count_freed(shared->chunks, shared->n), 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(shared, sizeof(*shared));
}

#define HOSTILE_BYTES (1u << 20)

/* Sizes that lead to each other, round and round, and off the map. */
static void test_hostile(void **state)
{
	static struct kb_malloc_chunk chunks[BLOCKS];
	uint64_t *words = mmap(NULL, HOSTILE_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kb_maps maps;

	assert_ptr_not_equal(words, MAP_FAILED);
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < HOSTILE_BYTES / 8; i++)
			words[i] = up_to(8) ? up_to(1u << (8 + 4 * round)) : ~0ull >> up_to(64);
		for (size_t i = 0; i < BLOCKS; i++)
			chunks[i] =
				(struct kb_malloc_chunk){ .address = (uint64_t)(uintptr_t)words +
								     up_to(HOSTILE_BYTES / 16) * 16,
							  .size = up_to(2) ? up_to(400)
									   : ~0ull >> up_to(64) };
		chunks[0].address = 16;
		chunks[1].address = 0;
		chunks[2].address = UINT64_MAX - 15;
		chunks[3].address |= 8;
		assert_null(kb_maps__read(getpid(), &maps));
		assert_null(kb_malloc_chunks__judge(getpid(), &maps, chunks, BLOCKS));
		kb_maps__free(&maps);
		assert_true(chunks[0].freed && !chunks[2].freed && !chunks[3].freed);
	}
	munmap(words, HOSTILE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
