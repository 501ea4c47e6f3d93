// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "python/allocator.h"
#include "python/code_scan.h"
#include "system/elf_file.h"

#define SEGMENT_BYTES_MAX (256u << 20) /* the largest interpreters have some 10 MB of code */
#define TABLES_MAX	  64	       /* of functions that allocate; interpreters have 7 to 10 */
#define SEGMENTS_MAX	  64
#define USES_MANY                                                                                  \
	64 /* places that read one slot of the table: up to 13 where the API's functions do, 197   \
	      to 290 where they are inlined */

/* Arenas and pools (Objects/obmalloc.c): 3.10 made them larger where it has the radix tree. */
#define POOL_BYTES_BEFORE_3_10	4096
#define ARENA_BYTES_BEFORE_3_10 (256 << 10)
#define POOL_BYTES		(16 << 10)
#define ARENA_BYTES		(1 << 20)

/* A PyMemAllocatorEx without a context. */
struct table {
	uint64_t address;
	uint64_t calls[KB_ALLOCATOR_CALLS];
};

struct search {
	const struct kb_elf_file *file;
	struct kb_code code;
	struct table tables[TABLES_MAX];
	uint32_t n;
};

static bool is_code(const struct search *s, uint64_t address)
{
	return address - s->code.address < s->code.size;
}

static bool is_table(const struct search *s, const uint64_t *words)
{
	if (words[0])
		return false;
	for (int i = 1; i <= KB_ALLOCATOR_CALLS; i++) {
		if (!is_code(s, words[i]))
			return false;
		for (int j = 1; j < i; j++)
			if (words[i] == words[j])
				return false;
	}
	return true;
}

static void find_tables(struct search *s, const struct kb_elf_segment *segment)
{
	size_t n = segment->size / 8;
	uint64_t *words = segment->size < SEGMENT_BYTES_MAX ? malloc(segment->size + 8) : NULL;
	uint64_t from = (segment->address + 7) & ~7ULL;

	if (n && segment->address != from)
		n--;
	if (words && kb_elf_file__read(s->file, from, words, n * 8)) {
		for (size_t i = 0; i + KB_ALLOCATOR_CALLS < n && s->n < TABLES_MAX; i++) {
			struct table *table = &s->tables[s->n];

			if (!is_table(s, words + i))
				continue;
			table->address = from + i * 8;
			memcpy(table->calls, words + i + 1, sizeof(table->calls));
			s->n++;
		}
	}
	free(words);
}

/* MEM and OBJECT have the same functions, those of pymalloc; other words that look like a table
 * have theirs for themselves. */
static bool has_twin(const struct search *s, uint32_t at)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (i != at &&
		    !memcmp(s->tables[i].calls, s->tables[at].calls, sizeof(s->tables[at].calls)))
			return true;
	return false;
}

#define TABLES_NEAR 0xc0 /* the three tables lie within this */

/*
 * Up to 3.11 _PyObject, _PyMem and _PyMem_Raw follow on each other as variables of one file, and
 * what is behind them are copies for the debug hooks; from 3.12 on they are the start of
 * _PyRuntime.allocators: raw, mem, obj, and then the copies (Include/internal/pycore_pymem.h).
 */
static void choose_tables(const struct search *s, unsigned minor, const struct table **object,
			  const struct table **raw)
{
	struct kb_elf_symbol runtime = {};
	uint32_t first = 0;

	*object = *raw = NULL;
	if (minor >= 12 && !kb_elf_file__symbol(s->file, "_PyRuntime", &runtime))
		return;
	while (first < s->n &&
	       (!has_twin(s, first) ||
		(minor >= 12 && s->tables[first].address - runtime.address >= runtime.size)))
		first++;
	if (first + 2 >= s->n)
		return;
	if (minor >= 12) {
		*raw = &s->tables[first];
		*object = &s->tables[first + 2];
		return;
	}
	*object = &s->tables[first];
	for (uint32_t i = first + 1; i < s->n && !*raw; i++)
		if (s->tables[i].address - (*object)->address < TABLES_NEAR &&
		    s->tables[i].calls[KB_ALLOCATOR_FREE] != (*object)->calls[KB_ALLOCATOR_FREE])
			*raw = &s->tables[i];
}

static bool any_twin(const struct search *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (has_twin(s, i))
			return true;
	return false;
}

/* Is the table read in many places, or through a pointer to _PyRuntime, which holds it from 3.12
 * on?
 */
