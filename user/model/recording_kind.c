// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include "model/calls.h"
#include "model/recording_format.h"

/* Of a recording of any kind meta data come early: after strings of the first flush. */
#define SECTIONS_MAX 1024

bool kb_calls__is_recording(const char *path)
{
	static const uint8_t magic[] = KB_RECORDING_MAGIC_BYTES;
	struct kb_recording_header header;
	struct kb_recording_section section;
	FILE *file = fopen(path, "re");
	bool found = false;

	if (!file)
		return false;
	if (fread(&header, sizeof(header), 1, file) == 1 &&
	    !memcmp(header.magic, magic, sizeof(magic)))
		for (int i = 0; i < SECTIONS_MAX && !found; i++) {
			uint64_t size;

			if (fread(&section, sizeof(section), 1, file) != 1)
				break;
			found = le32toh(section.type) == KB_SECTION_CALLS_META;
			size = le64toh(section.packed_size);
			if (le32toh(section.type) == KB_SECTION_META || size > INT64_MAX ||
			    fseeko(file, (off_t)size, SEEK_CUR))
				break;
		}
	fclose(file);
	return found;
}
