// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where a frame keeps its variables. One array, localsplus, has them all:
 *
 *   3.6-3.10  co_varnames, then co_cellvars, then co_freevars; the latter two are cells
 *   3.11+     as co_localsplusnames names them, and co_localspluskinds tells which are cells. A
 * cell variable that is an argument is no cell before the frame has made one of it.
 *
 * From 3.14 an element is a _PyStackRef: two low bits are a tag, and 3 is a number instead of an
 * object (Include/internal/pycore_stackref.h).
 */
#include <stdlib.h>
#include <string.h>
#include "python/remote_locals.h"
#include "python/remote_object.h"
#include "python/remote_string.h"

/* co_localspluskinds: Include/internal/pycore_code.h, 3.11 to 3.15. */
#define KIND_CELL 0x40
#define KIND_FREE 0x80

#define CO_OPTIMIZED 1u /* has fast locals; module and class bodies have not */

#define TAG_BITS    3ull
#define TAG_INTEGER 3ull

#define NAME_BYTES_MAX 256

struct reading {
	struct kb_remote *remote;
	const struct kb_remote_frame *frame;
	kb_remote_local_fn fn;
	void *context;
	uint64_t slot; /* address of the next variable */
	uint32_t left; /* variables that may still be told */
};

static bool word(struct reading *in, uint64_t address, uint64_t *value)
{
	return kb_pages__read_u64(in->remote->pages, address, value);
}

static void tell(struct reading *in, uint64_t name, struct kb_remote_local *local)
{
	struct kb_remote_type type;
	char *text;

	if (!kb_remote_object__type(in->remote, name, &type) || !(type.flags & KB_TYPE_STR))
		return;
	text = kb_remote_string__read(in->remote->pages, in->remote->layout, name, NAME_BYTES_MAX);
	if (!text)
		return;
	local->name = text;
	in->fn(local, in->context);
	free(text);
}

/* The object in a cell, where there is a cell. False: the cell is empty. */
static bool open_cell(struct reading *in, uint64_t *object)
{
	struct kb_remote_type type;

	if (!kb_remote_object__type(in->remote, *object, &type) || strcmp(type.name, "cell"))
		return true;
	return word(in, *object + in->remote->objects->cell_ref, object) && *object;
}

static void read_slot(struct reading *in, uint64_t name, enum kb_remote_local_kind kind)
{
	struct kb_remote_local local = { .kind = kind };
	uint64_t at = in->slot, value;

	in->slot += 8;
	if (!word(in, at, &value) || !value)
		return;
	if (in->remote->layout->version_minor >= 14) {
		local.is_integer = (value & TAG_BITS) == TAG_INTEGER;
		local.integer = (int64_t)value >> 2;
		value &= ~TAG_BITS;
		if (!value && !local.is_integer)
			return;
	}
	local.object = value;
	if (kind != KB_REMOTE_LOCAL && !local.is_integer && !open_cell(in, &local.object))
		return;
	tell(in, name, &local);
}

/* Items of the tuple that a field of the code object holds. */
static bool tuple_at(struct reading *in, uint64_t address, uint64_t *items, uint64_t *n)
{
	struct kb_remote_type type;
	uint64_t tuple;

	return word(in, address, &tuple) && kb_remote_object__type(in->remote, tuple, &type) &&
	       (type.flags & KB_TYPE_TUPLE) &&
	       kb_remote_object__items(in->remote, tuple, &type, items, n);
}

/* Variables of one kind, whose names are in a tuple. */
static void read_named(struct reading *in, uint32_t names, enum kb_remote_local_kind kind)
{
	uint64_t items, n, name;

	if (!tuple_at(in, in->frame->code + names, &items, &n))
		return;
	for (uint64_t i = 0; i < n && in->left; i++, in->left--) {
		if (word(in, items + i * 8, &name))
			read_slot(in, name, kind);
	}
}

static void read_localsplus(struct reading *in)
{
	const struct kb_object_layout *at = in->remote->objects;
	const struct kb_layout *layout = in->remote->layout;
	uint64_t items, n, kinds, name;
	uint8_t kind;

	if (!tuple_at(in, in->frame->code + at->code_localsplusnames, &items, &n) ||
	    !word(in, in->frame->code + at->code_localspluskinds, &kinds))
		return;
	for (uint64_t i = 0; i < n && in->left; i++, in->left--) {
		if (!word(in, items + i * 8, &name) ||
		    !kb_pages__read(in->remote->pages, kinds + layout->bytes_data + i, &kind, 1))
			return;
		read_slot(in, name,
			  kind & KIND_FREE   ? KB_REMOTE_FREE
			  : kind & KIND_CELL ? KB_REMOTE_CELL
					     : KB_REMOTE_LOCAL);
	}
}

/* A class body's; a module's are its globals, which are no locals to anybody. */
static void read_namespace(struct reading *in)
{
	const struct kb_object_layout *at = in->remote->objects;
	uint64_t locals, globals, key, value;
	struct kb_remote_dict dict;

	if (!word(in, in->frame->address + at->frame_locals, &locals) ||
	    !word(in, in->frame->address + at->frame_globals, &globals) || locals == globals ||
	    !kb_remote_dict__open(in->remote, locals, &dict))
		return;
	while (in->left && kb_remote_dict__next(in->remote, &dict, &key, &value)) {
		struct kb_remote_local local = { .kind = KB_REMOTE_LOCAL, .object = value };

		in->left--;
		tell(in, key, &local);
	}
}

void kb_remote_locals__each(struct kb_remote *remote, const struct kb_remote_frame *frame,
			    kb_remote_local_fn fn, void *context)
{
	const struct kb_object_layout *at = remote->objects;
	struct reading in = { .remote = remote,
			      .frame = frame,
			      .fn = fn,
			      .context = context,
			      .slot = frame->address + at->frame_localsplus,
			      .left = KB_REMOTE_LOCALS_MAX };
	uint32_t flags;

	if (!kb_pages__read_u32(remote->pages, frame->code + at->code_flags, &flags))
		return;
	if (!(flags & CO_OPTIMIZED))
		read_namespace(&in);
	if (remote->layout->version_minor >= 11) {
		read_localsplus(&in);
		return;
	}
	read_named(&in, at->code_varnames, KB_REMOTE_LOCAL);
	read_named(&in, at->code_cellvars, KB_REMOTE_CELL);
	read_named(&in, at->code_freevars, KB_REMOTE_FREE);
}
