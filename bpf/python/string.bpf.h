/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_STRING_BPF_H
#define KB_PYTHON_STRING_BPF_H

#include "common/env.bpf.h"
#include "shared/layout.h"

#define KB_UNICODE_SPAN 64 /* covers the header of any string */

/* Where a string's characters are, as they are stored. */
struct kb_string {
	kb_u64 source;
	kb_u64 bytes; /* at most what was asked for */
	kb_u32 width; /* of a character: 1, 2 or 4 */
	kb_u32 ascii, cut;
};

/* From a string's header, which is in memory at `header`. False when it is no compact string. */
static __always_inline int kb_string_parse(const kb_u8 *header, const struct kb_layout *layout,
					   kb_u64 address, kb_u64 max, struct kb_string *string)
{
	kb_u64 length, state, width, at;

	at = layout->unicode_length;
	KB_OPAQUE(at);
	length = *(kb_u64 *)(header + (at & (KB_UNICODE_SPAN - 8)));
	at = layout->unicode_state;
	KB_OPAQUE(at);
	state = *(kb_u32 *)(header + (at & (KB_UNICODE_SPAN - 4)));
	state >>= layout->unicode_kind_shift & 31;
	width = state & 7;
	/* Not compact (an instance of a subclass): its characters are elsewhere. */
	if ((width != 1 && width != 2 && width != 4) || !(state & 8))
		return 0;
	string->width = width;
	string->ascii = (state & 16) != 0;
	string->source =
		address + (state & 16 ? layout->unicode_ascii_data : layout->unicode_compact_data);
	/* Compared before the multiplication, which must not wrap. */
	if (length > max)
		string->bytes = max + width;
	else
		string->bytes = length * width;
	string->cut = string->bytes > max;
	if (string->cut)
		string->bytes = max;
	return 1;
}

#endif
