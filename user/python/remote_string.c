// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/unicode.h"
#include "python/remote_string.h"

/* After the 3 bits `kind` in the state word: Include/cpython/unicodeobject.h. */
#define COMPACT 8
#define ASCII	16

bool kb_remote_string__open(struct kb_pages *pages, const struct kb_layout *layout,
			    uint64_t address, struct kb_remote_string *string)
{
	uint64_t length;
	uint32_t state;

	if (!kb_pages__read_u64(pages, address + layout->unicode_length, &length) ||
	    !kb_pages__read_u32(pages, address + layout->unicode_state, &state))
		return false;
	state >>= layout->unicode_kind_shift;
	string->width = state & 7;
	string->length = length;
	string->ascii = state & ASCII;
	/* Up to 3.11 a string made by old functions has no characters of its own yet: kind 0. */
	if ((string->width != 1 && string->width != 2 && string->width != 4) || length > INT64_MAX)
		return false;
	string->data = address + layout->unicode_compact_data;
	if ((state & COMPACT) && string->ascii)
		string->data = address + layout->unicode_ascii_data;
	/* An instance of a subclass has a pointer there. */
	return (state & COMPACT) || kb_pages__read_u64(pages, string->data, &string->data);
}

char *kb_remote_string__read(struct kb_pages *pages, const struct kb_layout *layout,
			     uint64_t address, uint32_t max_bytes)
{
	struct kb_remote_string string;
	uint64_t n;
	char *characters, *text = NULL;

	if (!kb_remote_string__open(pages, layout, address, &string))
		return NULL;
	if (max_bytes > KB_REMOTE_STRING_BYTES_MAX)
		max_bytes = KB_REMOTE_STRING_BYTES_MAX;
	n = string.length > max_bytes / string.width ? max_bytes / string.width : string.length;
	characters = malloc(n ? n * string.width : 1);
	if (characters && kb_pages__read(pages, string.data, characters, n * string.width))
		text = kb_unicode__to_utf8(characters, n, string.width, string.length > n);
	free(characters);
	return text;
}

bool kb_remote_string__is(struct kb_pages *pages, const struct kb_layout *layout, uint64_t address,
			  const char *text)
{
	struct kb_remote_string string;
	size_t size = strlen(text);
	char characters[256];

	return kb_remote_string__open(pages, layout, address, &string) && string.width == 1 &&
	       string.length == size && size <= sizeof(characters) &&
	       kb_pages__read(pages, string.data, characters, size) &&
	       !memcmp(characters, text, size);
}
