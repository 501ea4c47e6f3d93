// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include "base/array.h"
#include "base/error.h"
#include "base/varint.h"
#include "model/section_writer.h"

#define COMPRESSION_LEVEL                                                                          \
	3 /* zstd's default: some 300 MB/s, and the flush runs beside the profiled program */

static struct kb_error *write_bytes(struct kb_section_writer *writer, const void *bytes,
				    size_t size)
{
	if (fwrite(bytes, 1, size, writer->stream) == size)
		return NULL;
	writer->broken = true;
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write the recording");
}

struct kb_error *kb_section_writer__flush(struct kb_section_writer *writer)
{
	if (!fflush(writer->stream))
		return NULL;
	writer->broken = true;
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write the recording");
}

static struct kb_error *pack(struct kb_section_writer *writer)
{
	size_t bound = ZSTD_compressBound(writer->raw.size), size;

	kb_buf__clear(&writer->packed);
	if (writer->raw.failed || !kb_buf__reserve(&writer->packed, bound))
		return kb_error__no_memory();
	size = ZSTD_compressCCtx(writer->zstd, writer->packed.data, bound, writer->raw.data,
				 writer->raw.size, COMPRESSION_LEVEL);
	if (ZSTD_isError(size))
		return kb_failed("cannot compress the recording: %s", ZSTD_getErrorName(size));
	writer->packed.size = size;
	return NULL;
}

struct kb_error *kb_section_writer__emit(struct kb_section_writer *writer,
					 enum kb_section_type type)
{
	struct kb_recording_section section = { .type = htole32(type) };
	struct kb_error *err = pack(writer);

	if (err) {
		writer->broken = true;
		return err;
	}
	section.packed_size = htole64(writer->packed.size);
	section.raw_size = htole64(writer->raw.size);
	section.sequence = htole32(writer->sequence++);
	section.packed_crc = htole32(crc32_z(0, writer->packed.data, writer->packed.size));
	section.crc = htole32(
		crc32_z(0, (const void *)&section, offsetof(struct kb_recording_section, crc)));
	kb_buf__clear(&writer->raw);
	KB_TRY(write_bytes(writer, &section, sizeof(section)));
	return write_bytes(writer, writer->packed.data, writer->packed.size);
}

struct kb_error *kb_section_writer__emit_changed(struct kb_section_writer *writer,
						 enum kb_section_type type, struct kb_buf *last)
{
	if (last->size == writer->raw.size &&
	    (!last->size || !memcmp(last->data, writer->raw.data, last->size))) {
		kb_buf__clear(&writer->raw);
		return NULL;
	}
	kb_buf__clear(last);
	kb_buf__append(last, writer->raw.data, writer->raw.size);
	return kb_section_writer__emit(writer, type);
}

static struct kb_error *write_header(struct kb_section_writer *writer)
{
	struct kb_recording_header header = {
		.magic = KB_RECORDING_MAGIC_BYTES,
		.byte_order = htole32(KB_RECORDING_BYTE_ORDER),
		.major = htole16(KB_RECORDING_MAJOR),
		.minor = htole16(KB_RECORDING_MINOR),
	};

	header.crc = htole32(
		crc32_z(0, (const void *)&header, offsetof(struct kb_recording_header, crc)));
	KB_TRY(write_bytes(writer, &header, sizeof(header)));
	return kb_section_writer__flush(writer);
}

struct kb_error *kb_section_writer__init(struct kb_section_writer *writer, FILE *stream)
{
	writer->stream = stream;
	kb_buf__init(&writer->raw, KB_SECTION_RAW_MAX);
	kb_buf__init(&writer->packed, ZSTD_compressBound(KB_SECTION_RAW_MAX));
	writer->zstd = ZSTD_createCCtx();
	return writer->zstd ? write_header(writer) : kb_error__no_memory();
}

void kb_section_writer__free(struct kb_section_writer *writer)
{
	ZSTD_freeCCtx(writer->zstd);
	kb_buf__free(&writer->raw);
	kb_buf__free(&writer->packed);
}

struct kb_error *kb_section_writer__check(const struct kb_section_writer *writer)
{
	if (writer->broken || writer->finished)
		return kb_failed("the recording is %s", writer->broken ? "broken" : "finished");
	return NULL;
}

struct kb_error *kb_section_writer__end(struct kb_section_writer *writer, uint64_t total)
{
	kb_varint__put(&writer->raw, total);
	KB_TRY(kb_section_writer__emit(writer, KB_SECTION_END));
	writer->finished = true;
	return kb_section_writer__flush(writer);
}

struct kb_error *kb_section_writer__table(struct kb_section_writer *writer,
					  enum kb_section_type type, bool ids, uint32_t from,
					  uint32_t n, kb_section_encode_fn encode, void *context)
{
	while (from < n) {
		size_t empty;

		if (ids)
			kb_varint__put(&writer->raw, from);
		empty = writer->raw.size;
		for (; from < n && writer->raw.size < KB_SECTION_RAW_TARGET; from++)
			encode(context, from);
		if (writer->raw.size > empty || writer->raw.failed)
			KB_TRY(kb_section_writer__emit(writer, type));
		kb_buf__clear(&writer->raw);
	}
	return NULL;
}

struct kb_error *kb_section_shadow__extend(struct kb_section_shadow *shadow, uint32_t n,
					   size_t element_size)
{
	void *moved;

	if (n <= shadow->n)
		return NULL;
	moved = kb_array__grow(shadow->elements, &shadow->capacity, n, element_size, UINT32_MAX);
	if (!moved)
		return kb_error__no_memory();
	shadow->elements = moved;
	memset((char *)moved + shadow->n * element_size, 0, (n - shadow->n) * element_size);
	shadow->n = n;
	return NULL;
}

void kb_section_writer__put_real(struct kb_section_writer *writer, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	bits = htole64(bits);
	kb_buf__append(&writer->raw, &bits, sizeof(bits));
}
