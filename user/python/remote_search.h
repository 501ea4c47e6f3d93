/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_SEARCH_H
#define KB_PYTHON_REMOTE_SEARCH_H

#include "python/remote_object.h"

/*
 * Finds the code object of a function or of a line in a live process, by its name: what a user
 * writes as module:qualname or FILE:LINE.
 */
struct kb_remote_name {
	char *module, *qualname; /* a function, … */
	char *file;		 /* … or, when this is not NULL, a line of a file … */
	int32_t line;		 /* … whose path ends with it */
};

/* KB_STATUS_USAGE when the text is neither. kb_remote_name__free() it. */
struct kb_error *kb_remote_name__parse(const char *text, struct kb_remote_name *name);
void kb_remote_name__free(struct kb_remote_name *name);

struct kb_remote_found {
	uint64_t code;	  /* address of the code object */
	bool is_function; /* the line is a function's first one, or it was looked for by name */
};

#define KB_SEARCH_REASON_MAX 512

/*
 * Looks in sys.modules of each interpreter, the main one first: for the module, then along the
 * attributes. Decorators are looked through where they say what they wrap (__wrapped__,
 * functools.partial, property, methods). Behind `<locals>`, and where classes are defined in
 * functions, among the constants of code objects. Lines are looked for in the modules of that file
 * and in what threads execute. False: reason (KB_SEARCH_REASON_MAX) says what is there instead.
 */
bool kb_remote_search__find(struct kb_remote *remote, const struct kb_remote_name *name,
			    struct kb_remote_found *found, char *reason);

#endif
