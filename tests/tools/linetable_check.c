// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Compares user/python/linetable.c with what an interpreter said of its own code
 * objects, read from a file that tests/functional/test_linetable.py makes. One record each,
 * little-endian:
 *
 *   u8 kind, i32 first line, u32 units, u32 bytes of table, u32 runs, u32 bytes of name,
 *   table, runs (u32 start unit, u32 end unit, i32 line or 0), name
 *
 * Stops with status 1 at the first difference.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "python/linetable.h"

/* Single look-ups walk the table from its start: all units of small code objects, a part of large
 * ones. */
#define LOOKUPS_MAX 400

struct __attribute__((packed)) record {
	uint8_t kind;
	int32_t first_line;
	uint32_t units, table_bytes, runs, name_bytes;
};

struct expected_run {
	uint32_t start, end;
	int32_t line;
};

struct lines {
	int32_t *of_unit;
	uint32_t units;
};

static void fill(uint32_t start, uint32_t end, int32_t line, void *context)
{
	struct lines *lines = context;

	for (uint32_t unit = start; unit < end && unit < lines->units; unit++)
		lines->of_unit[unit] = line;
}

/* What is left of a damaged stream is no result. */
static void *take(FILE *stream, size_t bytes)
{
	void *data = malloc(bytes + 1);

	if (!data || fread(data, 1, bytes, stream) != bytes) {
		fprintf(stderr, "stream ends within a record\n");
		exit(2);
	}
	return data;
}

static bool differs(const struct record *record, const char *name, const char *what, uint32_t unit,
		    int32_t expected, int32_t line)
{
	if (expected == line)
		return false;
	printf("%.*s (first line %" PRId32 "): unit %" PRIu32 " is line %" PRId32
	       ", %s says %" PRId32 "\n",
	       (int)record->name_bytes, name, record->first_line, unit, expected, what, line);
	return true;
}

static bool check(const struct record *record, const uint8_t *table,
		  const struct expected_run *runs, const char *name)
{
	struct lines lines = { calloc(record->units + 1, sizeof(int32_t)), record->units };
	uint32_t stride = record->units / LOOKUPS_MAX + 1;
	bool bad = !lines.of_unit;

	kb_linetable__each(record->kind, table, record->table_bytes, record->first_line, fill,
			   &lines);
	for (uint32_t i = 0; i < record->runs && !bad; i++) {
		for (uint32_t unit = runs[i].start; unit < runs[i].end && !bad; unit++) {
			bad = differs(record, name, "each", unit, runs[i].line,
				      unit < lines.units ? lines.of_unit[unit] : -1);
			if (unit % stride == 0 || unit == runs[i].start)
				bad |= differs(record, name, "line", unit, runs[i].line,
					       kb_linetable__line(record->kind, table,
								  record->table_bytes,
								  record->first_line, unit));
		}
	}
	free(lines.of_unit);
	return bad;
}

int main(int argc, char **argv)
{
	FILE *stream = argc == 2 ? fopen(argv[1], "rb") : NULL;
	uint64_t objects = 0, units = 0;
	struct record record;
	bool bad = false;

	if (!stream) {
		fprintf(stderr, "usage: linetable_check STREAM\n");
		return 2;
	}
	while (!bad && fread(&record, sizeof(record), 1, stream) == 1) {
		uint8_t *table = take(stream, record.table_bytes);
		struct expected_run *runs = take(stream, record.runs * sizeof(*runs));
		char *name = take(stream, record.name_bytes);

		bad = check(&record, table, runs, name);
		for (uint32_t i = 0; i < record.runs; i++)
			units += runs[i].end - runs[i].start;
		objects++;
		free(table);
		free(runs);
		free(name);
	}
	printf("%" PRIu64 " code objects, %" PRIu64 " units\n", objects, units);
	fclose(stream);
	return bad;
}
