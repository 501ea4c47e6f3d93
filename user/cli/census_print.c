// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A census as text. */
#include <inttypes.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "cli/census_print.h"

#define PERCENT(part, all) ((all) ? 100.0 * (double)(part) / (double)(all) : 0.0)

/* "1,234,567", in one of a few places that take turns. */
static const char *number(int64_t value)
{
	static char places[8][32];
	static unsigned int turn;
	char digits[24], *out = places[turn++ % 8];
	int n = snprintf(digits, sizeof(digits), "%" PRId64, value), from = digits[0] == '-';
	char *at = out;

	for (int i = 0; i < n; i++) {
		if (i > from && (n - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return out;
}

static const char *change(int64_t value)
{
	static char places[4][32];
	static unsigned int turn;
	char *out = places[turn++ % 4];

	snprintf(out, sizeof(places[0]), "%s%s", value > 0 ? "+" : "", number(value));
	return out;
}

static void print_name(const char *name, FILE *stream)
{
	fputs("  ", stream);
	kb_text__write(stream, name);
	fputc('\n', stream);
}

/* ---------------------------------------------------------------- one census */

static int by_objects(const void *a, const void *b)
{
	const struct kb_census_type *x = *(const struct kb_census_type *const *)a,
				    *y = *(const struct kb_census_type *const *)b;

	if (x->objects != y->objects)
		return x->objects < y->objects ? 1 : -1;
	return strcmp(x->name, y->name);
}

static struct kb_error *print_types(const struct kb_census *census, size_t index,
				    const struct kb_census_view *view, FILE *stream)
{
	const struct kb_census_process *process = kb_census__process(census, index);
	const struct kb_census_type **types = calloc(process->n_types + 1, sizeof(*types));
	size_t shown = process->n_types < view->limit ? process->n_types : view->limit;

	if (!types)
		return kb_error__no_memory();
	for (size_t i = 0; i < process->n_types; i++)
		types[i] = kb_census__type(census, index, i);
	if (view->by_objects)
		qsort(types, process->n_types, sizeof(*types), by_objects);
	fprintf(stream, "\n%15s %17s %6s  %s\n", "objects", "bytes", "%", "type");
	for (size_t i = 0; i < shown; i++) {
		fprintf(stream, "%15s %17s %6.2f", number((int64_t)types[i]->objects),
			number((int64_t)types[i]->bytes), PERCENT(types[i]->bytes, process->bytes));
		print_name(types[i]->name, stream);
	}
	fprintf(stream, "%15s %17s         in all, of %zu types", number((int64_t)process->objects),
		number((int64_t)process->bytes), process->n_types);
	fprintf(stream, "; %s objects are known to the garbage collector\n",
		number((int64_t)process->tracked));
	free(types);
	return NULL;
}

static void print_row(FILE *stream, const char *text, uint64_t n, uint64_t bytes)
{
	fprintf(stream, "%15s %17s  %s\n", n ? number((int64_t)n) : "", number((int64_t)bytes),
		text);
}

static void print_memory(const struct kb_census_memory *memory, FILE *stream)
{
	fprintf(stream, "\n%15s %17s  memory\n", "number", "bytes");
	if (!memory->n_arenas) {
		/* PYTHONMALLOC=malloc. */
		print_row(stream, "objects, of the C library", memory->n_large,
			  memory->large_bytes);
		print_row(stream, "items, keys and data of objects", memory->n_large_tables,
			  memory->large_table_bytes);
		return;
	}
	print_row(stream, "arenas of Python's allocator", memory->n_arenas, memory->arena_bytes);
	print_row(stream, "  objects", 0, memory->object_bytes);
	print_row(stream, "  items, keys and values of objects", 0, memory->table_bytes);
	print_row(stream, "  other blocks in use", 0, memory->other_bytes);
	print_row(stream, "  free blocks in pools that are in use", 0, memory->free_bytes);
	print_row(stream, "  pools that are not in use", 0, memory->empty_bytes);
	print_row(stream, "  headers and what is lost at edges", 0,
		  memory->header_bytes + memory->waste_bytes + memory->alignment_bytes);
	print_row(stream, "objects beyond 512 bytes, of the C library", memory->n_large,
		  memory->large_bytes);
	print_row(stream, "items, keys and data beyond 512 bytes", memory->n_large_tables,
		  memory->large_table_bytes);
}

static void print_resident(const struct kb_census_memory *memory, FILE *stream)
{
	print_row(stream, "resident, without files", 0, memory->rss_anonymous);
	print_row(stream, "resident", 0, memory->rss);
	if (memory->swap)
		print_row(stream, "swapped out", 0, memory->swap);
}

static void print_classes(const struct kb_census *census, size_t index, FILE *stream)
{
	const struct kb_census_class *class;

	fprintf(stream, "\n%6s %10s %12s %12s %12s %12s %12s %7s\n", "block", "pools", "objects",
		"tables", "others", "kept", "free", "% used");
	for (size_t i = 0; (class = kb_census__class(census, index, i)); i++) {
		uint64_t used = class->objects + class->tables + class->others;

		fprintf(stream, "%6u %10s %12s %12s %12s %12s %12s %7.2f\n", class->block_bytes,
			number((int64_t) class->pools), number((int64_t) class->objects),
			number((int64_t) class->tables), number((int64_t) class->others),
			number((int64_t) class->kept), number((int64_t) class->free),
			PERCENT(used, used + class->free));
	}
}

static void print_largest(const struct kb_census *census, size_t index, FILE *stream)
{
	const struct kb_census_object *object;

	fprintf(stream, "\n%15s %17s  %-18s  %s\n", "length", "bytes", "address",
		"the largest objects");
	for (size_t i = 0; (object = kb_census__largest(census, index, i)); i++) {
		fprintf(stream, "%15s %17s  0x%016" PRIx64, number((int64_t)object->length),
			number((int64_t)object->bytes), object->address);
		print_name(object->type, stream);
	}
}

static void print_ledger(const struct kb_census *census, size_t index, FILE *stream)
{
	const struct kb_census_ledger *row;
	uint64_t all = 0;

	for (size_t i = 0; (row = kb_census__ledger(census, index, i)); i++)
		all += row->class_ == KB_CENSUS_NOTE ? 0 : row->value;
	fprintf(stream, "\nLedger: %s bytes of pools", number((int64_t)all));
	for (size_t i = 0; (row = kb_census__ledger(census, index, i)); i++) {
		if (row->class_ != KB_CENSUS_NOTE && (row->value || row->class_ == KB_CENSUS_GOOD))
			fprintf(stream, "%s %s %s", row->class_ == KB_CENSUS_GOOD ? " =" : " +",
				row->name, number((int64_t)row->value));
	}
	for (size_t i = 0; (row = kb_census__ledger(census, index, i)); i++) {
		if (row->class_ == KB_CENSUS_NOTE && row->value)
			fprintf(stream, "; %s %s", row->name, number((int64_t)row->value));
	}
	fputc('\n', stream);
}

static void print_heading(const struct kb_census_process *process, FILE *stream)
{
	fprintf(stream, "Process %d, Python %s: ", process->pid, process->python);
	kb_text__write(stream, process->command);
	fprintf(stream, "\n%s bytes read in %.3f s\n", number((int64_t)process->read_bytes),
		(double)process->took_ns / 1e9);
}

struct kb_error *kb_census_print__text(const struct kb_census *census,
				       const struct kb_census_view *view, FILE *stream)
{
	bool first = true;

	for (size_t i = 0; i < kb_census__n_processes(census); i++) {
		const struct kb_census_process *process = kb_census__process(census, i);

		if (process->error[0])
			continue;
		if (!first)
			fputc('\n', stream);
		first = false;
		print_heading(process, stream);
		KB_TRY(print_types(census, i, view, stream));
		print_memory(&process->memory, stream);
		print_resident(&process->memory, stream);
		if (view->classes)
			print_classes(census, i, stream);
		print_largest(census, i, stream);
		print_ledger(census, i, stream);
	}
	return NULL;
}

/* ---------------------------------------------------------------- growth */

static const struct kb_census_growth *row_of(const struct kb_census_growth *rows, size_t n,
					     const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	}
	return NULL;
}

static void print_growth_rows(const struct kb_census_growth *rows, size_t n,
			      const struct kb_census_growth *lately, size_t n_lately,
			      const struct kb_census_view *view, FILE *stream)
{
	size_t shown = 0;

	fprintf(stream, "%13s %13s %13s %15s %15s  %s\n", "objects", "since last", "since start",
		"bytes: last", "bytes: start", "type");
	for (size_t i = 0; i < n && shown < view->limit; i++) {
		const struct kb_census_growth *row = &rows[i],
					      *late = row_of(lately, n_lately, row->name);

		if ((row->objects == row->objects_before && row->bytes == row->bytes_before) ||
		    (view->type && fnmatch(view->type, row->name, 0)))
			continue;
		shown++;
		fprintf(stream, "%13s %13s %13s %15s %15s", number((int64_t)row->objects),
			change(late ? (int64_t)(late->objects - late->objects_before) : 0),
			change((int64_t)(row->objects - row->objects_before)),
			change(late ? (int64_t)(late->bytes - late->bytes_before) : 0),
			change((int64_t)(row->bytes - row->bytes_before)));
		print_name(row->name, stream);
	}
	if (!shown)
		fputs("  nothing has changed\n", stream);
}

static struct kb_error *print_growth_of(const struct kb_census *first, const struct kb_census *last,
					const struct kb_census *now,
					const struct kb_census_process *process,
					const struct kb_census_view *view, FILE *stream)
{
	struct kb_census_growth *rows = NULL, *lately = NULL;
	size_t n = 0, n_lately = 0;
	struct kb_error *err;

	err = kb_census__compare(first, now, process->pid, &rows, &n);
	if (!err)
		err = kb_census__compare(last, now, process->pid, &lately, &n_lately);
	if (!err) {
		fprintf(stream, "\nProcess %d: %s objects, %s bytes; resident %s\n", process->pid,
			number((int64_t)process->objects), number((int64_t)process->bytes),
			number((int64_t)process->memory.rss));
		print_growth_rows(rows, n, lately, n_lately, view, stream);
	}
	free(rows);
	free(lately);
	/* One that was not there before has nothing to be compared with. */
	kb_error__destroy(err);
	return NULL;
}

struct kb_error *kb_census_print__growth(const struct kb_census *first,
					 const struct kb_census *last, const struct kb_census *now,
					 const struct kb_census_view *view, FILE *stream)
{
	for (size_t i = 0; i < kb_census__n_processes(now); i++) {
		const struct kb_census_process *process = kb_census__process(now, i);

		if (!process->error[0])
			KB_TRY(print_growth_of(first, last, now, process, view, stream));
	}
	return NULL;
}
