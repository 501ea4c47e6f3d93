// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * An event's arguments, one value after the other.
 *
 * Where the interpreter has made a tuple of them, that is read. PySys_Audit() makes none while
 * there is no hook: then they are still what C was called with, in registers and on the stack, and
 * the format string of Py_BuildValue() says what each is (Python/modsupport.c, do_mkvalue(); the
 * units are the same from 3.8 to 3.15, but for `p`, which is new in 3.14).
 *
 * Both, and what is in the containers that are met, is a stack of cursors. One step takes the
 * innermost cursor's next value, so that the verifier sees a single call of a single function in a
 * loop, however deep the objects are.
 */
#include "audit/audit.bpf.h"

struct writing {
	struct audit_slot *slot;
	const struct kb_layout *layout;
	const struct kb_audit_layout *objects;
	kb_u64 bias;
};

#define NO_OBJECT 1 /* no address of one: the step wrote something else, or nothing */

static __always_inline kb_u64 next_argument(struct audit_slot *slot)
{
	kb_u64 at = slot->next_argument++;

	KB_OPAQUE(at);
	return slot->arguments[at & (AUDIT_ARGUMENTS - 1)];
}

static __always_inline char format_at(struct audit_slot *slot, kb_u64 at)
{
	KB_OPAQUE(at);
	return slot->format[at & (AUDIT_FORMAT - 1)];
}

static __always_inline void put_number(struct audit_slot *slot, kb_u32 tag, kb_u32 flags,
				       kb_u64 size, kb_u64 value, kb_u64 length)
{
	kb_u8 *place = audit_place(slot);

	if (!place)
		return;
	*(kb_u64 *)(place + 8) = value;
	audit_put(slot, place, tag, flags, size, length);
}

#define CHUNKS_MAX 64 /* of KB_AUDIT_STRING_MAX: longer strings are told as being of 64 kB */

/* Bytes of a string of C; negative: not readable. The place is overwritten. */
static __always_inline kb_s64 text_size(kb_u8 *place, kb_u64 text)
{
	kb_s64 size = 0;

	for (int i = 0; i < CHUNKS_MAX; i++) {
		long n = audit_read_text(place + 8, KB_AUDIT_STRING_MAX, text + size);

		if (n <= 0)
			return i ? size : -1;
		size += n - 1;
		if (n < KB_AUDIT_STRING_MAX)
			break;
	}
	return size;
}

/* A string of C; size: as the format gives it, negative: up to its zero. */
static __noinline int put_text(struct audit_slot *slot, kb_u32 tag, kb_u64 text, kb_s64 size)
{
	kb_u64 bytes, flags = 0;
	kb_u8 *place;

	if (!slot)
		return 0;
	place = audit_place(slot);
	if (!place)
		return 0;
	if (!text) {
		audit_put(slot, place, KB_AUDIT_NONE, 0, 0, 0);
		return 0;
	}
	if (size < 0)
		size = text_size(place, text);
	bytes = size;
	if (bytes > KB_AUDIT_STRING_MAX) {
		bytes = KB_AUDIT_STRING_MAX;
		flags = KB_AUDIT_CUT;
	}
	KB_OPAQUE(bytes);
	if (bytes > KB_AUDIT_STRING_MAX)
		return 0;
	if (size < 0 || (bytes && audit_read(place + 8, bytes, text)))
		audit_put(slot, place, KB_AUDIT_UNREADABLE, 0, 0, 0);
	else
		audit_put(slot, place, tag, flags, bytes, size);
	return 0;
}

/* A wchar_t string, as far as its page and then the room go; where it ends is seen in user space.
 */
static __noinline int put_wide_text(struct audit_slot *slot, kb_u64 text)
{
	kb_u64 size = KB_PAGE_SIZE - (text & (KB_PAGE_SIZE - 1));
	kb_u8 *place;

	if (!slot)
		return 0;
	place = audit_place(slot);
	if (!place)
		return 0;
	if (!text) {
		audit_put(slot, place, KB_AUDIT_NONE, 0, 0, 0);
		return 0;
	}
	if (!audit_read(place + 8, KB_AUDIT_STRING_MAX, text)) {
		size = KB_AUDIT_STRING_MAX;
	} else {
		KB_OPAQUE(size);
		if (size > KB_AUDIT_STRING_MAX)
			size = KB_AUDIT_STRING_MAX;
		if (audit_read(place + 8, size, text)) {
			audit_put(slot, place, KB_AUDIT_UNREADABLE, 0, 0, 0);
			return 0;
		}
	}
	audit_put(slot, place, KB_AUDIT_STR, 4 | KB_AUDIT_TO_ZERO, size & ~3ULL, size / 4);
	return 0;
}

