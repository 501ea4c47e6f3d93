// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/nearest.h"
#include "python/remote_search.h"
#include "python/remote_search_private.h"
#include "python/remote_string.h"

#define WRAPPERS_MAX   16 /* one around the other */
#define BASES_MAX      64 /* classes above a class */
#define NAME_BYTES     256
#define CANDIDATES_MAX 4096 /* names that a mistyped one is compared with */
#define SHOWN_MAX      5    /* names in a message */
#define LOCALS	       "<locals>"

/* ---------------------------------------------------------------- names */

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 9;
}

struct kb_error *kb_remote_name__parse(const char *text, struct kb_remote_name *name)
{
	const char *colon = strrchr(text, ':');

	*name = (struct kb_remote_name){};
	if (!colon || colon == text || !colon[1])
		return kb_usage("'%s' is neither MODULE:FUNCTION, such as __main__:work or "
				"json.decoder:JSONDecoder.decode, nor FILE:LINE",
				text);
	if (is_number(colon + 1)) {
		name->file = strndup(text, colon - text);
		name->line = atoi(colon + 1);
		if (name->file && name->line)
			return NULL;
		kb_remote_name__free(name);
		return kb_usage("'%s': lines are counted from 1", text);
	}
	name->module = strndup(text, colon - text);
	name->qualname = strdup(colon + 1);
	if (name->module && name->qualname)
		return NULL;
	kb_remote_name__free(name);
	return kb_error__no_memory();
}

void kb_remote_name__free(struct kb_remote_name *name)
{
	free(name->module);
	free(name->qualname);
	free(name->file);
	*name = (struct kb_remote_name){};
}

/* ---------------------------------------------------------------- names that are there */

/* Those that a mistyped name is compared with. */
struct candidates {
	char *names[CANDIDATES_MAX];
	uint32_t n;
};

static void add_keys(struct kb_remote *remote, struct kb_remote_dict dict,
		     struct candidates *candidates)
{
	uint64_t key, value;
	char *name;

	while (candidates->n < CANDIDATES_MAX &&
	       kb_remote_dict__next(remote, &dict, &key, &value)) {
		name = kb_remote_string__read(remote->pages, remote->layout, key, NAME_BYTES);
		if (name)
			candidates->names[candidates->n++] = name;
	}
}

/* ": did you mean 'x'?", or what else there is, behind what is in text already. */
static void add_nearest(const struct candidates *candidates, const char *wanted, bool list,
			char *text)
{
	const char *nearest = kb_nearest(wanted, (const char *const *)candidates->names,
					 candidates->n, sizeof(char *));
	size_t used = strlen(text), shown = 0;

	if (nearest) {
		snprintf(text + used, KB_SEARCH_REASON_MAX - used, "; did you mean '%s'?", nearest);
		return;
	}
	for (uint32_t i = 0; i < candidates->n && list && shown < SHOWN_MAX; i++) {
		if (candidates->names[i][0] == '_')
			continue;
		used = strlen(text);
		snprintf(text + used, KB_SEARCH_REASON_MAX - used, "%s%s",
			 shown++ ? ", " : "; it has ", candidates->names[i]);
	}
}

static void free_candidates(struct candidates *candidates)
{
	for (uint32_t i = 0; i < candidates->n; i++)
		free(candidates->names[i]);
	free(candidates);
}

/* ---------------------------------------------------------------- attributes */

static bool word(struct kb_remote *remote, uint64_t address, uint64_t *value)
{
	return kb_pages__read_u64(remote->pages, address, value);
}

bool kb_remote_search__is_code(struct kb_remote *remote, uint64_t object)
{
	uint64_t type;

	return object && !(object % 8) &&
	       word(remote, object + remote->layout->object_type, &type) &&
	       type == remote->code_type;
}

bool kb_remote_search__open_class(struct kb_remote *remote, uint64_t type,
				  struct kb_remote_dict *dict)
{
	uint64_t address;

	return word(remote, type + remote->objects->type_dict, &address) &&
	       kb_remote_dict__open(remote, address, dict);
}

