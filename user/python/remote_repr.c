// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What repr() would say of an object, told from its memory. Nothing of the process runs,
 * so a __repr__ of its own is not asked: such objects show their attributes.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "python/remote_object.h"
#include "python/remote_repr.h"
#include "python/remote_string.h"

#define QUALNAME_BYTES 512

static bool word(struct kb_repr *r, uint64_t address, uint64_t *value)
{
	return kb_pages__read_u64(r->remote->pages, address, value);
}

void kb_repr__text(struct kb_repr *r, const char *text)
{
	kb_buf__append(r->out, text, strlen(text));
}

void kb_repr__format(struct kb_repr *r, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	kb_repr__text(r, text);
}

bool kb_repr__is_full(const struct kb_repr *r)
{
	return r->out->failed || r->out->size - r->start >= r->opts->bytes;
}

/* ---------------------------------------------------------------- names */

/* The part of a type's name behind its module. */
static const char *short_name(const struct kb_remote_type *type)
{
	const char *dot = strrchr(type->name, '.');

	return dot ? dot + 1 : type->name;
}

/* A type's name comes from the process like everything else. */
static void write_name(struct kb_repr *r, const char *name)
{
	for (; *name; name++) {
		char c[2] = { *name, 0 };

		/* UTF-8 beyond ASCII stays: the writers of the text check it once more. */
		kb_repr__text(r, (unsigned char)*name < ' ' || *name == 0x7f ? "?" : c);
	}
}

/* A str as it is, such as a function's qualified name. */
static void write_plain_string(struct kb_repr *r, uint64_t string)
{
	char *text =
		kb_remote_string__read(r->remote->pages, r->remote->layout, string, QUALNAME_BYTES);

	write_name(r, text ? text : "?");
	free(text);
}

static bool write_string_at(struct kb_repr *r, uint64_t address)
{
	struct kb_remote_type type;
	uint64_t string;

	if (!word(r, address, &string) || !kb_remote_object__type(r->remote, string, &type) ||
	    !(type.flags & KB_TYPE_STR))
		return false;
	write_plain_string(r, string);
	return true;
}

static void write_address(struct kb_repr *r, uint64_t object)
{
	kb_repr__format(r, " at 0x%" PRIx64 ">", object);
}

/* ---------------------------------------------------------------- containers */

/* Between two items. False: no more of them. */
static bool separate(struct kb_repr *r, uint64_t written, uint64_t total)
{
	if (written)
		kb_repr__text(r, ", ");
	if (written < r->opts->items && !kb_repr__is_full(r))
		return true;
	kb_repr__format(r, "... (%" PRIu64 " items)", total);
	return false;
}

static void write_sequence(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type)
{
	bool list = type->flags & KB_TYPE_LIST;
	uint64_t items, n, item, i;

	if (!kb_remote_object__items(r->remote, object, type, &items, &n)) {
		kb_repr__text(r, "<unreadable>");
		return;
	}
	kb_repr__text(r, list ? "[" : "(");
	for (i = 0; i < n && separate(r, i, n); i++) {
		if (word(r, items + i * 8, &item))
			kb_repr__object(r, item);
		else
			kb_repr__text(r, "<unreadable>");
	}
	kb_repr__text(r, list ? "]" : n == 1 ? ",)" : ")");
}

static void write_dict(struct kb_repr *r, uint64_t object)
{
	struct kb_remote_dict dict;
	uint64_t key, value, n = 0;

	if (!kb_remote_dict__open(r->remote, object, &dict)) {
		kb_repr__text(r, "<unreadable>");
		return;
	}
	kb_repr__text(r, "{");
	while (kb_remote_dict__next(r->remote, &dict, &key, &value) &&
	       separate(r, n++, dict.used)) {
		kb_repr__object(r, key);
		kb_repr__text(r, ": ");
		kb_repr__object(r, value);
	}
	kb_repr__text(r, "}");
}

