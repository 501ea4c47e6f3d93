// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Writing recordings. The writer remembers how much of each table of the profile
 * it has written and the sample counts as of then; a flush writes the rest, in
 * the order in which things refer to each other, so that every prefix of
 * whole sections makes sense.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "base/array.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/varint.h"
#include "model/private.h"
#include "model/recording.h"
#include "model/recording_format.h"

#define COMPRESSION_LEVEL                                                                          \
	3 /* zstd's default: some 300 MB/s, and the flush runs beside the profiled program */

/* Strings of a process or thread that may be filled in after they were written. */
struct process_texts {
	const char *comm, *command, *python;
};

struct thread_texts {
	const char *name, *python_name;
	int32_t ns_tid;
};

/* What was written of a table whose entries can change: one element each, all zero before. */
struct shadow {
	void *elements;
	uint32_t n, capacity;
};

struct kb_recording_writer {
	FILE *stream;
	ZSTD_CCtx *zstd;
	struct kb_buf raw;    /* of the section being made */
	struct kb_buf packed; /* the same, compressed */
	uint32_t sequence;
	bool broken; /* a write failed: what follows would not be readable */
	bool finished;

	uint32_t n_strings, n_functions, n_frames, n_nodes, n_moments;
	struct shadow processes;	  /* of struct process_texts */
	struct shadow threads;		  /* of struct thread_texts */
	struct shadow samples;		  /* of uint64_t, their counts */
	struct kb_buf meta, mode, ledger; /* as last written */
};

/* ---- sections */

static struct kb_error *write_bytes(struct kb_recording_writer *writer, const void *bytes,
				    size_t size)
{
	if (fwrite(bytes, 1, size, writer->stream) == size)
		return NULL;
	writer->broken = true;
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write the recording");
}

static struct kb_error *flush_stream(struct kb_recording_writer *writer)
{
	if (!fflush(writer->stream))
		return NULL;
	writer->broken = true;
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write the recording");
}

static struct kb_error *pack(struct kb_recording_writer *writer)
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

/* Writes writer->raw as a section and empties it. */
static struct kb_error *emit(struct kb_recording_writer *writer, enum kb_section_type type)
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

/* Writes writer->raw unless it is what was written last. */
static struct kb_error *emit_changed(struct kb_recording_writer *writer, enum kb_section_type type,
				     struct kb_buf *last)
{
	if (last->size == writer->raw.size &&
	    (!last->size || !memcmp(last->data, writer->raw.data, last->size))) {
		kb_buf__clear(&writer->raw);
		return NULL;
	}
	kb_buf__clear(last);
	kb_buf__append(last, writer->raw.data, writer->raw.size);
	return emit(writer, type);
}

/* ---- tables: each function appends entry id of a table to writer->raw, or nothing when that is
 * written already */

typedef void (*encode_fn)(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id);

static void put_string(struct kb_recording_writer *writer, const struct kb_profile *profile,
		       const char *text)
{
	kb_varint__put(&writer->raw, kb_strpool__find(profile->strings, text, strlen(text)));
}

static void encode_string(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id)
{
	uint32_t size = kb_strpool__size(profile->strings, id);

	kb_varint__put(&writer->raw, size);
	kb_buf__append(&writer->raw, kb_strpool__at(profile->strings, id), size);
}

static void encode_process(struct kb_recording_writer *writer, const struct kb_profile *profile,
			   uint32_t id)
{
	const struct kb_process_info *info = &profile->processes[id];
	struct process_texts *known = (struct process_texts *)writer->processes.elements + id;

	if (known->comm == info->comm && known->command == info->command &&
	    known->python == info->python)
		return;
	*known = (struct process_texts){ info->comm, info->command, info->python };
	kb_varint__put(&writer->raw, id);
	kb_varint__put_signed(&writer->raw, info->pid);
	kb_varint__put_signed(&writer->raw, info->ns_pid);
	kb_varint__put_signed(&writer->raw, info->parent);
	kb_varint__put(&writer->raw, info->start_ns);
	kb_varint__put(&writer->raw, info->cgroup);
	put_string(writer, profile, info->comm);
	put_string(writer, profile, info->command);
	put_string(writer, profile, info->python);
}

