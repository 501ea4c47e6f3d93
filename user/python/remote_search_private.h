/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_SEARCH_PRIVATE_H
#define KB_PYTHON_REMOTE_SEARCH_PRIVATE_H

#include "python/remote_search.h"

/* Between remote_search.c (names) and remote_search_line.c. */

#define KB_CONSTANTS_MAX (1u << 16) /* of one code object */

bool kb_remote_search__is_code(struct kb_remote *remote, uint64_t object);
bool kb_remote_search__open_class(struct kb_remote *remote, uint64_t type,
				  struct kb_remote_dict *dict);
/* The code object of a function, through what wraps it. */
bool kb_remote_search__unwrap(struct kb_remote *remote, uint64_t object, uint64_t *code);
bool kb_remote_search__constants(struct kb_remote *remote, uint64_t code, uint64_t *items,
				 uint64_t *n);

bool kb_remote_search__line(struct kb_remote *remote, const struct kb_remote_name *name,
			    uint64_t interp, struct kb_remote_found *found, char *reason);

#endif