/* Units for numbers; false: it is none of them. */
static __always_inline int put_number_unit(struct audit_slot *slot, char unit)
{
	kb_u64 value;

	switch (unit) {
	case 'b':
	case 'B':
	case 'h':
	case 'i':
		value = next_argument(slot);
		put_number(slot, KB_AUDIT_NUMBER, 0, 8, (kb_s64)(kb_s32)value, 0);
		return 1;
	case 'H':
	case 'I':
		put_number(slot, KB_AUDIT_NUMBER, 0, 8, (kb_u32)next_argument(slot), 0);
		return 1;
	case 'n':
	case 'l':
	case 'L':
		put_number(slot, KB_AUDIT_NUMBER, 0, 8, next_argument(slot), 0);
		return 1;
	case 'k':
	case 'K':
		put_number(slot, KB_AUDIT_NUMBER, KB_AUDIT_UNSIGNED, 8, next_argument(slot), 0);
		return 1;
	case 'p':
		audit_put_tag(slot, KB_AUDIT_BOOL, (kb_u32)next_argument(slot) != 0);
		return 1;
	case 'c':
		value = next_argument(slot);
		put_number(slot, KB_AUDIT_BYTES, 0, 1, value & 0xff, 1);
		return 1;
	case 'C':
		value = next_argument(slot);
		put_number(slot, KB_AUDIT_STR, 4, 4, (kb_u32)value, 1);
		return 1;
	case 'd':
	case 'f':
		/* In a vector register, which no probe sees; it takes none of the others. */
		audit_put_tag(slot, KB_AUDIT_UNAVAILABLE, 0);
		return 1;
	default:
		return 0;
	}
}

static __always_inline void open_group(struct audit_slot *slot, char unit)
{
	kb_u8 *place = audit_place(slot);

	slot->depth++;
	if (place)
		audit_put(slot, place,
			  unit == '('	? KB_AUDIT_TUPLE
			  : unit == '[' ? KB_AUDIT_LIST
					: KB_AUDIT_DICT,
			  KB_AUDIT_UNCOUNTED, 0, 0);
}

/* Strings, which '#' and a length may follow. */
static __always_inline void put_text_unit(struct audit_slot *slot, struct audit_cursor *cursor,
					  char unit)
{
	kb_u64 text = next_argument(slot);
	kb_s64 size = -1;

	if (format_at(slot, cursor->at) == '#') {
		cursor->at++;
		size = next_argument(slot);
	}
	put_text(slot, unit == 'y' ? KB_AUDIT_BYTES : KB_AUDIT_TEXT, text, size);
}

/* The next unit of the format: an object that it stands for, or what else it is. */
static __always_inline kb_u64 take_unit(struct audit_slot *slot, struct audit_cursor *cursor)
{
	char unit = format_at(slot, cursor->at);

	if (!unit || cursor->at >= AUDIT_FORMAT - 1) {
		slot->n_cursors = 0;
		return NO_OBJECT;
	}
	cursor->at++;
	switch (unit) {
	case 'O':
	case 'S':
	case 'N':
		if (format_at(slot, cursor->at) != '&')
			return next_argument(slot);
		/* A function that makes the object, and what of. */
		cursor->at++;
		slot->next_argument += 2;
		audit_put_tag(slot, KB_AUDIT_UNAVAILABLE, 0);
		return NO_OBJECT;
	case 's':
	case 'z':
	case 'U':
	case 'y':
		put_text_unit(slot, cursor, unit);
		return NO_OBJECT;
	case '(':
	case '[':
	case '{':
		open_group(slot, unit);
		return NO_OBJECT;
	case ')':
	case ']':
	case '}':
		/* Without its opening: the group around all, which is the event's own tuple. */
		if (!slot->depth)
			return NO_OBJECT;
		slot->depth--;
		audit_put_tag(slot, KB_AUDIT_END, 0);
		return NO_OBJECT;
	case 'u':
		if (format_at(slot, cursor->at) == '#') {
			cursor->at++;
			slot->next_argument++;
		}
		put_wide_text(slot, next_argument(slot));
		return NO_OBJECT;
	case 'D':
		slot->next_argument++;
		audit_put_tag(slot, KB_AUDIT_UNAVAILABLE, 0);
		return NO_OBJECT;
	default:
		put_number_unit(slot, unit); /* or a separator */
		return NO_OBJECT;
	}
}

