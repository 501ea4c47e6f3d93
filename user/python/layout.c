// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include "base/error.h"
#include "python/layout.h"
#include "python/opcode.h"
#include "system/dwarf_info.h"

struct field {
	uint8_t at, size; /* in struct kb_layout */
	uint8_t first, last;
	const char *type, *member;
};

_Static_assert(sizeof(struct kb_layout) <= UINT8_MAX, "struct field holds its offsets in bytes");

/* SIZE, in place of a member, asks for the size of the type. */
static const struct field fields[] = {
#define FIELD(name, first, last, dwarf_type, c_type, member)                                       \
	{ offsetof(struct kb_layout, name),                                                        \
	  sizeof(((struct kb_layout *)0)->name),                                                   \
	  first,                                                                                   \
	  last,                                                                                    \
	  dwarf_type,                                                                              \
	  #member },
#include "python/layout_fields.inc.h"
#undef FIELD
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

/* Bit of `kind` in the state word of a string: after 2 bits `interned`. */
#define KIND_SHIFT 2
/* Free-threaded from 3.14: `interned` is a whole byte (Include/cpython/unicodeobject.h). */
#define KIND_SHIFT_FREE_THREADED 8

/*
 * struct _gil_runtime_state: interval, last_holder, locked and switch_number, then two pairs of
 * a condition and a mutex (Include/internal/pycore_gil.h, 3.7 to 3.15). Ours are the target's:
 * the libc's sizes are part of its interface, and only glibc's conditions are waited for inside
 * them.
 */
#define GIL_BYTES (4 * 8 + 2 * (sizeof(pthread_cond_t) + sizeof(pthread_mutex_t)))

static void set(struct kb_layout *layout, const struct field *field, uint32_t value)
{
	uint16_t narrow = (uint16_t)value;

	if (field->size == sizeof(narrow))
		memcpy((char *)layout + field->at, &narrow, sizeof(narrow));
	else
		memcpy((char *)layout + field->at, &value, sizeof(value));
}

static uint32_t get(const struct kb_layout *layout, const struct field *field)
{
	uint16_t narrow;
	uint32_t value;

	if (field->size == sizeof(narrow)) {
		memcpy(&narrow, (const char *)layout + field->at, sizeof(narrow));
		return narrow;
	}
	memcpy(&value, (const char *)layout + field->at, sizeof(value));
	return value;
}

static bool of_version(const struct field *field, unsigned int minor)
{
	return minor >= field->first && minor <= field->last;
}

void kb_layout__init(struct kb_layout *layout, unsigned int minor)
{
	memset(layout, 0, sizeof(*layout));
	for (size_t i = 0; i < N_FIELDS; i++)
		set(layout, &fields[i], KB_NO_OFFSET);
	layout->frame_tlbc_index = KB_NO_OFFSET;
	layout->code_tlbc = KB_NO_OFFSET;
	layout->interp_gc_frame = KB_NO_OFFSET;
	layout->version_minor = (uint8_t)minor;
	layout->unicode_kind_shift = KIND_SHIFT;
}

void kb_layout__copy_fields(struct kb_layout *layout, const struct kb_layout *from)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		if (of_version(&fields[i], layout->version_minor))
			set(layout, &fields[i], get(from, &fields[i]));
	layout->unicode_kind_shift = from->unicode_kind_shift;
}

/* ---------------------------------------------------------------- finishing */

/* Not needed for walking: a layout without them is usable. */
static bool optional(const struct field *field)
{
	switch (field->at) {
	case offsetof(struct kb_layout, runtime_tstate_current):
	case offsetof(struct kb_layout, runtime_tss_key):
	case offsetof(struct kb_layout, frame_is_entry):
	case offsetof(struct kb_layout, interp_id):
	case offsetof(struct kb_layout, code_bytes):
	case offsetof(struct kb_layout, interp_gil):
	case offsetof(struct kb_layout, interp_gc_collecting):
	case offsetof(struct kb_layout, tstate_native_thread_id):
	case offsetof(struct kb_layout, tstate_exc_info):
	case offsetof(struct kb_layout, tstate_raised):
	case offsetof(struct kb_layout, tstate_holds_gil):
	case offsetof(struct kb_layout, runtime_gil):
	case offsetof(struct kb_layout, runtime_gc_collecting):
		return true;
	}
	return false;
}

static void extend(uint16_t *size, uint16_t offset, uint16_t bytes)
{
	if (offset != KB_NO_OFFSET && *size < offset + bytes)
		*size = offset + bytes;
}

static uint16_t frame_size(const struct kb_layout *layout)
{
	uint16_t size = 0;

	extend(&size, layout->frame_previous, 8);
	extend(&size, layout->frame_code, 8);
	extend(&size, layout->frame_instr, layout->lasti_kind == KB_LASTI_POINTER ? 8 : 4);
	extend(&size, layout->frame_owner, 1);
	extend(&size, layout->frame_is_entry, 1);
	extend(&size, layout->frame_tlbc_index, 4);
	return (size + 7) & ~7;
}

static uint16_t code_size(const struct kb_layout *layout)
{
	uint16_t size = 0;

	extend(&size, layout->code_filename, 8);
	extend(&size, layout->code_name, 8);
	extend(&size, layout->code_firstlineno, 4);
	extend(&size, layout->code_linetable, 8);
	extend(&size, layout->code_tlbc, 8);
	return (size + 7) & ~7;
}

static void add_traits(struct kb_layout *layout)
{
	unsigned int minor = layout->version_minor;

	layout->lasti_kind = minor >= 11   ? KB_LASTI_POINTER
			     : minor == 10 ? KB_LASTI_UNITS
					   : KB_LASTI_BYTES;
	layout->linetable_kind = minor >= 11   ? KB_LINETABLE_LOCATION
				 : minor == 10 ? KB_LINETABLE_RANGES
					       : KB_LINETABLE_LNOTAB;
	/* FRAME_OWNED_BY_CSTACK in 3.12 and 3.13, _BY_INTERPRETER and (3.14) _BY_CSTACK after it.
	 */
	layout->skip_owner = minor >= 12 ? 3 : 0;
	layout->extended_arg = (uint8_t)kb_opcode__number(minor, "EXTENDED_ARG");
	if ((layout->flags & KB_LAYOUT_FREE_THREADED) && minor >= 14)
		layout->unicode_kind_shift = KIND_SHIFT_FREE_THREADED;
	layout->gil_bytes = GIL_BYTES;
	layout->frame_size = frame_size(layout);
	layout->code_size = code_size(layout);
}

struct kb_error *kb_layout__finish(struct kb_layout *layout)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		if (of_version(&fields[i], layout->version_minor) && !optional(&fields[i]) &&
		    get(layout, &fields[i]) == KB_NO_OFFSET)
			return kb_unsupported("layout of Python 3.%u: %s.%s not found",
					      layout->version_minor, fields[i].type,
					      fields[i].member);
	add_traits(layout);
	/* Larger than any real one; an offset beyond it comes from a damaged or hostile file. */
	if (layout->frame_size > KB_FRAME_SIZE_MAX || layout->code_size > 512 ||
	    layout->unicode_compact_data > 128 || layout->bytes_data > 128 ||
	    layout->object_type > 32 || layout->unicode_length > 64 || layout->unicode_state > 64 ||
	    layout->bytes_size > 64)
		return kb_unsupported("layout of Python 3.%u: offsets are out of range",
				      layout->version_minor);
	return NULL;
}