static void encode_thread(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id)
{
	const struct kb_thread_info *info = &profile->threads[id];
	struct thread_texts *known = (struct thread_texts *)writer->threads.elements + id;

	if (known->name == info->name && known->ns_tid == info->ns_tid)
		return;
	known->name = info->name;
	known->ns_tid = info->ns_tid;
	kb_varint__put(&writer->raw, id);
	kb_varint__put(&writer->raw, info->process);
	kb_varint__put_signed(&writer->raw, info->tid);
	kb_varint__put_signed(&writer->raw, info->ns_tid);
	put_string(writer, profile, info->name);
}

static void encode_thread_name(struct kb_recording_writer *writer, const struct kb_profile *profile,
			       uint32_t id)
{
	const struct kb_thread_info *info = &profile->threads[id];
	struct thread_texts *known = (struct thread_texts *)writer->threads.elements + id;

	if (known->python_name == info->python_name || !*info->python_name)
		return;
	known->python_name = info->python_name;
	kb_varint__put(&writer->raw, id);
	put_string(writer, profile, info->python_name);
}

static void encode_function(struct kb_recording_writer *writer, const struct kb_profile *profile,
			    uint32_t id)
{
	const struct kb_function_info *info = &profile->code.functions[id];

	kb_varint__put(&writer->raw, info->kind);
	put_string(writer, profile, info->file);
	put_string(writer, profile, info->name);
	kb_varint__put_signed(&writer->raw, info->first_line);
}

static void encode_frame(struct kb_recording_writer *writer, const struct kb_profile *profile,
			 uint32_t id)
{
	const struct kb_frame_info *info = &profile->code.frames[id];

	kb_varint__put(&writer->raw, info->function);
	kb_varint__put_signed(&writer->raw, info->line);
}

static void encode_opcode_frame(struct kb_recording_writer *writer,
				const struct kb_profile *profile, uint32_t id)
{
	encode_frame(writer, profile, id);
	put_string(writer, profile, profile->code.frames[id].opcode);
}

static void encode_node(struct kb_recording_writer *writer, const struct kb_profile *profile,
			uint32_t id)
{
	const struct kb_stack_node *node = &profile->tree.nodes[id];

	kb_varint__put(&writer->raw, node->parent == KB_ID_NONE ? 0 : id - node->parent);
	kb_varint__put(&writer->raw, node->frame);
}

static void encode_sample(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id)
{
	const struct kb_sample *sample = &profile->tree.samples[id];
	uint64_t *written = (uint64_t *)writer->samples.elements + id;

	if (sample->count == *written)
		return;
	kb_varint__put(&writer->raw, sample->thread);
	kb_varint__put(&writer->raw, sample->node);
	kb_varint__put(&writer->raw, sample->count - *written);
	*written = sample->count;
}

static void encode_moment(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id)
{
	const struct kb_moment *moment = &profile->moments[id];

	kb_varint__put(&writer->raw, moment->time_ns);
	kb_varint__put(&writer->raw, moment->thread);
	kb_varint__put(&writer->raw, moment->node);
	kb_varint__put(&writer->raw, moment->count);
	kb_varint__put(&writer->raw, moment->flags);
}

/* Entries from..n, in as many sections as needed. With ids, each section begins with the id of its
 * first entry. */
static struct kb_error *write_table(struct kb_recording_writer *writer,
				    const struct kb_profile *profile, enum kb_section_type type,
				    bool ids, uint32_t from, uint32_t n, encode_fn encode)
{
	while (from < n) {
		size_t empty;

		if (ids)
			kb_varint__put(&writer->raw, from);
		empty = writer->raw.size;
		for (; from < n && writer->raw.size < KB_SECTION_RAW_TARGET; from++)
			encode(writer, profile, from);
		if (writer->raw.size > empty || writer->raw.failed)
			KB_TRY(emit(writer, type));
		kb_buf__clear(&writer->raw);
	}
	return NULL;
}

