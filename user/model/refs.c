// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "base/id_map.h"
#include "model/private.h"
#include "model/refs.h"

struct kb_refs {
	const struct kb_profile *profile;
	unsigned frames_max;
	uint64_t taken_ns;
	struct kb_refs_process *processes;
	uint32_t n_processes, processes_capacity;
	struct kb_refs_type *types;
	uint32_t n_types, types_capacity;
	struct kb_refs_row *rows;
	uint32_t n_rows, rows_capacity;
	struct kb_id_map row_index; /* (type, node) */
};

struct kb_error *kb_refs__create(const struct kb_profile *profile, unsigned frames_max,
				 uint64_t taken_ns, struct kb_refs **result)
{
	struct kb_refs *refs = calloc(1, sizeof(*refs));

	if (!refs)
		return kb_error__no_memory();
	refs->profile = profile;
	refs->frames_max = frames_max;
	refs->taken_ns = taken_ns;
	kb_id_map__init(&refs->row_index, KB_REFS_ROWS_MAX);
	*result = refs;
	return NULL;
}

void kb_refs__destroy(struct kb_refs *refs)
{
	if (!refs)
		return;
	for (uint32_t i = 0; i < refs->n_types; i++)
		free((char *)refs->types[i].name);
	kb_id_map__free(&refs->row_index);
	free(refs->processes);
	free(refs->types);
	free(refs->rows);
	free(refs);
}

bool kb_refs__add_process(struct kb_refs *refs, const struct kb_refs_process *process)
{
	struct kb_refs_process *processes =
		kb_array__grow(refs->processes, &refs->processes_capacity, refs->n_processes + 1,
			       sizeof(*processes), KB_PROFILE_PROCESSES_MAX);

	if (!processes)
		return false;
	refs->processes = processes;
	processes[refs->n_processes++] = *process;
	return true;
}

uint32_t kb_refs__add_type(struct kb_refs *refs, uint32_t process, const char *name)
{
	struct kb_refs_type *types, type = { .process = process };

	for (uint32_t i = 0; i < refs->n_types; i++)
		if (refs->types[i].process == process && !strcmp(refs->types[i].name, name))
			return i;
	types = kb_array__grow(refs->types, &refs->types_capacity, refs->n_types + 1,
			       sizeof(*types), KB_REFS_TYPES_MAX);
	if (!types)
		return KB_ID_NONE;
	refs->types = types;
	type.name = strdup(name);
	if (!type.name)
		return KB_ID_NONE;
	types[refs->n_types] = type;
	return refs->n_types++;
}

static void add(uint64_t *created, uint64_t *destroyed, uint64_t *alive,
		const struct kb_refs_row *more)
{
	*created += more->created;
	*destroyed += more->destroyed;
	*alive += more->alive;
}

bool kb_refs__add_row(struct kb_refs *refs, const struct kb_refs_row *row)
{
	struct kb_refs_type *type;
	struct kb_refs_row *rows;
	uint32_t id;

	if (row->type >= refs->n_types || row->node >= kb_profile__n_nodes(refs->profile))
		return false;
	type = &refs->types[row->type];
	add(&type->created, &type->destroyed, &type->alive, row);
	id = kb_id_map__get(&refs->row_index, row->type, row->node);
	if (id != KB_ID_MAP_NONE) {
		add(&refs->rows[id].created, &refs->rows[id].destroyed, &refs->rows[id].alive, row);
		return true;
	}
	rows = kb_array__grow(refs->rows, &refs->rows_capacity, refs->n_rows + 1, sizeof(*rows),
			      KB_REFS_ROWS_MAX);
	if (!rows || !kb_id_map__set(&refs->row_index, row->type, row->node, refs->n_rows))
		return false;
	refs->rows = rows;
	rows[refs->n_rows++] = *row;
	return true;
}

const struct kb_profile *kb_refs__profile(const struct kb_refs *refs)
{
	return refs->profile;
}

uint32_t kb_refs__n_processes(const struct kb_refs *refs)
{
	return refs->n_processes;
}

const struct kb_refs_process *kb_refs__process(const struct kb_refs *refs, uint32_t index)
{
	return &refs->processes[index];
}

uint32_t kb_refs__n_types(const struct kb_refs *refs)
{
	return refs->n_types;
}

const struct kb_refs_type *kb_refs__type(const struct kb_refs *refs, uint32_t index)
{
	return &refs->types[index];
}

uint32_t kb_refs__n_rows(const struct kb_refs *refs)
{
	return refs->n_rows;
}

const struct kb_refs_row *kb_refs__row(const struct kb_refs *refs, uint32_t index)
{
	return &refs->rows[index];
}

unsigned kb_refs__frames_max(const struct kb_refs *refs)
{
	return refs->frames_max;
}

uint64_t kb_refs__taken_ns(const struct kb_refs *refs)
{
	return refs->taken_ns;
}
