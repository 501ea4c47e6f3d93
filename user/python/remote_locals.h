/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_LOCALS_H
#define KB_PYTHON_REMOTE_LOCALS_H

#include "python/remote_frames.h"

#define KB_REMOTE_LOCALS_MAX 1000 /* variables of one frame; later ones are left out */

enum kb_remote_local_kind { KB_REMOTE_LOCAL, KB_REMOTE_CELL, KB_REMOTE_FREE };

struct kb_remote_local {
	const char *name; /* UTF-8, valid during the call */
	enum kb_remote_local_kind kind;
	uint64_t object; /* its value */
	bool is_integer; /* 3.14+: no object but this number (a tagged stack reference) */
	int64_t integer;
};
typedef void (*kb_remote_local_fn)(const struct kb_remote_local *local, void *context);

/*
 * The local variables of a frame that have a value: arguments and other fast locals, cells, free
 * variables; of a class body its namespace. Read while the thread sleeps
 * (kb_remote_frames__asleep).
 */
void kb_remote_locals__each(struct kb_remote *remote, const struct kb_remote_frame *frame,
			    kb_remote_local_fn fn, void *context);

#endif
