/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_REFS_H
#define KB_MODEL_REFS_H

#include "keelback/refs.h"

/*
 * Building what keelback/refs.h reads. Adding functions say false, or KB_ID_NONE, past a limit and
 * without memory.
 */
#define KB_REFS_TYPES_MAX (1u << 16)
#define KB_REFS_ROWS_MAX  (1u << 20)

struct kb_error *kb_refs__create(const struct kb_profile *profile, unsigned frames_max,
				 uint64_t taken_ns, struct kb_refs **refs);
void kb_refs__destroy(struct kb_refs *refs);

bool kb_refs__add_process(struct kb_refs *refs, const struct kb_refs_process *process);
/* The type of this name in a process; its name is copied. */
uint32_t kb_refs__add_type(struct kb_refs *refs, uint32_t process, const char *name);
/* Rows of one type and node are one; the type's sums grow with it. */
bool kb_refs__add_row(struct kb_refs *refs, const struct kb_refs_row *row);

#endif
