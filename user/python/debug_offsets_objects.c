// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stddef.h>
#include "python/debug_offsets.h"

/* See debug_offsets.c for the numbers: words from the start of the table, 0 where there is none. */
struct place {
	uint16_t at; /* in struct kb_object_layout */
	uint8_t word[3];
};

#define FIRST_MINOR 13
#define PLACE(field, in_13, in_14, in_15)                                                          \
	{                                                                                          \
		offsetof(struct kb_object_layout, field),                                          \
		{                                                                                  \
			in_13, in_14, in_15                                                        \
		}                                                                                  \
	}

static const struct place places[] = {
	PLACE(interp_id, 7, 7, 7),
	PLACE(interp_modules, 11, 12, 12),
	PLACE(frame_localsplus, 32, 35, 43),
	PLACE(frame_stacktop, 0, 37, 45),
	PLACE(code_bare_name, 36, 41, 49),
	PLACE(code_localsplusnames, 41, 46, 54),
	PLACE(code_localspluskinds, 42, 47, 55),
	PLACE(type_name, 47, 53, 61),
	PLACE(type_flags, 49, 55, 63),
	PLACE(type_basicsize, 0, 0, 64),
	PLACE(type_dictoffset, 0, 0, 65),
	PLACE(type_cached_keys, 0, 0, 67),
	PLACE(tuple_items, 51, 57, 69),
	PLACE(list_items, 54, 60, 72),
	PLACE(var_size, 55, 61, 73),
	PLACE(set_used, 0, 63, 75),
	PLACE(set_table, 0, 64, 76),
	PLACE(set_mask, 0, 65, 77),
	PLACE(dict_keys, 57, 67, 79),
	PLACE(dict_values, 58, 68, 80),
	PLACE(float_value, 60, 70, 82),
	PLACE(long_tag, 62, 72, 84),
	PLACE(long_digits, 63, 73, 85),
	PLACE(generator_frame, 0, 85, 101),
	PLACE(generator_state, 0, 86, 102),
};

/* The largest structure, an interpreter's state, has 350 kB. */
#define OFFSET_MAX (16u << 20)

void kb_debug_offsets__objects(const uint64_t words[KB_DEBUG_OFFSETS_WORDS], unsigned int minor,
			       struct kb_object_layout *objects)
{
	if (minor < FIRST_MINOR || minor - FIRST_MINOR >= 3)
		return;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint64_t value = words[places[i].word[minor - FIRST_MINOR]];

		if (places[i].word[minor - FIRST_MINOR] && value <= OFFSET_MAX)
			*(uint32_t *)((char *)objects + places[i].at) = (uint32_t)value;
	}
}
