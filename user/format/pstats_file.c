// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The file that Python's pstats.Stats(path) loads: a marshalled dictionary
 *
 *     (file, line, function): (direct, cumulative, tottime, cumtime, callers)
 *
 * where callers is
 *
 *     (file, line, function): (cumulative, direct, tottime, cumtime)
 *
 * with the order of the two counts exchanged, as cProfile has it (Lib/cProfile.py,
 * snapshot_stats(); Lib/pstats.py, print_call_line()). Samples stand where cProfile
 * has calls, as in the files of profiling.sampling (3.15), and their time is samples
 * divided by rate. The marker entry that 3.15 adds to its own files is left out: the
 * pstats of older Pythons fails on it.
 *
 * Names are written as they are, control characters included: this is data that is
 * compared with other files, not text for a terminal.
 */
#include <stdbool.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "format/function_table.h"
#include "format/marshal.h"
#include "format/sample_time.h"
#include "format/writers.h"

/* pstats shows functions of this file and line 0 by their name alone. */
#define FILE_OF_NAMES "~"

struct pstats_file {
	struct kb_marshal marshal;
	const struct kb_function_table *table;
	uint32_t *refs;	   /* 1 + reference of each row's key, 0 before it was written */
	double per_second; /* counts */
	bool of_time;
};

static void write_key(struct pstats_file *file, uint32_t row)
{
	const struct kb_label *label = &file->table->rows[row].label;
	struct kb_marshal *marshal = &file->marshal;
	bool named = *label->file;

	if (file->refs[row]) {
		kb_marshal__ref(marshal, file->refs[row] - 1);
		return;
	}
	file->refs[row] = kb_marshal__shared_tuple(marshal, 3) + 1;
	kb_marshal__string(marshal, named ? label->file : FILE_OF_NAMES);
	kb_marshal__int(marshal, named && label->number > 0 ? (uint64_t)label->number : 0);
	kb_marshal__string(marshal, label->name);
}

/* Samples stand where pstats has numbers of calls; nothing does where counts are of time. */
static uint64_t calls(const struct pstats_file *file, uint64_t count)
{
	return file->of_time ? 0 : count;
}

static void write_caller(struct pstats_file *file, const struct kb_caller_row *caller)
{
	struct kb_marshal *marshal = &file->marshal;

	write_key(file, caller->caller);
	kb_marshal__tuple(marshal, 4);
	kb_marshal__int(marshal, calls(file, caller->cumulative));
	kb_marshal__int(marshal, calls(file, caller->direct));
	kb_marshal__float(marshal, kb_sample_time__seconds(caller->direct, file->per_second));
	kb_marshal__float(marshal, kb_sample_time__seconds(caller->cumulative, file->per_second));
}

static void write_row(struct pstats_file *file, uint32_t at)
{
	const struct kb_function_row *row = &file->table->rows[at];
	struct kb_marshal *marshal = &file->marshal;

	write_key(file, at);
	kb_marshal__tuple(marshal, 5);
	kb_marshal__int(marshal, calls(file, row->direct));
	kb_marshal__int(marshal, calls(file, row->cumulative));
	kb_marshal__float(marshal, kb_sample_time__seconds(row->direct, file->per_second));
	kb_marshal__float(marshal, kb_sample_time__seconds(row->cumulative, file->per_second));
	kb_marshal__dict_begin(marshal);
	for (uint32_t i = 0; i < row->n_callers; i++)
		write_caller(file, &file->table->callers[row->first_caller + i]);
	kb_marshal__dict_end(marshal);
}

static struct kb_error *write_table(const struct kb_function_table *table,
				    const struct kb_profile *profile, FILE *stream)
{
	struct pstats_file file = { .marshal = { stream, 0 },
				    .table = table,
				    .per_second = kb_sample_time__per_second(profile),
				    .of_time = kb_profile__meta(profile)->unit == KB_UNIT_NS };

	file.refs = calloc(table->n_rows + 1, sizeof(*file.refs));
	if (!file.refs)
		return kb_error__no_memory();
	kb_marshal__dict_begin(&file.marshal);
	for (uint32_t i = 0; i < table->n_rows && !ferror(stream); i++)
		write_row(&file, i);
	kb_marshal__dict_end(&file.marshal);
	free(file.refs);
	return NULL;
}

struct kb_error *kb_pstats_file__write(const struct kb_profile *profile,
				       const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_function_table *table;
	struct kb_error *err;

	KB_TRY(kb_function_table__create(profile, opts->lines, &table));
	if (!table->n_rows)
		kb_warn("no samples: Python's pstats refuses an empty file");
	err = write_table(table, profile, stream);
	kb_function_table__destroy(table);
	return err;
}
