// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <endian.h>
#include <string.h>
#include "base/error.h"
#include "model/recording_values.h"

struct kb_error *kb_entry__cut_short(void)
{
	return kb_failed("its contents end within an entry");
}

static struct kb_error *beyond(const char *what, uint64_t id, uint32_t n)
{
	return kb_failed("%s %llu of %u", what, (unsigned long long)id, n);
}

struct kb_error *kb_entry__id(struct kb_cursor *cursor, const char *what, uint32_t n, uint32_t *id)
{
	uint64_t value = kb_varint__get(cursor);

	if (cursor->failed)
		return kb_entry__cut_short();
	if (value >= n)
		return beyond(what, value, n);
	*id = (uint32_t)value;
	return NULL;
}

struct kb_error *kb_entry__i32(struct kb_cursor *cursor, const char *what, int32_t *number)
{
	int64_t value = kb_varint__get_signed(cursor);

	if (cursor->failed)
		return kb_entry__cut_short();
	if (value < INT32_MIN || value > INT32_MAX)
		return kb_failed("%s %lld", what, (long long)value);
	*number = (int32_t)value;
	return NULL;
}

struct kb_error *kb_entry__u64(struct kb_cursor *cursor, uint64_t *number)
{
	*number = kb_varint__get(cursor);
	return cursor->failed ? kb_entry__cut_short() : NULL;
}

struct kb_error *kb_entry__string(const struct kb_decoder *decoder, struct kb_cursor *cursor,
				  const char **text)
{
	uint32_t id;

	KB_TRY(kb_entry__id(cursor, "string", decoder->n_strings, &id));
	*text = decoder->strings[id];
	return NULL;
}

struct kb_error *kb_entry__first(struct kb_cursor *cursor, uint32_t n)
{
	uint64_t first = kb_varint__get(cursor);

	if (cursor->failed)
		return kb_entry__cut_short();
	return first == n ? NULL
			  : kb_failed("first entry is %llu, not %u", (unsigned long long)first, n);
}

struct kb_error *kb_entry__check_added(const char *what, uint32_t id, uint32_t expected)
{
	if (id == expected)
		return NULL;
	if (id == KB_ID_NONE)
		return kb_failed("more than fit: %s %u", what, expected);
	return kb_failed("%s %u repeats %u", what, expected, id);
}

struct kb_error *kb_entry__real(struct kb_cursor *cursor, double *number)
{
	const uint8_t *bytes = kb_cursor__take(cursor, sizeof(*number));
	uint64_t bits;

	if (!bytes)
		return kb_entry__cut_short();
	memcpy(&bits, bytes, sizeof(bits));
	bits = le64toh(bits);
	memcpy(number, &bits, sizeof(bits));
	return NULL;
}