static __always_inline void close_cursor(struct audit_slot *slot, struct audit_cursor *cursor)
{
	slot->n_cursors--;
	if (cursor->top)
		return;
	slot->depth--;
	audit_put_tag(slot, KB_AUDIT_END, 0);
}

static __always_inline kb_u64 take_item(struct audit_slot *slot, struct audit_cursor *cursor)
{
	kb_u64 object = 0;

	if (!cursor->left || !cursor->room) {
		if (cursor->left && !slot->cut)
			slot->cut = 1;
		close_cursor(slot, cursor);
		return NO_OBJECT;
	}
	cursor->left--;
	cursor->room--;
	if (audit_read(&object, 8, cursor->at)) {
		audit_put_tag(slot, KB_AUDIT_UNREADABLE, 0);
		object = NO_OBJECT;
	}
	cursor->at += 8;
	return object;
}

/* A dict's next key, with a cursor for its value below whatever the key needs. */
static __always_inline kb_u64 take_entry(struct audit_slot *slot, struct audit_cursor *cursor)
{
	kb_u64 entry[3] = {}, top = slot->n_cursors, key, value;

	KB_OPAQUE(top);
	if (!cursor->left || !cursor->room || top >= AUDIT_CURSORS ||
	    audit_read(entry, 24, cursor->at)) {
		close_cursor(slot, cursor);
		return NO_OBJECT;
	}
	key = cursor->size == 24 ? entry[1] : entry[0];
	value = cursor->size == 24 ? entry[2] : entry[1];
	if (cursor->values) {
		audit_read(&value, 8, cursor->values);
		cursor->values += 8;
	}
	cursor->at += cursor->size;
	cursor->left--;
	if (!key || !value)
		return NO_OBJECT; /* deleted */
	cursor->room--;
	slot->cursors[top & (AUDIT_CURSORS - 1)] =
		(struct audit_cursor){ .at = value, .kind = AUDIT_VALUE };
	slot->n_cursors = top + 1;
	return key;
}

static long write_step(kb_u64 index, struct writing *writing)
{
	struct audit_slot *slot = writing->slot;
	kb_u64 top = slot->n_cursors - 1, object = NO_OBJECT;
	struct audit_cursor *cursor;

	KB_OPAQUE(top);
	if (top >= AUDIT_CURSORS || slot->cut > 1)
		return 1;
	cursor = &slot->cursors[top & (AUDIT_CURSORS - 1)];
	switch (cursor->kind) {
	case AUDIT_FORMAT_UNITS:
		object = take_unit(slot, cursor);
		break;
	case AUDIT_ITEMS:
		object = take_item(slot, cursor);
		break;
	case AUDIT_ENTRIES:
		object = take_entry(slot, cursor);
		break;
	default:
		object = cursor->at;
		slot->n_cursors--;
	}
	if (object != NO_OBJECT)
		audit_put_object(slot, writing->layout, writing->objects, object, writing->bias);
	return 0;
}

__noinline int audit_put_all(struct audit_slot *slot, const struct kb_layout *layout,
			     const struct kb_audit_layout *objects, kb_u64 bias)
{
	struct writing writing = {
		.slot = slot, .layout = layout, .objects = objects, .bias = bias
	};

	if (!slot || !layout || !objects)
		return 0;
	bpf_loop(KB_AUDIT_STEPS_MAX, write_step, &writing, 0);
	/* Out of steps. */
	if (slot->n_cursors && !slot->cut)
		slot->cut = 1;
	return 0;
}