static struct kb_error *extend(struct shadow *shadow, uint32_t n, size_t element_size)
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

/* A table that only grows: what is new in it. */
static struct kb_error *write_new(struct kb_recording_writer *writer,
				  const struct kb_profile *profile, enum kb_section_type type,
				  uint32_t *done, uint32_t n, encode_fn encode)
{
	uint32_t from = *done;

	*done = n;
	return write_table(writer, profile, type, true, from, n, encode);
}

/* ---- what is written whole when it changed */

static struct kb_error *write_meta(struct kb_recording_writer *writer,
				   const struct kb_profile *profile)
{
	const struct kb_profile_meta *meta = &profile->meta;
	uint64_t rate;

	memcpy(&rate, &meta->rate_hz, sizeof(rate));
	rate = htole64(rate);
	kb_varint__put(&writer->raw, meta->clock);
	kb_buf__append(&writer->raw, &rate, sizeof(rate));
	kb_varint__put(&writer->raw, (meta->jitter ? KB_META_JITTER : 0) |
					     (meta->incomplete ? KB_META_INCOMPLETE : 0));
	kb_varint__put_signed(&writer->raw, meta->start_unix_ns);
	kb_varint__put(&writer->raw, meta->duration_ns);
	put_string(writer, profile, meta->target);
	put_string(writer, profile, meta->host);
	put_string(writer, profile, meta->kernel);
	put_string(writer, profile, meta->version);
	return emit_changed(writer, KB_SECTION_META, &writer->meta);
}

/* Only where it is not what the format without this section means. */
static struct kb_error *write_mode(struct kb_recording_writer *writer,
				   const struct kb_profile *profile)
{
	const struct kb_profile_meta *meta = &profile->meta;

	if (meta->mode == KB_MODE_CPU && meta->unit == KB_UNIT_SAMPLES)
		return NULL;
	kb_varint__put(&writer->raw, meta->mode);
	kb_varint__put(&writer->raw, meta->unit);
	return emit_changed(writer, KB_SECTION_MODE, &writer->mode);
}

/* Frames with opcodes have a section type of their own, so that readers who do not know them say
 * so. */
static struct kb_error *write_frames(struct kb_recording_writer *writer,
				     const struct kb_profile *profile)
{
	const struct kb_frame_info *frames = profile->code.frames;
	bool opcodes = false;

	for (uint32_t i = writer->n_frames; i < profile->code.n_frames && !opcodes; i++)
		opcodes = *frames[i].opcode;
	return write_new(writer, profile, opcodes ? KB_SECTION_OPCODE_FRAMES : KB_SECTION_FRAMES,
			 &writer->n_frames, profile->code.n_frames,
			 opcodes ? encode_opcode_frame : encode_frame);
}

/* By name, so that readers may order and know their reasons otherwise. */
static struct kb_error *write_ledger(struct kb_recording_writer *writer,
				     const struct kb_profile *profile)
{
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (!entry.count)
			continue;
		kb_varint__put(&writer->raw, strlen(entry.name));
		kb_buf__append(&writer->raw, entry.name, strlen(entry.name));
		kb_varint__put(&writer->raw, entry.count);
	}
	return emit_changed(writer, KB_SECTION_LEDGER, &writer->ledger);
}