static void write_set(struct kb_repr *r, uint64_t object)
{
	struct kb_remote_set set;
	uint64_t key, n = 0;

	if (!kb_remote_set__open(r->remote, object, &set)) {
		kb_repr__text(r, "<unreadable>");
		return;
	}
	kb_repr__text(r, "{");
	while (kb_remote_set__next(r->remote, &set, &key) && separate(r, n++, set.used))
		kb_repr__object(r, key);
	kb_repr__text(r, "}");
}

/* name=value of an instance; returns how many. With `first` it writes that before them. */
static uint64_t write_attributes(struct kb_repr *r, uint64_t object,
				 const struct kb_remote_type *type, const char *first)
{
	struct kb_remote_type of_key;
	struct kb_remote_dict dict;
	uint64_t key, value, n = 0;

	if (!kb_remote_dict__open_attributes(r->remote, object, type, &dict))
		return 0;
	while (kb_remote_dict__next(r->remote, &dict, &key, &value)) {
		if (!kb_remote_object__type(r->remote, key, &of_key) ||
		    !(of_key.flags & KB_TYPE_STR))
			continue;
		if (!n)
			kb_repr__text(r, first);
		if (!separate(r, n++, dict.used))
			break;
		write_plain_string(r, key);
		kb_repr__text(r, "=");
		kb_repr__object(r, value);
	}
	return n;
}

/* ---------------------------------------------------------------- instances */

/* Members of an enum have _name_ and _value_. */
static bool write_enum(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type)
{
	struct kb_remote_dict attributes;
	struct kb_remote_type meta, of_name;
	uint64_t name, value;

	if (!kb_remote_type__read(r->remote, type->metatype, &meta) ||
	    (strcmp(meta.name, "EnumMeta") && strcmp(meta.name, "EnumType")) ||
	    !kb_remote_dict__open_attributes(r->remote, object, type, &attributes) ||
	    !kb_remote_dict__find(r->remote, attributes, "_value_", &value))
		return false;
	kb_repr__text(r, "<");
	write_name(r, type->name);
	if (kb_remote_dict__find(r->remote, attributes, "_name_", &name) &&
	    kb_remote_object__type(r->remote, name, &of_name) && (of_name.flags & KB_TYPE_STR)) {
		kb_repr__text(r, ".");
		write_plain_string(r, name);
	}
	kb_repr__text(r, ": ");
	kb_repr__object(r, value);
	kb_repr__text(r, ">");
	return true;
}

/* Does the class say so itself? The classes of a data class that were derived without the decorator
 * do not. */
static bool is_dataclass(struct kb_repr *r, const struct kb_remote_type *type)
{
	struct kb_remote_dict members;
	uint64_t dict, fields;

	return (type->flags & KB_TYPE_HEAP) &&
	       word(r, type->address + r->remote->objects->type_dict, &dict) &&
	       kb_remote_dict__open(r->remote, dict, &members) &&
	       kb_remote_dict__find(r->remote, members, "__dataclass_fields__", &fields);
}

static void write_exception(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type)
{
	struct kb_remote_type of_args;
	uint64_t args, items, n, item;

	write_name(r, short_name(type));
	kb_repr__text(r, "(");
	if (word(r, object + r->remote->objects->exception_args, &args) &&
	    kb_remote_object__type(r->remote, args, &of_args) && (of_args.flags & KB_TYPE_TUPLE) &&
	    kb_remote_object__items(r->remote, args, &of_args, &items, &n)) {
		for (uint64_t i = 0; i < n && separate(r, i, n); i++) {
			if (word(r, items + i * 8, &item))
				kb_repr__object(r, item);
		}
	}
	kb_repr__text(r, ")");
}

