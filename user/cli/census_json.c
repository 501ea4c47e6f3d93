// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A census as JSON. */
#include "base/error.h"
#include "base/json_out.h"
#include "cli/census_print.h"

static void write_memory(struct kb_json_out *out, const struct kb_census_memory *memory)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "arenas", memory->n_arenas },
		{ "pools", memory->n_pools },
		{ "arena_bytes", memory->arena_bytes },
		{ "object_bytes", memory->object_bytes },
		{ "table_bytes", memory->table_bytes },
		{ "other_bytes", memory->other_bytes },
		{ "free_bytes", memory->free_bytes },
		{ "empty_bytes", memory->empty_bytes },
		{ "header_bytes", memory->header_bytes },
		{ "waste_bytes", memory->waste_bytes },
		{ "alignment_bytes", memory->alignment_bytes },
		{ "large_objects", memory->n_large },
		{ "large_bytes", memory->large_bytes },
		{ "large_tables", memory->n_large_tables },
		{ "large_table_bytes", memory->large_table_bytes },
		{ "rss", memory->rss },
		{ "rss_anonymous", memory->rss_anonymous },
		{ "swap", memory->swap },
	};

	kb_json_out__open(out, "memory", '{');
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		kb_json_out__uint(out, rows[i].name, rows[i].value);
	kb_json_out__close(out, '}');
}

static void write_types(struct kb_json_out *out, const struct kb_census *census, size_t index)
{
	const struct kb_census_type *type;

	kb_json_out__open(out, "types", '[');
	for (size_t i = 0; (type = kb_census__type(census, index, i)); i++) {
		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "type", type->name);
		kb_json_out__uint(out, "objects", type->objects);
		kb_json_out__uint(out, "bytes", type->bytes);
		kb_json_out__uint(out, "kept", type->kept);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

static void write_classes(struct kb_json_out *out, const struct kb_census *census, size_t index)
{
	const struct kb_census_class *class;

	kb_json_out__open(out, "blocks", '[');
	for (size_t i = 0; (class = kb_census__class(census, index, i)); i++) {
		kb_json_out__open(out, NULL, '{');
		kb_json_out__uint(out, "block_bytes", class->block_bytes);
		kb_json_out__uint(out, "pools", class->pools);
		kb_json_out__uint(out, "objects", class->objects);
		kb_json_out__uint(out, "tables", class->tables);
		kb_json_out__uint(out, "others", class->others);
		kb_json_out__uint(out, "kept", class->kept);
		kb_json_out__uint(out, "free", class->free);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

static void write_largest(struct kb_json_out *out, const struct kb_census *census, size_t index)
{
	const struct kb_census_object *object;

	kb_json_out__open(out, "largest", '[');
	for (size_t i = 0; (object = kb_census__largest(census, index, i)); i++) {
		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "type", object->type);
		kb_json_out__uint(out, "address", object->address);
		kb_json_out__uint(out, "length", object->length);
		kb_json_out__uint(out, "bytes", object->bytes);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

static void write_ledger(struct kb_json_out *out, const struct kb_census *census, size_t index)
{
	const struct kb_census_ledger *row;

	kb_json_out__open(out, "ledger", '{');
	for (size_t i = 0; (row = kb_census__ledger(census, index, i)); i++)
		kb_json_out__uint(out, row->name, row->value);
	kb_json_out__close(out, '}');
}

static void write_process(struct kb_json_out *out, const struct kb_census *census, size_t index)
{
	const struct kb_census_process *process = kb_census__process(census, index);

	kb_json_out__open(out, NULL, '{');
	kb_json_out__int(out, "pid", process->pid);
	kb_json_out__int(out, "ns_pid", process->ns_pid);
	kb_json_out__text(out, "python", process->python);
	kb_json_out__text(out, "command", process->command);
	kb_json_out__text(out, "error", process->error);
	if (!process->error[0]) {
		kb_json_out__ms(out, "at_ms", process->at_ns);
		kb_json_out__ms(out, "took_ms", process->took_ns);
		kb_json_out__uint(out, "read_bytes", process->read_bytes);
		kb_json_out__uint(out, "objects", process->objects);
		kb_json_out__uint(out, "bytes", process->bytes);
		kb_json_out__uint(out, "tracked", process->tracked);
		write_memory(out, &process->memory);
		write_types(out, census, index);
		write_classes(out, census, index);
		write_largest(out, census, index);
		write_ledger(out, census, index);
	}
	kb_json_out__close(out, '}');
}

struct kb_error *kb_census_print__json(const struct kb_census *census, FILE *stream)
{
	struct kb_json_out out = { .stream = stream };

	kb_json_out__open(&out, NULL, '[');
	for (size_t i = 0; i < kb_census__n_processes(census); i++)
		write_process(&out, census, i);
	kb_json_out__close(&out, ']');
	kb_json_out__line(&out);
	return NULL;
}
