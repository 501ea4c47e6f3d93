// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What was read of a heap, as a census says it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "inspect/census.h"

/* ---------------------------------------------------------------- types */

static int by_name(const void *a, const void *b)
{
	const struct kb_census_type *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_bytes(const void *a, const void *b)
{
	const struct kb_census_type *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->name, y->name);
}

static struct kb_error *fill_types(struct kb_census *census, struct kb_census_data *data,
				   const struct kb_heap *heap)
{
	struct kb_census_type *types = calloc(heap->types.n + 1, sizeof(*types));
	size_t n = 0, merged = 0;

	if (!types)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < heap->types.n; i++) {
		const struct kb_heap_type *type = heap->types.types[i];

		if (!type->objects && !type->kept)
			continue;
		types[n++] = (struct kb_census_type){ kb_census__string(census, type->name),
						      type->objects, type->bytes, type->kept };
		data->info.objects += type->objects;
		data->info.bytes += type->bytes;
	}
	qsort(types, n, sizeof(*types), by_name);
	for (size_t i = 0; i < n; i++) {
		if (merged && !strcmp(types[i].name, types[merged - 1].name)) {
			types[merged - 1].objects += types[i].objects;
			types[merged - 1].bytes += types[i].bytes;
			types[merged - 1].kept += types[i].kept;
		} else {
			types[merged++] = types[i];
		}
	}
	qsort(types, merged, sizeof(*types), by_bytes);
	data->types = types;
	data->info.n_types = merged;
	return NULL;
}

/* ---------------------------------------------------------------- memory */

static struct kb_error *fill_classes(struct kb_census_data *data, const struct kb_heap *heap)
{
	struct kb_census_class *classes = calloc(KB_HEAP_CLASSES_MAX, sizeof(*classes));
	size_t n = 0;

	if (!classes)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < KB_HEAP_CLASSES_MAX; i++) {
		const struct kb_heap_class_count *count = &heap->classes[i];

		if (count->pools)
			classes[n++] = (struct kb_census_class){
				.block_bytes = (i + 1) * heap->geometry.alignment,
				.pools = count->pools,
				.objects = count->objects,
				.tables = count->tables,
				.others = count->others,
				.free = count->free,
				/* A table may look like a dead object. */
				.kept = count->kept < count->others ? count->kept : count->others,
			};
	}
	data->classes = classes;
	data->info.n_classes = n;
	return NULL;
}

/* "VmRSS:    1234 kB" and the like. */
static void read_kernel_figures(pid_t pid, struct kb_census_memory *memory)
{
	char path[32], line[256];
	uint64_t value;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmRSS: %20" SCNu64, &value) == 1)
			memory->rss = value * 1024;
		else if (sscanf(line, "RssAnon: %20" SCNu64, &value) == 1)
			memory->rss_anonymous = value * 1024;
		else if (sscanf(line, "VmSwap: %20" SCNu64, &value) == 1)
			memory->swap = value * 1024;
	}
	if (file)
		fclose(file);
}

static void fill_memory(struct kb_census_data *data, const struct kb_heap *heap)
{
	data->info.memory = (struct kb_census_memory){
		.n_arenas = heap->n_arenas,
		.n_pools = heap->n_pools,
		.arena_bytes = heap->arena_bytes,
		.object_bytes = heap->object_bytes,
		.table_bytes = heap->table_bytes,
		.other_bytes = heap->other_bytes,
		.free_bytes = heap->free_bytes,
		.empty_bytes = heap->empty_bytes,
		.header_bytes = heap->header_bytes,
		.waste_bytes = heap->waste_bytes,
		.alignment_bytes = heap->alignment_bytes,
		.n_large = heap->n_large,
		.large_bytes = heap->large_bytes,
		.n_large_tables = heap->n_large_tables,
		.large_table_bytes = heap->large_table_bytes,
	};
	read_kernel_figures(data->info.pid, &data->info.memory);
}

/* ---------------------------------------------------------------- the ledger */

