// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reading recordings: header, and the frame of each section with its checksums.
 * A section whose frame is not whole is what a writer leaves that was killed
 * or found no space; a whole section with senseless contents is never forgiven.
 */
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "base/buf.h"
#include "base/error.h"
#include "base/read_file.h"
#include "model/recording.h"
#include "model/recording_decode.h"
#include "model/recording_format.h"

struct reader {
	const char *name;
	const uint8_t *bytes;
	size_t size, offset;
	uint32_t sequence; /* sections so far */
	const struct kb_section_kind *last;
	bool end_seen;
	struct kb_buf raw;
	ZSTD_DCtx *zstd;
	struct kb_decoder decoder;
};

struct section {
	const struct kb_section_kind *kind; /* NULL: unknown, may be skipped */
	const uint8_t *packed;
	uint64_t packed_size, raw_size;
};

/* ---- header */

static struct kb_error *check_version(const struct reader *reader, uint16_t major, uint16_t minor)
{
	if (major == KB_RECORDING_MAJOR)
		return NULL;
	return kb_failed("%s: a recording of format %u.%u, this keelback reads %u.x%s",
			 reader->name, major, minor, KB_RECORDING_MAJOR,
			 major > KB_RECORDING_MAJOR ? ": use a newer keelback" : "");
}

static struct kb_error *read_header(struct reader *reader)
{
	static const uint8_t magic[] = KB_RECORDING_MAGIC_BYTES;
	struct kb_recording_header header;

	if (!reader->size)
		return kb_failed("%s: empty, not a recording of keelback", reader->name);
	if (memcmp(reader->bytes, magic,
		   reader->size < sizeof(magic) ? reader->size : sizeof(magic)))
		return kb_failed("%s: not a recording of keelback", reader->name);
	if (reader->size < sizeof(header))
		return kb_failed("%s: ends too soon: at byte %zu, within its header", reader->name,
				 reader->size);
	memcpy(&header, reader->bytes, sizeof(header));
	if (le32toh(header.crc) !=
	    crc32_z(0, reader->bytes, offsetof(struct kb_recording_header, crc)))
		return kb_failed("%s: damaged: wrong checksum of its header", reader->name);
	if (le32toh(header.byte_order) != KB_RECORDING_BYTE_ORDER)
		return kb_failed("%s: a recording in another byte order", reader->name);
	KB_TRY(check_version(reader, le16toh(header.major), le16toh(header.minor)));
	if (header.flags)
		return kb_failed("%s: unknown flags %#" PRIx32
				 " in its header: use a newer keelback",
				 reader->name, le32toh(header.flags));
	reader->offset = sizeof(header);
	return NULL;
}

/* ---- frames of sections */

static struct kb_error *ends_too_soon(const struct reader *reader)
{
	if (!reader->last)
		return kb_failed("%s: ends too soon: at byte %zu, before its first whole section",
				 reader->name, reader->size);
	return kb_failed("%s: ends too soon: at byte %zu, its last whole section is %" PRIu32
			 " (%s), up to byte %zu",
			 reader->name, reader->size, reader->sequence - 1, reader->last->name,
			 reader->offset);
}

static struct kb_error *damaged(const struct reader *reader, const char *what)
{
	return kb_failed("%s: damaged: section %" PRIu32 " at byte %zu: %s", reader->name,
			 reader->sequence, reader->offset, what);
}

/* Finds the section at the offset. An error here is what a partial reading ends at. */
static struct kb_error *whole_section(const struct reader *reader,
				      struct kb_recording_section *header)
{
	size_t left = reader->size - reader->offset;
	const uint8_t *at = reader->bytes + reader->offset;

	if (left < sizeof(*header))
		return ends_too_soon(reader);
	memcpy(header, at, sizeof(*header));
	if (le32toh(header->crc) != crc32_z(0, at, offsetof(struct kb_recording_section, crc)))
		return damaged(reader, "wrong checksum of its header");
	if (le64toh(header->packed_size) > left - sizeof(*header))
		return ends_too_soon(reader);
	if (le32toh(header->packed_crc) !=
	    crc32_z(0, at + sizeof(*header), le64toh(header->packed_size)))
		return damaged(reader, "wrong checksum of its contents");
	return NULL;
}

static struct kb_error *understand(const struct reader *reader,
				   const struct kb_recording_section *header,
				   struct section *section)
{
	uint32_t type = le32toh(header->type), flags = le32toh(header->flags);

	section->kind = kb_section_kind__find(type);
	section->packed = reader->bytes + reader->offset + sizeof(*header);
	section->packed_size = le64toh(header->packed_size);
	section->raw_size = le64toh(header->raw_size);
	if (le32toh(header->sequence) != reader->sequence)
		return damaged(reader, "sections are missing or out of order");
	if (flags & ~KB_SECTION_SKIPPABLE || (!section->kind && !(flags & KB_SECTION_SKIPPABLE)))
		return kb_failed("%s: section %" PRIu32 " at byte %zu is of a type %" PRIu32
				 ".%" PRIu32 " unknown here: use a newer keelback",
				 reader->name, reader->sequence, reader->offset, type, flags);
	if (section->kind && section->raw_size > KB_SECTION_RAW_MAX)
		return damaged(reader, "too large when unpacked");
	return NULL;
}

static struct kb_error *unpack(struct reader *reader, const struct section *section)
{
	size_t size;

