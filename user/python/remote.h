/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_H
#define KB_PYTHON_REMOTE_H

#include <sys/types.h>
#include "python/interpreter.h"
#include "system/pages.h"

/*
 * A live process whose interpreter is read from outside, without stopping it. All that
 * is read may be changed at the same time, or be hostile: every reader of remote_*.h
 * checks types and bounds loops, and says false instead of guessing.
 */
struct kb_remote {
	pid_t pid;
	const struct kb_layout *layout;
	const struct kb_object_layout *objects;
	uint64_t code_type;	 /* address of PyCode_Type */
	uint64_t interp_head;	 /* of the pointer to the first interpreter */
	uint64_t tstate_current; /* of the global current thread state, up to 3.11, or 0 */
	struct kb_pages *pages;
	uint64_t work; /* entries of tables looked at since the last kb_remote__begin() */
};

/* Entries that are looked at for one thread, or one list of tasks: a hostile process has tables
 * without end, one in the other. Some seconds. */
#define KB_REMOTE_WORK_MAX (1u << 26)

/* Before a new piece of work: memory is read anew. */
void kb_remote__begin(struct kb_remote *remote);

/* interp: as kb_interpreter__find() says; its image must live as long. */
struct kb_error *kb_remote__open(pid_t pid, const struct kb_interpreter *interp,
				 struct kb_remote *remote);
void kb_remote__close(struct kb_remote *remote);

#endif