static void write_instance(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type)
{
	if (write_enum(r, object, type))
		return;
	if (is_dataclass(r, type)) {
		write_name(r, type->name);
		kb_repr__text(r, "(");
		write_attributes(r, object, type, "");
		kb_repr__text(r, ")");
		return;
	}
	kb_repr__text(r, "<");
	write_name(r, type->name);
	kb_repr__format(r, " at 0x%" PRIx64, object);
	if (type->flags & KB_TYPE_HEAP)
		write_attributes(r, object, type, " ");
	kb_repr__text(r, ">");
}

/* ---------------------------------------------------------------- things that have a name */

static bool write_function(struct kb_repr *r, uint64_t object)
{
	kb_repr__text(r, "<function ");
	if (!write_string_at(r, object + r->remote->objects->function_qualname))
		kb_repr__text(r, "?");
	write_address(r, object);
	return true;
}

static bool write_method(struct kb_repr *r, uint64_t object)
{
	const struct kb_object_layout *at = r->remote->objects;
	struct kb_remote_type type;
	uint64_t function, self;

	kb_repr__text(r, "<bound method ");
	if (!word(r, object + at->method_function, &function) ||
	    !kb_remote_object__type(r->remote, function, &type) || strcmp(type.name, "function") ||
	    !write_string_at(r, function + at->function_qualname))
		kb_repr__text(r, "?");
	if (word(r, object + at->method_self, &self) &&
	    kb_remote_object__type(r->remote, self, &type)) {
		kb_repr__text(r, " of <");
		write_name(r, type.name);
		write_address(r, self);
	}
	kb_repr__text(r, ">");
	return true;
}

static bool write_builtin(struct kb_repr *r, uint64_t object)
{
	char name[QUALNAME_BYTES] = "";
	uint64_t definition, address;

	/* ml_name is the first member of PyMethodDef: Include/methodobject.h. */
	if (!word(r, object + r->remote->objects->builtin_definition, &definition) ||
	    !word(r, definition, &address))
		return false;
	for (size_t i = 0; i + 1 < sizeof(name); i++) {
		if (!kb_pages__read(r->remote->pages, address + i, &name[i], 1) || !name[i])
			break;
	}
	name[sizeof(name) - 1] = '\0';
	kb_repr__text(r, "<built-in function ");
	write_name(r, name);
	kb_repr__text(r, ">");
	return true;
}

static bool write_module(struct kb_repr *r, uint64_t object)
{
	struct kb_remote_type type;
	uint64_t name;

	if (!kb_remote_object__attribute(r->remote, object, "__name__", &name) ||
	    !kb_remote_object__type(r->remote, name, &type) || !(type.flags & KB_TYPE_STR))
		return false;
	kb_repr__text(r, "<module '");
	write_plain_string(r, name);
	kb_repr__text(r, "'>");
	return true;
}

static bool write_generator(struct kb_repr *r, uint64_t object)
{
	struct kb_remote_type type;

	if (!kb_remote_object__type(r->remote, object, &type))
		return false;
	kb_repr__format(r, "<%s object ", type.name);
	if (!write_string_at(r, object + r->remote->objects->generator_qualname))
		kb_repr__text(r, "?");
	write_address(r, object);
	return true;
}

static bool write_none(struct kb_repr *r, uint64_t object)
{
	kb_repr__text(r, "None");
	return true;
}

static bool write_ellipsis(struct kb_repr *r, uint64_t object)
{
	kb_repr__text(r, "Ellipsis");
	return true;
}

static bool write_not_implemented(struct kb_repr *r, uint64_t object)
{
	kb_repr__text(r, "NotImplemented");
	return true;
}

/* By the name of the type, which for those made in C only C code can take. */
static const struct {
	const char *type;
	bool (*write)(struct kb_repr *r, uint64_t object);
} known[] = {
	{ "NoneType", write_none },
	{ "ellipsis", write_ellipsis },
	{ "NotImplementedType", write_not_implemented },
	{ "float", kb_repr__float },
	{ "complex", kb_repr__complex },
	{ "bytearray", kb_repr__bytearray },
	{ "function", write_function },
	{ "method", write_method },
	{ "builtin_function_or_method", write_builtin },
	{ "module", write_module },
	{ "generator", write_generator },
	{ "coroutine", write_generator },
	{ "async_generator", write_generator },
};