static bool is_inlined(const struct search *s)
{
	struct kb_elf_symbol runtime;
	bool has_runtime = kb_elf_file__symbol(s->file, "_PyRuntime", &runtime);

	for (uint32_t i = 0; i < s->n; i++) {
		uint64_t slot = s->tables[i].address + 8 * (1 + KB_ALLOCATOR_MALLOC);

		if (!has_twin(s, i))
			continue;
		if (kb_code_scan__references(&s->code, slot) > USES_MANY)
			return true;
		if (has_runtime && slot - runtime.address < runtime.size &&
		    kb_code_scan__uses_at_offset(&s->code, (int32_t)(slot - runtime.address)) >
			    USES_MANY)
			return true;
	}
	return false;
}

static bool find_api(const struct search *s, struct kb_allocator *allocator)
{
	static const char *const names[KB_ALLOCATOR_DOMAINS][KB_ALLOCATOR_CALLS] = {
		{ "PyMem_RawMalloc", "PyMem_RawCalloc", "PyMem_RawRealloc", "PyMem_RawFree" },
		{ "PyMem_Malloc", "PyMem_Calloc", "PyMem_Realloc", "PyMem_Free" },
		{ "PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc", "PyObject_Free" },
	};
	struct kb_elf_symbol symbol;
	bool all = true;

	for (int domain = 0; domain < KB_ALLOCATOR_DOMAINS; domain++) {
		for (int call = 0; call < KB_ALLOCATOR_CALLS; call++) {
			bool found = kb_elf_file__symbol(s->file, names[domain][call], &symbol);

			if (found)
				allocator->api[domain][call] = symbol.address;
			all = all && found;
		}
	}
	return all;
}

static void find_frees(const struct search *s, unsigned minor, struct kb_allocator *allocator)
{
	const struct table *object, *raw;
	struct kb_elf_symbol symbol;

	choose_tables(s, minor, &object, &raw);
	if (object && raw) {
		allocator->object_table = object->address;
		allocator->raw_table = raw->address;
		allocator->pymalloc_free = object->calls[KB_ALLOCATOR_FREE];
		allocator->raw_free = raw->calls[KB_ALLOCATOR_FREE];
	}
	if (kb_elf_file__symbol(s->file, "_PyObject_Free", &symbol))
		allocator->pymalloc_free = symbol.address;
	if (kb_elf_file__symbol(s->file, "_PyMem_RawFree", &symbol))
		allocator->raw_free = symbol.address;
}

static void analyse(struct search *s, unsigned minor, struct kb_allocator *allocator)
{
	struct kb_elf_segment segment;
	bool has_api = find_api(s, allocator);

	for (size_t i = 0; i < SEGMENTS_MAX && kb_elf_file__segment_at(s->file, i, &segment); i++)
		if (segment.writable)
			find_tables(s, &segment);
	find_frees(s, minor, allocator);
	/* Without any table found, nothing says that the functions are called. */
	allocator->called = has_api && any_twin(s) && !is_inlined(s);
	if (!allocator->called)
		allocator->new_pool = kb_code_scan__new_pool(&s->code);
	allocator->pool_bytes = minor < 10 ? POOL_BYTES_BEFORE_3_10 : POOL_BYTES;
	allocator->arena_bytes = minor < 10 ? ARENA_BYTES_BEFORE_3_10 : ARENA_BYTES;
}

static struct kb_error *read_code(struct search *s, const char *path, uint8_t **bytes)
{
	struct kb_elf_segment segment;

	for (size_t i = 0; i < SEGMENTS_MAX && kb_elf_file__segment_at(s->file, i, &segment); i++) {
		if (!segment.executable || segment.size > SEGMENT_BYTES_MAX)
			continue;
		*bytes = malloc(segment.size + 1);
		if (!*bytes)
			return kb_error__no_memory();
		if (!kb_elf_file__read(s->file, segment.address, *bytes, segment.size))
			return kb_failed("cannot read the code of %s", path);
		s->code = (struct kb_code){ *bytes, segment.size, segment.address };
		return NULL;
	}
	return kb_failed("%s has no code", path);
}

struct kb_error *kb_allocator__find(int fd, const char *path, unsigned minor,
				    struct kb_allocator *allocator)
{
	struct kb_elf_file *file;
	struct search *s = calloc(1, sizeof(*s));
	uint8_t *bytes = NULL;
	struct kb_error *err;

	if (!s)
		return kb_error__no_memory();
	memset(allocator, 0, sizeof(*allocator));
	err = kb_elf_file__open(fd, &file);
	if (!err && !file)
		err = kb_failed("%s is no ELF file", path);
	if (!err) {
		s->file = file;
		err = read_code(s, path, &bytes);
		if (!err)
			analyse(s, minor, allocator);
		kb_elf_file__close(file);
	}
	free(bytes);
	free(s);
	return err;
}
