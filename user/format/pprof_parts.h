/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_PPROF_PARTS_H
#define KB_FORMAT_PPROF_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/strpool.h"
#include "format/gzip.h"
#include "pprof.pb-c.h"

/*
 * pprof's profile.proto, gzipped, written in parts, by protobuf-c from code that protoc-c generates
 * of pprof.proto. A profile is not built as one message, which would take a hundred times the
 * memory of its samples: messages that stand one behind the other are one message whose repeated
 * fields are joined (Protocol Buffers, Encoding, "Last One Wins"), so each sample, location and
 * function is packed as a Profile with nothing else in it.
 */
struct kb_pprof_parts {
	struct kb_gzip *gzip;
	struct kb_strpool *strings;
	uint8_t *packed;
	uint32_t packed_capacity;
	struct kb_error *err; /* the first; what follows does nothing */
};

/* On failure, too, finish() is to be called. */
struct kb_error *kb_pprof_parts__init(struct kb_pprof_parts *parts, FILE *stream);
/* Writes the strings, ends the file and frees. The error is the first of all. */
struct kb_error *kb_pprof_parts__finish(struct kb_pprof_parts *parts);

void kb_pprof_parts__no_memory(struct kb_pprof_parts *parts);
/* The index of a text in the string table. pprof prints names as they are, terminals included: what
 * is not printable is replaced. */
int64_t kb_pprof_parts__string(struct kb_pprof_parts *parts, const char *text);
int64_t kb_pprof_parts__stringf(struct kb_pprof_parts *parts, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void kb_pprof_parts__write(struct kb_pprof_parts *parts, const KbPprof__Profile *part);
void kb_pprof_parts__function(struct kb_pprof_parts *parts, uint64_t id, int64_t name, int64_t file,
			      int32_t line);
/* sources: the files of its functions are source files, with lines. */
void kb_pprof_parts__mapping(struct kb_pprof_parts *parts, uint64_t id, int64_t file, bool sources);
void kb_pprof_parts__comment(struct kb_pprof_parts *parts, int64_t text);
KbPprof__ValueType kb_pprof_parts__value_type(struct kb_pprof_parts *parts, const char *type,
					      const char *unit);
/* As far as it fits. */
int64_t kb_pprof_parts__number(uint64_t count);

#endif
