/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CHOSEN_PLAN_H
#define KB_COLLECT_CHOSEN_PLAN_H

#include "bpf/shared/chosen.h"
#include "python/remote_search.h"

/* What of one chosen function or line is watched in one process. */
struct kb_chosen_plan {
	uint64_t code;	       /* address of the code object */
	char *file, *function; /* its names, UTF-8 */
	int32_t line;
	struct {
		uint64_t address;
		uint64_t executing, starting; /* as in struct kb_chosen_place */
		int32_t lasti;		      /* likewise */
		enum kb_chosen_role role;
	} places[KB_CHOSEN_MAX];
	uint32_t n;
	bool timed;
	const char *untimed; /* why not */
};

/*
 * spare: places that it may have beyond one; timed: its returns may be among them. False: reason
 * (KB_SEARCH_REASON_MAX) says why it cannot be watched. kb_chosen_plan__free() it.
 */
bool kb_chosen_plan__make(struct kb_remote *remote, const struct kb_remote_name *name,
			  const struct kb_remote_found *found, uint32_t spare, bool timed,
			  struct kb_chosen_plan *plan, char *reason);
void kb_chosen_plan__free(struct kb_chosen_plan *plan);

/* The place as the kernel has it. */
struct kb_chosen_place kb_chosen_plan__place(const struct kb_chosen_plan *plan, uint32_t index,
					     uint32_t number);

#endif
