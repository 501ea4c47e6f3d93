// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Names of asyncio's tasks: an exact str, or from 3.13 the number in "Task-7" until somebody asks
 * for the name. Both are one key, whoever asked. Programs that make a task for each request count
 * on without end, so only so many numbers have names of their own.
 */
#include "python/task_parts.bpf.h"
#include "python/walk.bpf.h"

#define INT_BYTES     32 /* an int of two digits */
#define NUMBER_DIGITS 18 /* of "Task-N" that fit */

/* Names that were sent, by their hash. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_TASK_NAMES_MAX);
	__type(key, kb_u64);
	__type(value, kb_u32);
} task_names SEC(".maps");

static volatile kb_u32 numbered; /* names so far that asyncio made up */

/* Makes sure that user space has the name in the scratch. Returns its key. */
static __always_inline kb_u64 send_name(struct kb_task_scratch *s, kb_u64 key)
{
	kb_u64 size = sizeof(s->record) + s->record.bytes;
	kb_u32 one = 1;

	if (key < KB_TASK_KEYS)
		key += KB_TASK_KEYS;
	if (bpf_map_lookup_elem(&task_names, &key))
		return key;
	if ((!s->record.bytes && numbered >= KB_TASK_NUMBERS_MAX) ||
	    (bpf_map_update_elem(&task_names, &key, &one, BPF_NOEXIST) &&
	     !bpf_map_lookup_elem(&task_names, &key))) {
		kb_count(KB_L_TASK_NAMES_FULL, 1);
		return KB_TASK_OTHER;
	}
	s->record.kind = KB_DATA_TASK;
	s->record.key = key;
	KB_OPAQUE(size);
	if (size > sizeof(s->record) + KB_TASK_NAME_MAX ||
	    bpf_ringbuf_output(&data, &s->record, size, BPF_RB_NO_WAKEUP)) {
		bpf_map_delete_elem(&task_names, &key);
		return KB_TASK_NAMELESS;
	}
	if (!s->record.bytes)
		__sync_fetch_and_add(&numbered, 1);
	return key;
}

static __always_inline kb_u64 number_key(kb_u64 number)
{
	return kb_walk_mix(~0ULL, number);
}

/* The number in "Task-N", as asyncio writes it; 0: it is another name. */
static __always_inline kb_u64 number_in(const struct kb_task_scratch *s)
{
	static const char prefix[5] = { 'T', 'a', 's', 'k', '-' };
	kb_u64 n = s->record.bytes, number = 0;

	if (s->record.width != 1 || n < 6 || n > 5 + NUMBER_DIGITS || s->name[5] == '0')
		return 0;
#pragma unroll
	for (int i = 0; i < 5; i++) {
		if (s->name[i] != (kb_u8)prefix[i])
			return 0;
	}
	for (kb_u32 i = 5; i < 5 + NUMBER_DIGITS; i++) {
		kb_u8 digit = s->name[i] - '0';

		if (i >= n)
			break;
		if (digit > 9)
			return 0;
		number = number * 10 + digit;
	}
	return number;
}

static __always_inline kb_u64 string_key(struct kb_task_scratch *s, const struct kb_layout *layout,
					 kb_u64 name)
{
	struct kb_string at = {};
	kb_u64 key, bytes, number;

	if (!kb_string_parse(s->unicode, layout, name, KB_TASK_NAME_MAX, &at))
		return KB_TASK_NAMELESS;
	bytes = at.bytes;
	KB_OPAQUE(bytes);
	if (!bytes || bytes > KB_TASK_NAME_MAX)
		return KB_TASK_NAMELESS;
	__builtin_memset(s->name, 0, sizeof(s->name));
	if (kb_read_user(s->name, bytes, at.source))
		return KB_TASK_NAMELESS;
	s->record.bytes = bytes;
	s->record.width = at.width;
	s->record.cut = at.cut;
	number = number_in(s);
	if (number) {
		s->record.number = number;
		s->record.bytes = 0;
		return send_name(s, number_key(number));
	}
	key = kb_walk_mix(at.width, bytes);
	/* With the zeros behind it: a branch for each word would cost the verifier more. */
#pragma unroll
	for (int i = 0; i < KB_TASK_NAME_MAX / 8; i++)
		key = kb_walk_mix(key, *(kb_u64 *)(s->name + i * 8));
	return send_name(s, key);
}

/* lv_tag has the number of digits above its three lowest bits, of 30 bits each (3.12+). */
static __always_inline kb_u64 int_key(struct kb_task_scratch *s, const struct kb_task_layout *at)
{
	kb_u64 tag, digits, offset = at->long_tag, number;

	KB_OPAQUE(offset);
	tag = *(kb_u64 *)(s->unicode + (offset & (KB_UNICODE_SPAN - 8)));
	offset = at->long_digits;
	KB_OPAQUE(offset);
	digits = *(kb_u64 *)(s->unicode + (offset & (KB_UNICODE_SPAN - 8)));
	number = digits & 0x3fffffff;
	if (tag >> 3 == 2)
		number |= (digits >> 32 & 0x3fffffff) << 30;
	else if (tag >> 3 != 1)
		return KB_TASK_NAMELESS;
	s->record.number = number;
	return send_name(s, number_key(number));
}

__noinline kb_u64 kb_task_name(struct kb_task_scratch *s, const struct kb_layout *layout,
			       const struct kb_task_layout *at, kb_u64 name, kb_u64 bias)
{
	kb_u64 bytes, type, offset;

	if (!s || !layout || !at)
		return KB_TASK_NAMELESS;
	bytes = layout->unicode_ascii_data;
	offset = layout->object_type;
	s->record.number = 0;
	s->record.bytes = 0;
	s->record.width = 1;
	s->record.cut = 0;
	KB_OPAQUE(bytes);
	/* An int is shorter than the head of a str, and may lie at the end of what is in memory. */
	if (!name || bytes > KB_UNICODE_SPAN ||
	    (kb_read_user(s->unicode, bytes, name) && kb_read_user(s->unicode, INT_BYTES, name)))
		return KB_TASK_NAMELESS;
	KB_OPAQUE(offset);
	type = *(kb_u64 *)(s->unicode + (offset & (KB_UNICODE_SPAN - 8))) - bias;
	if (type == at->str_type)
		return string_key(s, layout, name);
	if (type == at->int_type && at->long_tag != KB_NO_OFFSET)
		return int_key(s, at);
	return KB_TASK_NAMELESS;
}