/* In the classes from this one up, along tp_base. */
static bool class_attribute(struct kb_remote *remote, uint64_t type, const char *name,
			    uint64_t *value)
{
	struct kb_remote_dict dict;

	for (int i = 0; type && i < BASES_MAX; i++) {
		if (kb_remote_search__open_class(remote, type, &dict) &&
		    kb_remote_dict__find(remote, dict, name, value))
			return true;
		if (!word(remote, type + remote->objects->type_base, &type))
			return false;
	}
	return false;
}

static bool is_class(const struct kb_remote_type *type)
{
	return (type->flags & KB_TYPE_TYPE) != 0;
}

static bool attribute(struct kb_remote *remote, uint64_t object, const char *name, uint64_t *value)
{
	struct kb_remote_type type;

	if (!kb_remote_object__type(remote, object, &type))
		return false;
	if (is_class(&type))
		return class_attribute(remote, object, name, value);
	return kb_remote_object__attribute(remote, object, name, value) ||
	       class_attribute(remote, type.address, name, value);
}

/* What these hold first, behind the object header, is what they wrap: Objects/funcobject.c
 * (cm_callable, sm_callable), Objects/descrobject.c (prop_get), Objects/classobject.c (im_func),
 * Modules/_functoolsmodule.c (fn), 3.6 to 3.15. */
static bool holds_first(const char *type)
{
	static const char *const names[] = { "staticmethod", "classmethod", "property", "method",
					     "functools.partial" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(type, names[i]))
			return true;
	return false;
}

bool kb_remote_search__unwrap(struct kb_remote *remote, uint64_t object, uint64_t *code)
{
	struct kb_remote_type type;
	uint64_t inner;

	for (int i = 0; i < WRAPPERS_MAX; i++) {
		if (!kb_remote_object__type(remote, object, &type) || is_class(&type))
			return false;
		if (kb_remote_object__attribute(remote, object, "__wrapped__", &inner)) {
			object = inner;
		} else if (!strcmp(type.name, "function")) {
			return word(remote, object + remote->objects->function_code, code) &&
			       kb_remote_search__is_code(remote, *code);
		} else if (holds_first(type.name)) {
			if (!word(remote, object + remote->layout->object_type + 8, &object))
				return false;
		} else if (kb_remote_object__attribute(remote, object, "func", &inner) ||
			   class_attribute(remote, type.address, "__call__", &inner)) {
			/* cached_property, partialmethod; objects that are called. */
			object = inner;
		} else {
			return false;
		}
	}
	return false;
}

bool kb_remote_search__constants(struct kb_remote *remote, uint64_t code, uint64_t *items,
				 uint64_t *n)
{
	struct kb_remote_type type;
	uint64_t tuple;

	return word(remote, code + remote->objects->code_consts, &tuple) &&
	       kb_remote_object__type(remote, tuple, &type) && (type.flags & KB_TYPE_TUPLE) &&
	       kb_remote_object__items(remote, tuple, &type, items, n) && *n < KB_CONSTANTS_MAX;
}

