/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_COROUTINE_H
#define KB_PYTHON_REMOTE_COROUTINE_H

#include "python/remote_frames.h"

/* Coroutines that wait for one another, of one task; deeper chains are cut. */
#define KB_REMOTE_COROUTINES_MAX 4096

enum kb_remote_coroutine {
	KB_COROUTINE_NONE,	/* no coroutine, or not readable */
	KB_COROUTINE_CREATED,	/* has not run yet */
	KB_COROUTINE_SUSPENDED, /* waits */
	KB_COROUTINE_RUNNING,
	KB_COROUTINE_FINISHED,
};
enum kb_remote_coroutine kb_remote_coroutine__state(struct kb_remote *remote, uint64_t object);

/*
 * The frames of a coroutine and of those that it waits for, innermost first: through generators,
 * asynchronous generators and their helpers. Where a coroutine runs, its callees are on its
 * thread's stack, and the chain ends with it.
 */
void kb_remote_coroutine__chain(struct kb_remote *remote, uint64_t object,
				struct kb_remote_stack *stack);

#endif
