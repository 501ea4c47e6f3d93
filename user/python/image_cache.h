/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_IMAGE_CACHE_H
#define KB_PYTHON_IMAGE_CACHE_H

#include "python/interpreter.h"

/*
 * The part of the image cache that interpreter.c uses; the rest is in
 * python/interpreter.h. What a file was found to be is remembered too when it holds
 * no interpreter, or one that is refused: most processes are looked at more than once.
 */
struct kb_image_verdict {
	const struct kb_image_info *image; /* NULL: no interpreter */
	uint32_t index;			   /* of the image */
	bool needs_libpython;		   /* an executable linked against libpython */
};

/* Analyses the open file, or remembers it. `path` is for messages. Refused interpreters are
 * KB_STATUS_UNSUPPORTED. */
struct kb_error *kb_image_cache__look(struct kb_image_cache *cache, int fd, const char *path,
				      struct kb_image_verdict *verdict);

#endif
