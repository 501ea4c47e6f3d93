/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_SECTION_WRITER_H
#define KB_MODEL_SECTION_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <zstd.h>
#include "base/buf.h"
#include "keelback/error.h"
#include "model/recording_format.h"

/*
 * The frame of recordings of every kind: header, and sections with their checksums.
 * What goes into a section is put into `raw` first.
 */
struct kb_section_writer {
	FILE *stream; /* the caller's */
	ZSTD_CCtx *zstd;
	struct kb_buf raw;    /* of the section being made */
	struct kb_buf packed; /* the same, compressed */
	uint32_t sequence;
	bool broken; /* a write failed: what follows would not be readable */
	bool finished;
};

/* Writes the header. On failure, too, the writer may be freed. */
struct kb_error *kb_section_writer__init(struct kb_section_writer *writer, FILE *stream);
void kb_section_writer__free(struct kb_section_writer *writer);

/* The error of writing to a recording that is broken or finished; NULL: it is neither. */
struct kb_error *kb_section_writer__check(const struct kb_section_writer *writer);
/* Writes raw as a section and empties it. */
struct kb_error *kb_section_writer__emit(struct kb_section_writer *writer,
					 enum kb_section_type type);
/* Writes raw unless it is what was written last, which is kept in `last`. */
struct kb_error *kb_section_writer__emit_changed(struct kb_section_writer *writer,
						 enum kb_section_type type, struct kb_buf *last);
struct kb_error *kb_section_writer__flush(struct kb_section_writer *writer);
/* The end section, with the sum that readers check. */
struct kb_error *kb_section_writer__end(struct kb_section_writer *writer, uint64_t total);

/*
 * Entries from..n of a table, in as many sections as needed. With ids, each section begins with the
 * id of its first entry. encode appends an entry to raw, or nothing when that is written already.
 */
typedef void (*kb_section_encode_fn)(void *context, uint32_t id);
struct kb_error *kb_section_writer__table(struct kb_section_writer *writer,
					  enum kb_section_type type, bool ids, uint32_t from,
					  uint32_t n, kb_section_encode_fn encode, void *context);

/* What was written of a table whose entries can change: one element each, all zero before. */
struct kb_section_shadow {
	void *elements;
	uint32_t n, capacity;
};
struct kb_error *kb_section_shadow__extend(struct kb_section_shadow *shadow, uint32_t n,
					   size_t element_size);

/* 8 bytes, little-endian. */
void kb_section_writer__put_real(struct kb_section_writer *writer, double value);

#endif
