/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_STACK_DECODER_H
#define KB_COLLECT_STACK_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bpf/shared/events.h"
#include "bpf/shared/tasks.h"
#include "collect/task_names.h"
#include "model/profile.h"

/*
 * Stacks as they arrive from the kernel: words, which become nodes of the
 * profile's tree. A stack is taken apart first (kb_stack_parts__split), then put
 * together from the root to the leaf.
 */
struct kb_words {
	const kb_u64 *words; /* in the record */
	uint32_t n;
};

#define KB_WORD_KINDS (KB_WORD_TASK + 1)

/* What a stack record says. */
struct kb_stack_parts {
	struct kb_words
		python;	  /* leaf first, with KB_WORD_NATIVE_MARK and KB_WORD_GC between frames */
	uint32_t present; /* 1 << enum kb_word_kind: of the tail's words */
	uint32_t value[KB_WORD_KINDS];		 /* of the kinds that stand alone */
	struct kb_words section[KB_WORD_KINDS];	 /* of the kinds that count what follows them */
	struct kb_words tasks[KB_TASKS_MAX + 1]; /* the running one, and those that wait for it */
	uint32_t n_tasks;
};

static inline bool kb_stack_parts__has(const struct kb_stack_parts *parts, enum kb_word_kind kind)
{
	return parts->present & 1u << kind;
}

/* Takes the words of a record apart; false when they make no sense. */
bool kb_stack_parts__split(const kb_u64 *words, uint32_t n, struct kb_stack_parts *parts);

struct kb_stack_decoder;

/*
 * The code object at an address of a process, in the profile: KB_CODE_HIDDEN for what
 * is shown to nobody, KB_ID_NONE when there is no room for it.
 */
typedef uint32_t (*kb_code_at_fn)(uint32_t proc, uint64_t address, void *context);

/* Native and kernel frames, as in collect/native.h. */
struct kb_native_source {
	void (*frames)(uint32_t proc, const kb_u64 *addresses, uint32_t n, uint32_t *frames,
		       bool *eval, void *context);
	uint32_t (*kernel_frames)(const kb_u64 *addresses, uint32_t n, uint32_t *frames,
				  void *context);
	bool (*one_by_one)(uint32_t proc, void *context);
};
/* The minor version of a process's interpreter (12 for 3.12), 0: not known. */
typedef unsigned (*kb_minor_of_fn)(uint32_t proc, void *context);

struct kb_stack_decoder_opts {
	struct kb_profile *profile; /* borrowed */
	kb_code_at_fn code_at;
	struct kb_native_source native; /* for stacks with such sections */
	kb_minor_of_fn minor_of;
	const struct kb_task_names *task_names; /* borrowed */
	void *context;
};

/* NULL: out of memory. */
struct kb_stack_decoder *kb_stack_decoder__create(const struct kb_stack_decoder_opts *opts);
void kb_stack_decoder__destroy(struct kb_stack_decoder *decoder);

/*
 * Adds a record's stack to the profile's tree. Returns the leaf's node; KB_ID_NONE when
 * the record makes no sense, has no frame to show, or a limit of the profile is reached.
 */
uint32_t kb_stack_decoder__add(struct kb_stack_decoder *decoder, const struct kb_data_stack *record,
			       size_t size);

#endif