	kb_buf__clear(&reader->raw);
	if (!kb_buf__reserve(&reader->raw, section->raw_size + 1))
		return kb_error__no_memory();
	size = ZSTD_decompressDCtx(reader->zstd, reader->raw.data, section->raw_size,
				   section->packed, section->packed_size);
	if (ZSTD_isError(size))
		return damaged(reader, ZSTD_getErrorName(size));
	if (size != section->raw_size)
		return damaged(reader, "shorter when unpacked than it says");
	reader->raw.size = size;
	return NULL;
}

static struct kb_error *decode(struct reader *reader, const struct section *section)
{
	struct kb_cursor cursor;
	struct kb_error *err;

	KB_TRY(unpack(reader, section));
	cursor = (struct kb_cursor){ reader->raw.data, reader->raw.data + reader->raw.size };
	err = section->kind->decode(&reader->decoder, &cursor);
	if (!err && cursor.at != cursor.end)
		err = kb_failed("its contents are longer than their meaning");
	return kb_error__prefix(err, "%s: section %" PRIu32 " (%s) at byte %zu", reader->name,
				reader->sequence, section->kind->name, reader->offset);
}

/* Reads the section at the offset. *whole false: nothing more can be read, and partial allows that.
 */
static struct kb_error *read_section(struct reader *reader, bool partial, bool *whole)
{
	struct kb_recording_section header;
	struct kb_error *err = whole_section(reader, &header);
	struct section section;

	*whole = !err;
	if (err && partial) {
		kb_error__destroy(err);
		return NULL;
	}
	KB_TRY(err);
	KB_TRY(understand(reader, &header, &section));
	if (section.kind) {
		KB_TRY(decode(reader, &section));
		reader->last = section.kind;
		reader->end_seen = section.kind->type == KB_SECTION_END;
	}
	reader->offset += sizeof(header) + section.packed_size;
	reader->sequence++;
	return NULL;
}

/*
 * The ledger is written after the samples that it tells of. Where the recording was cut between the
 * two, the later samples are in the profile and so must be in the ledger.
 */
static void complete_ledger(struct kb_profile *profile)
{
	uint64_t reported = kb_profile__ledger_get(profile, KB_L_GOOD), total;

	if (__builtin_add_overflow(reported, kb_profile__ledger_get(profile, KB_L_TRUNCATED),
				   &reported))
		return;
	total = kb_profile__total(profile);
	if (total > reported)
		kb_profile__ledger_add(profile, KB_L_GOOD, total - reported);
}

static void complete(struct kb_decoder *decoder)
{
	decoder->profile->meta.incomplete = true;
	complete_ledger(decoder->profile);
	if (decoder->calls)
		kb_calls_decode__complete(decoder->calls, true);
}

static struct kb_error *read_sections(struct reader *reader, bool partial)
{
	bool whole = true;

	while (whole && !reader->end_seen)
		KB_TRY(read_section(reader, partial, &whole));
	if (!reader->end_seen) {
		complete(&reader->decoder);
	} else if (reader->offset < reader->size && !partial) {
		return kb_failed("%s: damaged: goes on after its end section, at byte %zu",
				 reader->name, reader->offset);
	}
	return NULL;
}

bool kb_recording__is(const void *bytes, size_t size)
{
	static const uint8_t magic[] = KB_RECORDING_MAGIC_BYTES;

	return size >= sizeof(magic) && !memcmp(bytes, magic, sizeof(magic));
}

static void give(struct kb_decoder *decoder, struct kb_recorded *recorded)
{
	*recorded = (struct kb_recorded){ decoder->profile, decoder->calls };
	if (!decoder->calls)
		return;
	/* Its strings were the decoder's. */
	kb_profile__destroy(decoder->profile);
	recorded->profile = NULL;
}

struct kb_error *kb_recording__read_any(const void *bytes, size_t size, const char *name,
					bool partial, struct kb_recorded *recorded)
{
	struct kb_profile_meta meta = { sizeof(meta) };
	struct reader reader = { .name = name, .bytes = bytes, .size = size };
	struct kb_error *err = read_header(&reader);

	KB_TRY(err);
	KB_TRY(kb_profile__create(&meta, &reader.decoder.profile));
	kb_buf__init(&reader.raw, KB_SECTION_RAW_MAX + 1);
	reader.zstd = ZSTD_createDCtx();
	err = reader.zstd ? read_sections(&reader, partial) : kb_error__no_memory();
	ZSTD_freeDCtx(reader.zstd);
	kb_buf__free(&reader.raw);
	free(reader.decoder.strings);
	if (err) {
		kb_profile__destroy(reader.decoder.profile);
		kb_calls__destroy(reader.decoder.calls);
		return err;
	}
	give(&reader.decoder, recorded);
	return NULL;
}

struct kb_error *kb_recording__read(const void *bytes, size_t size, const char *name, bool partial,
				    struct kb_profile **profile)
{
	struct kb_recorded recorded;

	KB_TRY(kb_recording__read_any(bytes, size, name, partial, &recorded));
	if (recorded.calls) {
		kb_calls__destroy(recorded.calls);
		return kb_failed("%s: a recording of call statistics, not of samples", name);
	}
	*profile = recorded.profile;
	return NULL;
}

/* ---- files */

struct kb_error *kb_profile__load(const char *path, bool partial, struct kb_profile **profile)
{
	struct kb_error *err;
	struct kb_buf buf;

	kb_buf__init(&buf, KB_RECORDING_BYTES_MAX);
	err = kb_read_file(path, &buf);
	if (!err)
		err = kb_recording__read(buf.data, buf.size, path, partial, profile);
	kb_buf__free(&buf);
	return err;
}
