/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_CODE_TABLE_H
#define KB_MODEL_CODE_TABLE_H

#include "base/index.h"
#include "base/strpool.h"
#include "model/profile.h"

/*
 * The part of a profile that knows code: functions, places in them (frames),
 * and the code objects that give places their lines. Strings that are passed in
 * must be interned in one pool that outlives the table: they are compared by address.
 */
#define KB_PROFILE_FUNCTIONS_MAX (1u << 20)
#define KB_PROFILE_FRAMES_MAX	 (1u << 22) /* 16 bytes and a hash entry each */
#define KB_PROFILE_LINETABLE_BYTES                                                                 \
	(256u << 20) /* the whole standard library has 3 MiB of line tables */

struct kb_code_table {
	struct kb_function_info *functions;
	uint32_t n_functions, functions_capacity;
	struct kb_index function_index;

	struct kb_frame_info *frames;
	uint32_t n_frames, frames_capacity;
	struct kb_index frame_index;

	struct kb_code *codes; /* defined in code_table.c */
	uint32_t n_codes, codes_capacity;
	struct kb_index code_index;

	/* Which frame a code unit of a code object is, so that lines are looked up once. */
	struct kb_code_place *places;
	uint32_t n_places, places_capacity;
	struct kb_index place_index;

	struct kb_strpool *linetables;
	const char *no_opcode; /* "", interned */
};

/* False: out of memory. A table that is all zero may be freed. */
bool kb_code_table__init(struct kb_code_table *table);
void kb_code_table__free(struct kb_code_table *table);

/* All return KB_ID_NONE past a limit, without memory, or for ids that do not exist. */
uint32_t kb_code_table__add_function(struct kb_code_table *table,
				     const struct kb_function_info *function);
uint32_t kb_code_table__add_frame(struct kb_code_table *table, uint32_t function, int32_t line,
				  const char *opcode);
/* Of info only the line table is used. */
uint32_t kb_code_table__add_code(struct kb_code_table *table, uint32_t function,
				 const struct kb_code_info *info);
uint32_t kb_code_table__frame_at(struct kb_code_table *table, uint32_t code, uint32_t lasti);

#endif
