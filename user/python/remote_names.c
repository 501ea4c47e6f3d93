// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Names of threads: threading._active is a dict of Thread objects by threading.get_ident(). */
#include <stdlib.h>
#include "python/remote_object.h"
#include "python/remote_string.h"
#include "python/remote_threads.h"

#define NAME_BYTES_MAX 256

static struct kb_remote_thread *find(struct kb_remote_threads *threads, uint64_t interp,
				     int64_t ident)
{
	for (uint32_t i = 0; i < threads->n; i++) {
		struct kb_remote_thread *thread = &threads->threads[i];

		if (thread->interp == interp && (int64_t)thread->ident == ident)
			return thread;
	}
	return NULL;
}

static char *name_of(struct kb_remote *remote, uint64_t object)
{
	struct kb_remote_type type;
	uint64_t name;

	/* Thread._name, in all versions: Lib/threading.py. */
	if (!kb_remote_object__attribute(remote, object, "_name", &name) ||
	    !kb_remote_object__type(remote, name, &type) || !(type.flags & KB_TYPE_STR))
		return NULL;
	return kb_remote_string__read(remote->pages, remote->layout, name, NAME_BYTES_MAX);
}

static void names_of_interpreter(struct kb_remote *remote, struct kb_remote_threads *threads,
				 uint64_t interp)
{
	uint64_t module, active, key, value;
	struct kb_remote_thread *thread;
	struct kb_remote_dict dict;
	int64_t ident;

	if (!kb_remote_module__find(remote, interp, "threading", &module) ||
	    !kb_remote_object__attribute(remote, module, "_active", &active) ||
	    !kb_remote_dict__open(remote, active, &dict))
		return;
	while (kb_remote_dict__next(remote, &dict, &key, &value)) {
		if (!kb_remote_object__int(remote, key, &ident))
			continue;
		thread = find(threads, interp, ident);
		if (thread && !thread->name)
			thread->name = name_of(remote, value);
	}
}

void kb_remote_threads__names(struct kb_remote *remote, struct kb_remote_threads *threads)
{
	uint64_t last = 0;

	kb_remote__begin(remote);
	/* The threads of an interpreter follow one another. */
	for (uint32_t i = 0; i < threads->n; i++) {
		if (threads->threads[i].interp == last)
			continue;
		last = threads->threads[i].interp;
		names_of_interpreter(remote, threads, last);
	}
}
