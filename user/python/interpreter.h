/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_INTERPRETER_H
#define KB_PYTHON_INTERPRETER_H

#include <sys/types.h>
#include "python/image.h"

/* The interpreter of a live process. */
struct kb_interpreter {
	const struct kb_image_info *image; /* owned by the image cache, lives as long as it */
	uint32_t image_index;		   /* dense, in order of discovery */
	uint64_t bias;
	uint64_t map_start,
		map_end;      /* the image's first mapping: names /proc/PID/map_files/START-END */
	char path[256];	      /* as in /proc/PID/maps, cut if longer, without " (deleted)" */
	bool initialized;     /* the runtime has an interpreter and a thread state: the layout was
				 validated on it */
	bool needs_libpython; /* not found: libpython is not mapped yet, but the executable needs it
			       */
};

/* Images already analysed, by device, inode, size and change time of the mapped file. */
struct kb_image_cache;
struct kb_error *kb_image_cache__create(struct kb_image_cache **cache);
void kb_image_cache__destroy(struct kb_image_cache *cache);
uint32_t kb_image_cache__count(const struct kb_image_cache *cache);
const struct kb_image_info *kb_image_cache__at(const struct kb_image_cache *cache, uint32_t index);

/*
 * Finds the interpreter of a process through /proc/PID/maps and map_files, which
 * works across mount namespaces and for deleted files. *found false with no
 * error: not a Python process (see needs_libpython). KB_STATUS_UNSUPPORTED: it
 * is one, and keelback refuses it, with the reason. Only reads; every length and
 * pointer from the process is bounded.
 */
struct kb_error *kb_interpreter__find(struct kb_image_cache *cache, pid_t pid, bool *found,
				      struct kb_interpreter *interp);

/*
 * Checks the layout on the live process: interpreter list, thread states,
 * thread ids, a frame's code object whose type is PyCode_Type and whose names
 * are strings. Initialized processes only. KB_STATUS_UNSUPPORTED: does not fit.
 */
struct kb_error *kb_interpreter__validate(pid_t pid, const struct kb_interpreter *interp);

/*
 * Analyses an executable that will be run, or the libpython that it needs, into
 * the cache. *index and file (size PATH_MAX) say which file is the image.
 */
struct kb_error *kb_image_cache__add_path(struct kb_image_cache *cache, const char *path,
					  bool *is_python, uint32_t *index, char *file);

#endif
