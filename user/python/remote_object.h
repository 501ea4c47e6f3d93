/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_OBJECT_H
#define KB_PYTHON_REMOTE_OBJECT_H

#include "base/buf.h"
#include "python/remote.h"

/*
 * Objects of a live process. They may change or be freed while they are looked at,
 * so each pointer is followed only to something that looks like what it should be:
 * an object is one whose type is a type whose type has Py_TPFLAGS_TYPE_SUBCLASS.
 */

/* tp_flags: Include/object.h; the first two from 3.13 and 3.11. */
#define KB_TYPE_INLINE_VALUES (1ull << 2)
#define KB_TYPE_MANAGED_DICT  (1ull << 4)
#define KB_TYPE_HEAP	      (1ull << 9)
#define KB_TYPE_INT	      (1ull << 24)
#define KB_TYPE_LIST	      (1ull << 25)
#define KB_TYPE_TUPLE	      (1ull << 26)
#define KB_TYPE_BYTES	      (1ull << 27)
#define KB_TYPE_STR	      (1ull << 28)
#define KB_TYPE_DICT	      (1ull << 29)
#define KB_TYPE_EXCEPTION     (1ull << 30)
#define KB_TYPE_TYPE	      (1ull << 31)

struct kb_remote_type {
	uint64_t address;
	uint64_t flags;
	uint64_t metatype;
	int64_t basicsize, itemsize, dictoffset;
	char name[128]; /* tp_name: "Point", or "collections.OrderedDict" of types made in C */
};

/* The type of the object at an address; false: there is no object. */
bool kb_remote_object__type(struct kb_remote *remote, uint64_t object, struct kb_remote_type *type);
/* The object at an address as a type. */
bool kb_remote_type__read(struct kb_remote *remote, uint64_t address, struct kb_remote_type *type);

/* Its name, of classes with their module: "app.Point". Memory is read anew. NULL: no type; free()
 * it.
 */
char *kb_remote_type__full_name(struct kb_remote *remote, uint64_t address);

/* ob_size of a list or tuple and where its items are; false when it is of neither type. */
bool kb_remote_object__items(struct kb_remote *remote, uint64_t object,
			     const struct kb_remote_type *type, uint64_t *items, uint64_t *n);

/* An exact or derived int that fits; false otherwise. */
bool kb_remote_object__int(struct kb_remote *remote, uint64_t object, int64_t *value);

/* Entries in the order of insertion. */
struct kb_remote_dict {
	uint64_t used;	  /* entries with a value, as the object says; attributes: n */
	uint64_t entries; /* address */
	uint64_t values;  /* of a split table: address of the values, else 0 */
	uint64_t n;	  /* entries, those without a value included */
	uint64_t next;
	uint32_t entry_bytes;
};

/* Entries of one dict that are looked at; modules and registries have some thousands. */
#define KB_REMOTE_DICT_MAX (1u << 20)

bool kb_remote_dict__open(struct kb_remote *remote, uint64_t object, struct kb_remote_dict *dict);
/* The attributes of an instance, wherever they are; false: it has no place for any. */
bool kb_remote_dict__open_attributes(struct kb_remote *remote, uint64_t object,
				     const struct kb_remote_type *type,
				     struct kb_remote_dict *dict);
/* The next entry that has a value; false at the end, or where it cannot be read. */
bool kb_remote_dict__next(struct kb_remote *remote, struct kb_remote_dict *dict, uint64_t *key,
			  uint64_t *value);
/* The value of a key that is an ASCII str. */
bool kb_remote_dict__find(struct kb_remote *remote, struct kb_remote_dict dict, const char *key,
			  uint64_t *value);

/* Keys of a set or frozenset: *place counts from 0. False at the end. */
struct kb_remote_set {
	uint64_t used, table, mask;
	uint64_t next;
};
bool kb_remote_set__open(struct kb_remote *remote, uint64_t object, struct kb_remote_set *set);
bool kb_remote_set__next(struct kb_remote *remote, struct kb_remote_set *set, uint64_t *key);

/* sys.modules[name] of an interpreter, and an attribute of a module. ASCII names. */
bool kb_remote_module__find(struct kb_remote *remote, uint64_t interp, const char *name,
			    uint64_t *module);
bool kb_remote_object__attribute(struct kb_remote *remote, uint64_t object, const char *name,
				 uint64_t *value);

/* How much of a value is written. */
struct kb_remote_repr_opts {
	uint32_t depth;	     /* of containers in containers */
	uint32_t items;	     /* of each container */
	uint32_t characters; /* of each string */
	uint32_t bytes;	     /* in all, about */
};
#define KB_REMOTE_REPR_DEFAULT                                                                     \
	{                                                                                          \
		.depth = 3, .items = 10, .characters = 120, .bytes = 1000                          \
	}

/*
 * Appends what repr() would say, as far as that can be told without running code: numbers,
 * strings, containers, enums, data classes, exceptions, functions and types as
 * Python does, other objects with their attributes. What is left out is named
 * (", ... (1000 items)"). UTF-8, printable, on one line. Without a NUL.
 */
void kb_remote_object__repr(struct kb_remote *remote, uint64_t object,
			    const struct kb_remote_repr_opts *opts, struct kb_buf *text);

#endif
