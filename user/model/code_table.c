// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "base/hash.h"
#include "model/code_table.h"
#include "python/linetable.h"

#define PLACES_MAX (1u << 22) /* only a cache: past it lines are computed each time */

struct kb_code {
	uint32_t function;
	uint32_t linetable;	 /* id in the pool; KB_STRPOOL_NONE: lines unknown */
	uint32_t linetable_kind; /* 32 bits, so that the struct has no padding and can be hashed */
};

struct kb_code_place {
	uint32_t code;
	uint32_t lasti;
	uint32_t frame;
};

bool kb_code_table__init(struct kb_code_table *table)
{
	*table = (struct kb_code_table){ 0 };
	table->linetables = kb_strpool__create(KB_PROFILE_LINETABLE_BYTES, KB_PROFILE_CODES_MAX);
	return table->linetables;
}

void kb_code_table__free(struct kb_code_table *table)
{
	kb_index__free(&table->function_index);
	kb_index__free(&table->frame_index);
	kb_index__free(&table->code_index);
	kb_index__free(&table->place_index);
	kb_strpool__destroy(table->linetables);
	free(table->functions);
	free(table->frames);
	free(table->codes);
	free(table->places);
}

/* ---- functions: (kind, file, name, first line) */

static uint64_t hash_function(const struct kb_function_info *function)
{
	uint64_t key[] = { (uintptr_t)function->file, (uintptr_t)function->name,
			   (uint64_t)function->kind << 32 | (uint32_t)function->first_line };

	return kb_hash__bytes(key, sizeof(key));
}

static uint64_t function_hash(const void *owner, uint32_t id)
{
	return hash_function(&((const struct kb_code_table *)owner)->functions[id]);
}

static bool function_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_function_info *a = &((const struct kb_code_table *)owner)->functions[id];
	const struct kb_function_info *b = key;

	return a->file == b->file && a->name == b->name && a->first_line == b->first_line &&
	       a->kind == b->kind;
}

uint32_t kb_code_table__add_function(struct kb_code_table *table,
				     const struct kb_function_info *function)
{
	uint64_t hash = hash_function(function);
	uint32_t id = kb_index__find(&table->function_index, hash, function, function_equal, table);
	struct kb_function_info *functions;

	if (id != KB_INDEX_NONE)
		return id;
	functions =
		kb_array__grow(table->functions, &table->functions_capacity, table->n_functions + 1,
			       sizeof(*functions), KB_PROFILE_FUNCTIONS_MAX);
	if (!functions)
		return KB_ID_NONE;
	table->functions = functions;
	functions[table->n_functions] = *function;
	functions[table->n_functions].size = sizeof(*function);
	if (!kb_index__insert(&table->function_index, hash, table->n_functions, function_hash,
			      table))
		return KB_ID_NONE;
	return table->n_functions++;
}

/* ---- frames: (function, line, opcode) */

static uint64_t hash_frame(const struct kb_frame_info *frame)
{
	uint64_t key[] = { (uint64_t)frame->function << 32 | (uint32_t)frame->line,
			   (uintptr_t)frame->opcode };

	return kb_hash__bytes(key, sizeof(key));
}

static uint64_t frame_hash(const void *owner, uint32_t id)
{
	return hash_frame(&((const struct kb_code_table *)owner)->frames[id]);
}

static bool frame_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_frame_info *a = &((const struct kb_code_table *)owner)->frames[id];
	const struct kb_frame_info *b = key;

	return a->function == b->function && a->line == b->line && a->opcode == b->opcode;
}

uint32_t kb_code_table__add_frame(struct kb_code_table *table, uint32_t function, int32_t line,
				  const char *opcode)
{
	struct kb_frame_info frame = { sizeof(frame), function, line, opcode };
	uint64_t hash = hash_frame(&frame);
	uint32_t id = kb_index__find(&table->frame_index, hash, &frame, frame_equal, table);
	struct kb_frame_info *frames;

	if (id != KB_INDEX_NONE)
		return id;
	if (function >= table->n_functions)
		return KB_ID_NONE;
	frames = kb_array__grow(table->frames, &table->frames_capacity, table->n_frames + 1,
				sizeof(*frames), KB_PROFILE_FRAMES_MAX);
	if (!frames)
		return KB_ID_NONE;
	table->frames = frames;
	frames[table->n_frames] = frame;
	if (!kb_index__insert(&table->frame_index, hash, table->n_frames, frame_hash, table))
		return KB_ID_NONE;
	return table->n_frames++;
}