/* ---------------------------------------------------------------- objects */

static bool write_known(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type)
{
	if (type->flags & KB_TYPE_HEAP)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strcmp(known[i].type, type->name))
			return known[i].write(r, object);
	}
	return false;
}

static void write_type(struct kb_repr *r, uint64_t object)
{
	struct kb_remote_type type;

	kb_repr__text(r, "<class '");
	if (kb_remote_type__read(r->remote, object, &type))
		write_name(r, type.name);
	kb_repr__text(r, "'>");
}

static bool is_set(const struct kb_remote_type *type)
{
	return !strcmp(type->name, "set") || !strcmp(type->name, "frozenset");
}

#define CONTAINERS (KB_TYPE_LIST | KB_TYPE_TUPLE | KB_TYPE_DICT)
#define SCALARS	   (KB_TYPE_INT | KB_TYPE_STR | KB_TYPE_BYTES)

static void write_base(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type)
{
	if (type->flags & KB_TYPE_INT)
		kb_repr__int(r, object, type);
	else if (type->flags & KB_TYPE_STR)
		kb_repr__string(r, object);
	else if (type->flags & KB_TYPE_BYTES)
		kb_repr__bytes(r, object + r->remote->layout->bytes_data,
			       object + r->remote->layout->bytes_size);
	else if (type->flags & KB_TYPE_DICT)
		write_dict(r, object);
	else if (is_set(type))
		write_set(r, object);
	else
		write_sequence(r, object, type);
}

/* What has a form of its own: built-in types and those derived from them, as Name(form). */
static bool write_value(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type)
{
	bool exact = !(type->flags & KB_TYPE_HEAP), set = exact && is_set(type);

	if (!set && !(type->flags & (CONTAINERS | SCALARS)))
		return false;
	if (!exact && write_enum(r, object, type))
		return true;
	/* Types of C code that are no heap types, such as OrderedDict. */
	exact = exact && !strchr(type->name, '.') && strcmp(type->name, "frozenset") &&
		strcmp(type->name, "defaultdict");
	if (!exact) {
		write_name(r, short_name(type));
		kb_repr__text(r, "(");
	}
	write_base(r, object, type);
	if (!exact)
		kb_repr__text(r, ")");
	return true;
}

void kb_repr__object(struct kb_repr *r, uint64_t object)
{
	struct kb_remote_type type;

	if (!object) {
		kb_repr__text(r, "<NULL>");
		return;
	}
	if (!kb_remote_object__type(r->remote, object, &type)) {
		kb_repr__format(r, "<unreadable at 0x%" PRIx64 ">", object);
		return;
	}
	if (type.flags & KB_TYPE_TYPE) {
		write_type(r, object);
		return;
	}
	if (write_known(r, object, &type))
		return;
	if (r->depth == r->opts->depth && !(type.flags & SCALARS)) {
		kb_repr__text(r, type.flags & KB_TYPE_LIST    ? "[...]"
				 : type.flags & KB_TYPE_TUPLE ? "(...)"
				 : type.flags & KB_TYPE_DICT  ? "{...}"
							      : "<");
		if (type.flags & CONTAINERS)
			return;
		write_name(r, type.name);
		write_address(r, object);
		return;
	}
	r->depth++;
	if (type.flags & KB_TYPE_EXCEPTION)
		write_exception(r, object, &type);
	else if (!write_value(r, object, &type))
		write_instance(r, object, &type);
	r->depth--;
}

void kb_remote_object__repr(struct kb_remote *remote, uint64_t object,
			    const struct kb_remote_repr_opts *opts, struct kb_buf *text)
{
	struct kb_repr r = { .remote = remote, .opts = opts, .out = text, .start = text->size };

	kb_repr__object(&r, object);
}
