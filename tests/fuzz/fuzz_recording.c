// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Input: a mode, then either a recording as it is (0) or sections without their frames (1: refuse
 * damage, 2: read in part), each a type, two bytes of size and contents, to which right frames
 * are added here, because no fuzzer finds checksums. What can be read must be writable, and read
 * the same again; and every format must have a place for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "keelback/calls_format.h"
#include "keelback/format.h"
#include "model/profile.h"
#include "model/recording.h"
#include "model/recording_format.h"

#define SECTION_HEADER 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_header(FILE *stream)
{
	struct kb_recording_header header = { KB_RECORDING_MAGIC_BYTES, KB_RECORDING_BYTE_ORDER,
					      KB_RECORDING_MAJOR, KB_RECORDING_MINOR };

	header.crc = (uint32_t)crc32_z(0, (const void *)&header,
				       offsetof(struct kb_recording_header, crc));
	fwrite(&header, sizeof(header), 1, stream);
}

static void put_section(FILE *stream, uint32_t type, uint32_t sequence, const uint8_t *raw,
			size_t size)
{
	struct kb_recording_section section = { type & 0x7f, type >> 7, .raw_size = size,
						.sequence = sequence };
	size_t bound = ZSTD_compressBound(size);
	uint8_t *packed = malloc(bound);

	section.packed_size = ZSTD_compress(packed, bound, raw, size, 1);
	section.packed_crc = (uint32_t)crc32_z(0, packed, section.packed_size);
	section.crc = (uint32_t)crc32_z(0, (const void *)&section,
					offsetof(struct kb_recording_section, crc));
	fwrite(&section, sizeof(section), 1, stream);
	fwrite(packed, section.packed_size, 1, stream);
	free(packed);
}

static char *frame(const uint8_t *data, size_t size, size_t *framed)
{
	uint32_t sequence = 0;
	char *bytes = NULL;
	FILE *stream = open_memstream(&bytes, framed);

	put_header(stream);
	while (size >= SECTION_HEADER) {
		size_t length = data[1] | (size_t)data[2] << 8;

		if (length > size - SECTION_HEADER)
			length = size - SECTION_HEADER;
		put_section(stream, data[0], sequence++, data + SECTION_HEADER, length);
		data += SECTION_HEADER + length;
		size -= SECTION_HEADER + length;
	}
	fclose(stream);
	return bytes;
}

static void check_rewritten(const struct kb_profile *profile)
{
	struct kb_recording_writer *writer;
	struct kb_profile *again;
	char *bytes = NULL;
	size_t size;
	FILE *stream = open_memstream(&bytes, &size);

	if (kb_recording_writer__create(stream, &writer) ||
	    kb_recording_writer__finish(writer, profile) ||
	    kb_recording__read(bytes, size, "rewritten", false, &again))
		abort();
	if (kb_profile__total(again) != kb_profile__total(profile) ||
	    kb_profile__n_nodes(again) != kb_profile__n_nodes(profile) ||
	    kb_profile__attempted(again) != kb_profile__attempted(profile))
		abort();
	kb_profile__destroy(again);
	kb_recording_writer__destroy(writer);
	fclose(stream);
	free(bytes);
}

static void check_formats(const struct kb_profile *profile)
{
	struct kb_format_opts opts = { .size = sizeof(opts),
				       .lines = true,
				       .threads = true,
				       .processes = true,
				       .opcodes = true,
				       .summary = true };
	const struct kb_format *format;
	FILE *stream = fopen("/dev/null", "w");

	if (!stream)
		abort();
	for (size_t i = 0; (format = kb_format__at(i)); i++)
		kb_error__destroy(kb_format__write(format, profile, &opts, stream));
	fclose(stream);
}

static void check_calls(const struct kb_calls *calls)
{
	const struct kb_format *format;
	struct kb_recorded again;
	char *bytes = NULL;
	size_t size;
	FILE *stream = open_memstream(&bytes, &size);

	if (kb_calls_format__write(kb_calls_format__by_name("recording"), calls, NULL, stream) ||
	    kb_recording__read_any(bytes, size, "rewritten", false, &again))
		abort();
	if (kb_calls__total(again.calls).ncalls != kb_calls__total(calls).ncalls ||
	    kb_calls__n_parts(again.calls) != kb_calls__n_parts(calls) ||
	    kb_calls__seen(again.calls) != kb_calls__seen(calls))
		abort();
	for (size_t i = 0; (format = kb_calls_format__at(i)); i++)
		kb_error__destroy(kb_calls_format__write(format, calls, NULL, stream));
	kb_calls__destroy(again.calls);
	fclose(stream);
	free(bytes);
}

static void read_and_check(const void *bytes, size_t size, bool partial)
{
	struct kb_recorded recorded;
	struct kb_error *err = kb_recording__read_any(bytes, size, "input", partial, &recorded);

	if (err) {
		if (strchr(kb_error__text(err), '\n'))
			abort();
		kb_error__destroy(err);
		return;
	}
	if (recorded.calls) {
		check_calls(recorded.calls);
		kb_calls__destroy(recorded.calls);
		return;
	}
	check_rewritten(recorded.profile);
	check_formats(recorded.profile);
	kb_profile__destroy(recorded.profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t framed = 0;
	char *bytes;

	if (!size)
		return 0;
	if (data[0] % 3 == 0) {
		read_and_check(data + 1, size - 1, true);
		read_and_check(data + 1, size - 1, false);
		return 0;
	}
	bytes = frame(data + 1, size - 1, &framed);
	read_and_check(bytes, framed, data[0] % 3 == 2);
	free(bytes);
	return 0;
}
