/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_PRIVATE_H
#define KB_MODEL_PRIVATE_H

#include "base/strpool.h"
#include "model/code_table.h"
#include "model/profile.h"
#include "model/stack_tree.h"
#include "model/text_pool.h"

/* Inside of a profile, for the files of model/ alone. */
#define KB_PROFILE_PROCESSES_MAX (1u << 20)
#define KB_PROFILE_STRINGS_MAX	 (1u << 22)
#define KB_PROFILE_STRING_MAX	 KB_TEXT_POOL_STRING_MAX
#define KB_PROFILE_STRING_BYTES	 (256u << 20)

struct kb_profile {
	struct kb_profile_meta meta;
	struct kb_strpool *strings; /* all text is UTF-8; id 0 is "" */

	struct kb_process_info *processes;
	uint32_t n_processes, processes_capacity;
	struct kb_index process_index;

	struct kb_thread_info *threads;
	uint32_t n_threads, threads_capacity;
	struct kb_index thread_index;

	struct kb_code_table code;
	struct kb_stack_tree tree;
	uint64_t ledger[KB_L_COUNT];

	struct kb_moment *moments;
	uint32_t n_moments, moments_capacity;

	struct kb_memory *memory; /* NULL: not of allocations */
};

/* A string of the profile's pool with this text, invalid UTF-8 replaced, too long cut; NULL is "".
 * NULL: full or out of memory. */
const char *kb_profile__intern(struct kb_profile *profile, const char *text);

#endif