/* ---------------------------------------------------------------- DWARF */

/* Every type of the list is complete in one of these, in all versions. */
static const char *const sources[] = {
	"Python/pystate.c",	 "Python/ceval.c",	    "Objects/codeobject.c",
	"Objects/frameobject.c", "Objects/unicodeobject.c", "Objects/bytesobject.c",
};
#define N_SOURCES (sizeof(sources) / sizeof(sources[0]))

static bool take(const struct kb_dwarf_query *query, const struct field *field,
		 struct kb_layout *layout)
{
	uint64_t bytes = query->bits / 8;

	if (!query->found)
		return optional(field);
	if (query->bits % 8 || bytes >= (field->size == 2 ? KB_NO_OFFSET : UINT32_MAX))
		return false;
	set(layout, field, (uint32_t)bytes);
	return true;
}

bool kb_layout__from_dwarf(const struct kb_elf_file *file, const char *path, unsigned int minor,
			   struct kb_layout *layout)
{
	struct kb_dwarf_query queries[N_FIELDS + 1] = { 0 };
	struct kb_dwarf_query *kind = &queries[N_FIELDS];

	for (size_t i = 0; i < N_FIELDS; i++) {
		const struct field *field = &fields[i];

		if (of_version(field, minor))
			queries[i] = (struct kb_dwarf_query){
				.type = field->type,
				.member = strcmp(field->member, "SIZE") ? field->member : NULL,
			};
	}
	*kind = (struct kb_dwarf_query){ .type = "PyASCIIObject", .member = "state.kind" };
	if (!kb_dwarf_info__resolve(file, path, sources, N_SOURCES, queries, N_FIELDS + 1))
		return false;
	kb_layout__init(layout, minor);
	for (size_t i = 0; i < N_FIELDS; i++)
		if (queries[i].type && !take(&queries[i], &fields[i], layout))
			return false;
	if (!kind->found || kind->bits < layout->unicode_state * 8u)
		return false;
	layout->unicode_kind_shift = (uint8_t)(kind->bits - layout->unicode_state * 8u);
	return true;
}