/* The code object of that name among a code object's constants. */
static bool inner_code(struct kb_remote *remote, uint64_t code, const char *name, uint64_t *found)
{
	uint64_t items, n, object, of_object;

	if (!kb_remote_search__constants(remote, code, &items, &n))
		return false;
	for (uint64_t i = 0; i < n; i++) {
		if (!word(remote, items + i * 8, &object) ||
		    !kb_remote_search__is_code(remote, object) ||
		    !word(remote, object + remote->objects->code_bare_name, &of_object) ||
		    !kb_remote_string__is(remote->pages, remote->layout, of_object, name))
			continue;
		*found = object;
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- functions */

static void say_missing(struct kb_remote *remote, uint64_t object, const char *what,
			const char *name, char *reason)
{
	struct candidates *candidates = calloc(1, sizeof(*candidates));
	struct kb_remote_type type;
	struct kb_remote_dict dict;

	snprintf(reason, KB_SEARCH_REASON_MAX, "%s has no '%s'", what, name);
	if (!candidates)
		return;
	if (kb_remote_object__type(remote, object, &type) &&
	    (is_class(&type) ? kb_remote_search__open_class(remote, object, &dict)
			     : kb_remote_dict__open_attributes(remote, object, &type, &dict)))
		add_keys(remote, dict, candidates);
	add_nearest(candidates, name, true, reason);
	free_candidates(candidates);
}

/* Goes along the qualified name, which is taken apart. */
static bool follow(struct kb_remote *remote, uint64_t object, const char *module, char *path,
		   uint64_t *code, char *reason)
{
	char *rest = path, what[NAME_BYTES];
	const char *name;
	bool in_code = false;

	snprintf(what, sizeof(what), "module '%s'", module);
	while ((name = strsep(&rest, "."))) {
		if (!strcmp(name, LOCALS)) {
			if (!in_code && !kb_remote_search__unwrap(remote, object, code)) {
				snprintf(reason, KB_SEARCH_REASON_MAX, "%s is no Python function",
					 what);
				return false;
			}
			in_code = true;
			continue;
		}
		if (in_code ? !inner_code(remote, *code, name, code)
			    : !attribute(remote, object, name, &object)) {
			if (in_code)
				snprintf(reason, KB_SEARCH_REASON_MAX, "%s defines no '%s'", what,
					 name);
			else
				say_missing(remote, object, what, name, reason);
			return false;
		}
		snprintf(what, sizeof(what), "'%s'", name);
	}
	if (in_code || kb_remote_search__unwrap(remote, object, code))
		return true;
	snprintf(reason, KB_SEARCH_REASON_MAX,
		 "%s is no Python function; of a class choose a method", what);
	return false;
}

static void say_no_module(struct kb_remote *remote, uint64_t interp, const char *name, char *reason)
{
	struct candidates *candidates = calloc(1, sizeof(*candidates));
	struct kb_remote_dict dict;
	uint64_t modules;

	snprintf(reason, KB_SEARCH_REASON_MAX, "no module '%s' is imported", name);
	if (!candidates)
		return;
	if (word(remote, interp + remote->objects->interp_modules, &modules) &&
	    kb_remote_dict__open(remote, modules, &dict))
		add_keys(remote, dict, candidates);
	add_nearest(candidates, name, false, reason);
	free_candidates(candidates);
}

static bool find_function(struct kb_remote *remote, const struct kb_remote_name *name,
			  uint64_t interp, uint64_t *code, char *reason)
{
	char *path = strdup(name->qualname);
	uint64_t module;
	bool found = false;

	if (path && kb_remote_module__find(remote, interp, name->module, &module))
		found = follow(remote, module, name->module, path, code, reason);
	else
		say_no_module(remote, interp, name->module, reason);
	free(path);
	return found;
}

/* ---------------------------------------------------------------- interpreters */

#define INTERPRETERS_MAX 64

bool kb_remote_search__find(struct kb_remote *remote, const struct kb_remote_name *name,
			    struct kb_remote_found *found, char *reason)
{
	uint64_t interps[INTERPRETERS_MAX], interp;
	uint32_t n = 0;

	kb_remote__begin(remote);
	*found = (struct kb_remote_found){ .is_function = !name->file };
	snprintf(reason, KB_SEARCH_REASON_MAX, "it is starting, or ending");
	if (!word(remote, remote->interp_head, &interp))
		return false;
	while (interp && n < INTERPRETERS_MAX) {
		interps[n++] = interp;
		if (!word(remote, interp + remote->layout->interp_next, &interp))
			break;
	}
	/* The main one is the last. What is said is of it, too. */
	for (uint32_t i = n; i-- > 0;) {
		char ignored[KB_SEARCH_REASON_MAX], *say = i == n - 1 ? reason : ignored;

		if (name->file ? kb_remote_search__line(remote, name, interps[i], found, say)
			       : find_function(remote, name, interps[i], &found->code, say))
			return true;
	}
	return false;
}