static const struct {
	const char *name, *text;
} bytes_rows[KB_HEAP_BYTES_CLASSES] = {
	[KB_HEAP_BYTES_GOOD] = { "pools_good", "bytes of pools that were read" },
	[KB_HEAP_BYTES_TORN] = { "pools_torn",
				 "bytes of pools that changed each time they were read" },
	[KB_HEAP_BYTES_BAD] = { "pools_bad", "bytes of arenas that hold no pool" },
	[KB_HEAP_BYTES_UNREADABLE] = { "pools_unreadable",
				       "bytes of arenas that could not be read" },
};

static const struct {
	const char *name, *text;
} note_rows[KB_HEAP_NOTES] = {
	[KB_HEAP_LARGE_UNREADABLE] = { "large_unreadable",
				       "words that point to memory which cannot be read" },
	[KB_HEAP_LARGE_LIMIT] = { "large_limit",
				  "words beyond the limit, whose objects may be missing" },
	[KB_HEAP_TABLES_UNREADABLE] = { "tables_unreadable", "tables that could not be read" },
	[KB_HEAP_TABLES_LIMIT] = { "tables_limit",
				   "bytes of tables beyond the limit, not searched" },
	[KB_HEAP_KEYS_UNREADABLE] = { "keys_unreadable", "dicts without the size of their table" },
	[KB_HEAP_TYPES_LIMIT] = { "types_limit", "words beyond the limit, not tried as types" },
	[KB_HEAP_ARENAS_LIMIT] = { "arenas_limit", "arenas beyond the limit, not read" },
	[KB_HEAP_SPACE_LIMIT] = { "space_limit", "address space beyond the limit, not looked at" },
	[KB_HEAP_REREAD] = { "pools_reread", "pools that were read again because they changed" },
};

static struct kb_error *fill_ledger(struct kb_census_data *data, const struct kb_heap *heap)
{
	struct kb_census_ledger *rows =
		calloc(KB_HEAP_BYTES_CLASSES + KB_HEAP_NOTES, sizeof(*rows));
	size_t n = 0;

	if (!rows)
		return kb_error__no_memory();
	for (int i = 0; i < KB_HEAP_BYTES_CLASSES; i++)
		rows[n++] = (struct kb_census_ledger){ bytes_rows[i].name, bytes_rows[i].text,
						       i == KB_HEAP_BYTES_GOOD ? KB_CENSUS_GOOD
									       : KB_CENSUS_FAILED,
						       heap->bytes[i] };
	for (int i = 0; i < KB_HEAP_NOTES; i++)
		rows[n++] = (struct kb_census_ledger){ note_rows[i].name, note_rows[i].text,
						       KB_CENSUS_NOTE, heap->notes[i] };
	data->ledger = rows;
	data->info.n_ledger = n;
	return NULL;
}

static struct kb_error *fill_largest(struct kb_census *census, struct kb_census_data *data,
				     const struct kb_heap *heap)
{
	data->largest = calloc(heap->n_largest + 1, sizeof(*data->largest));
	if (!data->largest)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < heap->n_largest; i++) {
		const struct kb_heap_large_object *object = &heap->largest[i];

		data->largest[i] =
			(struct kb_census_object){ kb_census__string(census, object->type->name),
						   object->address, object->length, object->bytes };
	}
	data->info.n_largest = heap->n_largest;
	return NULL;
}

struct kb_error *kb_census__fill(struct kb_census *census, struct kb_census_data *data,
				 const struct kb_heap *heap)
{
	data->info.tracked = heap->n_tracked;
	data->info.read_bytes = heap->read_bytes;
	fill_memory(data, heap);
	KB_TRY(fill_types(census, data, heap));
	KB_TRY(fill_classes(data, heap));
	KB_TRY(fill_largest(census, data, heap));
	return fill_ledger(data, heap);
}

void kb_census__free_data(struct kb_census_data *data)
{
	free(data->types);
	free(data->classes);
	free(data->largest);
	free(data->ledger);
}
