/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_AUDIT_BPF_H
#define KB_AUDIT_BPF_H

#include "common/maps.bpf.h"
#include "python/walk.bpf.h"
#include "shared/audit.h"

extern KB_SETTING struct kb_audit_config audit_config;

#define AUDIT_ARGUMENTS 32 /* arguments of a C call: CPython's longest event has 11 */
#define AUDIT_FORMAT	64 /* bytes of a format string; CPython's longest has 11 */
#define AUDIT_CURSORS	8  /* what is being written: format, containers, the value of a pair */

enum audit_cursor_kind {
	AUDIT_FORMAT_UNITS,
	AUDIT_ITEMS,
	AUDIT_ENTRIES, /* of a dict */
	AUDIT_VALUE,   /* one object: the value of the pair whose key is being written */
};

struct audit_cursor {
	kb_u64 at; /* items: address of the next pointer; entries: of the next one; value: itself */
	kb_u64 left;   /* items or entries that follow */
	kb_u64 values; /* of a split dict: address of the next value; 0: it is in the entry */
	kb_u16 kind;
	kb_u16 size; /* of an entry */
	kb_u16 room; /* items that may be sent still */
	kb_u16 top;  /* the event's own arguments: without an END */
};

/* What the probe's place says of an event. */
struct audit_event {
	kb_u64 name[KB_AUDIT_NAME_MAX / 8]; /* zeros behind its end */
	kb_u64 name_at;
	kb_u64 objects; /* address of the arguments, for points that have objects … */
	kb_u64 n_objects;
	kb_u32 first; /* … else the C argument that is the first, and objects: of the format */
	kb_u32 n_bytes;
	kb_u32 kind;  /* as in the record */
	kb_u32 other; /* the name is not ASCII */
};

/*
 * What one event is written in. Not one for each CPU: a program that waits for a page may be
 * overtaken by another one there.
 */
struct audit_slot {
	struct kb_data_audit head; /* sent as it stands, with as much of the body as is used */
	kb_u8 body[KB_AUDIT_BODY_MAX + 8 + KB_AUDIT_STRING_MAX];
	struct audit_event event;
	kb_u64 used;
	kb_u32 busy;
	kb_u32 cut;
	kb_u32 n_cursors;
	kb_u32 depth;
	struct audit_cursor cursors[AUDIT_CURSORS];
	kb_u64 next_argument; /* of `arguments` */
	kb_u32 units, level;  /* of the format: outermost ones, nesting */
	kb_u64 arguments[AUDIT_ARGUMENTS];
	char format[AUDIT_FORMAT];
	kb_u8 object[64]; /* the beginning of the object that is being written */
	kb_u8 type_name[KB_AUDIT_TYPE_MAX];
};

/* Memory of the process. Pages that are not in memory are waited for, where the kernel has programs
 * that can. */
static __always_inline long audit_read(void *to, kb_u64 size, kb_u64 address)
{
	long err = bpf_probe_read_user(to, size, (const void *)address);

	if (err && audit_config.sleepable)
		err = bpf_copy_from_user(to, size, (const void *)address);
	return err;
}

/* A string of C with its zero; its bytes, or negative. */
static __always_inline long audit_read_text(void *to, kb_u64 size, kb_u64 address)
{
	long n = bpf_probe_read_user_str(to, size, (const void *)address);
	kb_u8 byte;

	if (n >= 0 || !audit_config.sleepable)
		return n;
	/* Have its page read; it may end in the next one. */
	bpf_copy_from_user(&byte, 1, (const void *)address);
	bpf_copy_from_user(&byte, 1,
			   (const void *)((address + size - 1) & ~(kb_u64)(KB_PAGE_SIZE - 1)));
	return bpf_probe_read_user_str(to, size, (const void *)address);
}

/* A field of the object whose beginning is in the slot. */
static __always_inline kb_u64 audit_field(struct audit_slot *slot, kb_u64 offset)
{
	KB_OPAQUE(offset);
	return *(kb_u64 *)(slot->object + (offset & (sizeof(slot->object) - 8)));
}

/* Room for a value with `size` bytes (at most KB_AUDIT_STRING_MAX), which the caller writes to the
 * place returned, 8 behind it; NULL: the body is full. */
static __always_inline kb_u8 *audit_place(struct audit_slot *slot)
{
	kb_u64 at = slot->used;

	KB_OPAQUE(at);
	if (at > KB_AUDIT_BODY_MAX) {
		slot->cut = 2;
		return 0;
	}
	return slot->body + at;
}

static __always_inline void audit_put(struct audit_slot *slot, kb_u8 *place, kb_u32 tag,
				      kb_u32 flags, kb_u64 size, kb_u64 length)
{
	/* Larger lengths are those of strings of 4 GB, or of memory that means harm. */
	if (length > 0xffffffffULL)
		length = 0xffffffffULL;
	if (flags & KB_AUDIT_CUT && !slot->cut)
		slot->cut = 1;
	*(kb_u64 *)place = KB_AUDIT_HEADER(tag, flags, size, length);
	slot->used += 8 + ((size + 7) & ~7ULL);
}

/* A value without bytes. */
static __always_inline void audit_put_tag(struct audit_slot *slot, kb_u32 tag, kb_u64 length)
{
	kb_u8 *place = audit_place(slot);

	if (place)
		audit_put(slot, place, tag, 0, 0, length);
}

/* Writes an object, or begins to: of a container only the header, and a cursor for the rest. */
int audit_put_object(struct audit_slot *slot, const struct kb_layout *layout,
		     const struct kb_audit_layout *objects, kb_u64 object, kb_u64 bias);

/* Writes what the cursors of the slot stand for. */
int audit_put_all(struct audit_slot *slot, const struct kb_layout *layout,
		  const struct kb_audit_layout *objects, kb_u64 bias);

/* Makes the items at an address the event's arguments. */
static __always_inline void audit_take_items(struct audit_slot *slot, kb_u64 items, kb_u64 n)
{
	struct audit_cursor *cursor = &slot->cursors[0];

	cursor->kind = AUDIT_ITEMS;
	cursor->at = items;
	cursor->left = n;
	cursor->room = KB_AUDIT_ITEMS_MAX;
	cursor->top = 1;
	slot->n_cursors = 1;
	slot->head.n_args = n;
}

#endif