/* ---- code objects: (function, line table) */

static uint64_t code_hash(const void *owner, uint32_t id)
{
	const struct kb_code_table *table = owner;

	return kb_hash__bytes(&table->codes[id], sizeof(table->codes[id]));
}

static bool code_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_code *a = &((const struct kb_code_table *)owner)->codes[id];
	const struct kb_code *b = key;

	return a->function == b->function && a->linetable == b->linetable &&
	       a->linetable_kind == b->linetable_kind;
}

uint32_t kb_code_table__add_code(struct kb_code_table *table, uint32_t function,
				 const struct kb_code_info *info)
{
	struct kb_code code = { function, KB_STRPOOL_NONE, info->linetable_kind };
	struct kb_code *codes;
	uint64_t hash;
	uint32_t id;

	if (function >= table->n_functions)
		return KB_ID_NONE;
	/* Without room the code still counts, its lines are then unknown. */
	if (info->linetable)
		code.linetable =
			kb_strpool__add(table->linetables, info->linetable, info->linetable_bytes);
	hash = kb_hash__bytes(&code, sizeof(code));
	id = kb_index__find(&table->code_index, hash, &code, code_equal, table);
	if (id != KB_INDEX_NONE)
		return id;
	codes = kb_array__grow(table->codes, &table->codes_capacity, table->n_codes + 1,
			       sizeof(*codes), KB_PROFILE_CODES_MAX);
	if (!codes)
		return KB_ID_NONE;
	table->codes = codes;
	codes[table->n_codes] = code;
	if (!kb_index__insert(&table->code_index, hash, table->n_codes, code_hash, table))
		return KB_ID_NONE;
	return table->n_codes++;
}

/* ---- places: (code, code unit) to a frame */

static uint64_t hash_place(uint32_t code, uint32_t lasti)
{
	uint32_t key[] = { code, lasti };

	return kb_hash__bytes(key, sizeof(key));
}

static uint64_t place_hash(const void *owner, uint32_t id)
{
	const struct kb_code_place *place = &((const struct kb_code_table *)owner)->places[id];

	return hash_place(place->code, place->lasti);
}

static bool place_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_code_place *a = &((const struct kb_code_table *)owner)->places[id];
	const struct kb_code_place *b = key;

	return a->code == b->code && a->lasti == b->lasti;
}

static int32_t line_of(const struct kb_code_table *table, const struct kb_code *code,
		       uint32_t lasti)
{
	const struct kb_function_info *function = &table->functions[code->function];

	if (code->linetable == KB_STRPOOL_NONE || function->kind != KB_FRAME_PYTHON)
		return 0;
	return kb_linetable__line(
		code->linetable_kind,
		(const uint8_t *)kb_strpool__at(table->linetables, code->linetable),
		kb_strpool__size(table->linetables, code->linetable), function->first_line, lasti);
}

static void remember(struct kb_code_table *table, const struct kb_code_place *place, uint64_t hash)
{
	struct kb_code_place *places =
		kb_array__grow(table->places, &table->places_capacity, table->n_places + 1,
			       sizeof(*places), PLACES_MAX);

	if (!places)
		return;
	table->places = places;
	places[table->n_places] = *place;
	if (kb_index__insert(&table->place_index, hash, table->n_places, place_hash, table))
		table->n_places++;
}

uint32_t kb_code_table__frame_at(struct kb_code_table *table, uint32_t code, uint32_t lasti)
{
	struct kb_code_place place = { code, lasti };
	uint64_t hash = hash_place(code, lasti);
	uint32_t id = kb_index__find(&table->place_index, hash, &place, place_equal, table);

	if (id != KB_INDEX_NONE)
		return table->places[id].frame;
	if (code >= table->n_codes)
		return KB_ID_NONE;
	place.frame = kb_code_table__add_frame(table, table->codes[code].function,
					       line_of(table, &table->codes[code], lasti),
					       table->no_opcode);
	if (place.frame != KB_ID_NONE)
		remember(table, &place, hash);
	return place.frame;
}