static struct kb_error *write_tables(struct kb_recording_writer *w, const struct kb_profile *p)
{
	KB_TRY(extend(&w->processes, p->n_processes, sizeof(struct process_texts)));
	KB_TRY(extend(&w->threads, p->n_threads, sizeof(struct thread_texts)));
	KB_TRY(extend(&w->samples, p->tree.n_samples, sizeof(uint64_t)));
	KB_TRY(write_new(w, p, KB_SECTION_STRINGS, &w->n_strings, kb_strpool__count(p->strings),
			 encode_string));
	KB_TRY(write_meta(w, p));
	KB_TRY(write_mode(w, p));
	KB_TRY(write_table(w, p, KB_SECTION_PROCESSES, false, 0, p->n_processes, encode_process));
	KB_TRY(write_table(w, p, KB_SECTION_THREADS, false, 0, p->n_threads, encode_thread));
	KB_TRY(write_table(w, p, KB_SECTION_THREAD_NAMES, false, 0, p->n_threads,
			   encode_thread_name));
	KB_TRY(write_new(w, p, KB_SECTION_FUNCTIONS, &w->n_functions, p->code.n_functions,
			 encode_function));
	KB_TRY(write_frames(w, p));
	KB_TRY(write_new(w, p, KB_SECTION_NODES, &w->n_nodes, p->tree.n_nodes, encode_node));
	KB_TRY(write_table(w, p, KB_SECTION_SAMPLES, false, 0, p->tree.n_samples, encode_sample));
	KB_TRY(write_table(w, p, KB_SECTION_MOMENTS, false, w->n_moments, p->n_moments,
			   encode_moment));
	w->n_moments = p->n_moments;
	return write_ledger(w, p);
}

/* ---- model/recording.h */

static struct kb_error *write_header(struct kb_recording_writer *writer)
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
	return flush_stream(writer);
}

struct kb_error *kb_recording_writer__create(FILE *stream, struct kb_recording_writer **writer)
{
	struct kb_recording_writer *fresh = calloc(1, sizeof(*fresh));
	struct kb_error *err = NULL;

	if (!fresh)
		return kb_error__no_memory();
	fresh->stream = stream;
	kb_buf__init(&fresh->raw, KB_SECTION_RAW_MAX);
	kb_buf__init(&fresh->packed, ZSTD_compressBound(KB_SECTION_RAW_MAX));
	kb_buf__init(&fresh->meta, KB_SECTION_RAW_MAX);
	kb_buf__init(&fresh->mode, KB_SECTION_RAW_MAX);
	kb_buf__init(&fresh->ledger, KB_SECTION_RAW_MAX);
	fresh->zstd = ZSTD_createCCtx();
	err = fresh->zstd ? write_header(fresh) : kb_error__no_memory();
	if (err) {
		kb_recording_writer__destroy(fresh);
		return err;
	}
	*writer = fresh;
	return NULL;
}

struct kb_error *kb_recording_writer__flush(struct kb_recording_writer *writer,
					    const struct kb_profile *profile)
{
	struct kb_error *err;

	if (writer->broken || writer->finished)
		return kb_failed("the recording is %s", writer->broken ? "broken" : "finished");
	err = write_tables(writer, profile);
	if (err) {
		/* The tables of what was written say more than was. */
		writer->broken = true;
		return err;
	}
	return flush_stream(writer);
}

struct kb_error *kb_recording_writer__finish(struct kb_recording_writer *writer,
					     const struct kb_profile *profile)
{
	KB_TRY(kb_recording_writer__flush(writer, profile));
	kb_varint__put(&writer->raw, profile->tree.total);
	KB_TRY(emit(writer, KB_SECTION_END));
	writer->finished = true;
	return flush_stream(writer);
}

void kb_recording_writer__destroy(struct kb_recording_writer *writer)
{
	if (!writer)
		return;
	ZSTD_freeCCtx(writer->zstd);
	kb_buf__free(&writer->raw);
	kb_buf__free(&writer->packed);
	kb_buf__free(&writer->meta);
	kb_buf__free(&writer->mode);
	kb_buf__free(&writer->ledger);
	free(writer->processes.elements);
	free(writer->threads.elements);
	free(writer->samples.elements);
	free(writer);
}
