// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Writing recordings. The writer remembers how much of each table of the profile
 * it has written and the sample counts as of then; a flush writes the rest, in
 * the order in which things refer to each other, so that every prefix of
 * whole sections makes sense.
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/varint.h"
#include "model/memory.h"
#include "model/private.h"
#include "model/recording.h"
#include "model/section_writer.h"

/* Strings of a process or thread that may be filled in after they were written. */
struct process_texts {
	const char *comm, *command, *python;
};

struct thread_texts {
	const char *name, *python_name;
	int32_t ns_tid;
};

struct kb_recording_writer {
	struct kb_section_writer sections;
	uint32_t n_strings, n_functions, n_frames, n_nodes, n_moments;
	struct kb_section_shadow processes; /* of struct process_texts */
	struct kb_section_shadow threads;   /* of struct thread_texts */
	struct kb_section_shadow samples;   /* of uint64_t, their counts */
	struct kb_buf meta, mode, ledger;   /* as last written */
};

/* ---- tables: each function appends entry id of a table to writer->sections.raw, or nothing when
 * that is written already */

typedef void (*encode_fn)(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id);

static void put_string(struct kb_recording_writer *writer, const struct kb_profile *profile,
		       const char *text)
{
	kb_varint__put(&writer->sections.raw,
		       kb_strpool__find(profile->strings, text, strlen(text)));
}

static void encode_string(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id)
{
	uint32_t size = kb_strpool__size(profile->strings, id);

	kb_varint__put(&writer->sections.raw, size);
	kb_buf__append(&writer->sections.raw, kb_strpool__at(profile->strings, id), size);
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
	kb_varint__put(&writer->sections.raw, id);
	kb_varint__put_signed(&writer->sections.raw, info->pid);
	kb_varint__put_signed(&writer->sections.raw, info->ns_pid);
	kb_varint__put_signed(&writer->sections.raw, info->parent);
	kb_varint__put(&writer->sections.raw, info->start_ns);
	kb_varint__put(&writer->sections.raw, info->cgroup);
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
	kb_varint__put(&writer->sections.raw, id);
	kb_varint__put(&writer->sections.raw, info->process);
	kb_varint__put_signed(&writer->sections.raw, info->tid);
	kb_varint__put_signed(&writer->sections.raw, info->ns_tid);
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
	kb_varint__put(&writer->sections.raw, id);
	put_string(writer, profile, info->python_name);
}

static void encode_function(struct kb_recording_writer *writer, const struct kb_profile *profile,
			    uint32_t id)
{
	const struct kb_function_info *info = &profile->code.functions[id];

	kb_varint__put(&writer->sections.raw, info->kind);
	put_string(writer, profile, info->file);
	put_string(writer, profile, info->name);
	kb_varint__put_signed(&writer->sections.raw, info->first_line);
}

static void encode_frame(struct kb_recording_writer *writer, const struct kb_profile *profile,
			 uint32_t id)
{
	const struct kb_frame_info *info = &profile->code.frames[id];

	kb_varint__put(&writer->sections.raw, info->function);
	kb_varint__put_signed(&writer->sections.raw, info->line);
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

	kb_varint__put(&writer->sections.raw, node->parent == KB_ID_NONE ? 0 : id - node->parent);
	kb_varint__put(&writer->sections.raw, node->frame);
}

static void encode_sample(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id)
{
	const struct kb_sample *sample = &profile->tree.samples[id];
	uint64_t *written = (uint64_t *)writer->samples.elements + id;

	if (sample->count == *written)
		return;
	kb_varint__put(&writer->sections.raw, sample->thread);
	kb_varint__put(&writer->sections.raw, sample->node);
	kb_varint__put(&writer->sections.raw, sample->count - *written);
	*written = sample->count;
}

static void encode_moment(struct kb_recording_writer *writer, const struct kb_profile *profile,
			  uint32_t id)
{
	const struct kb_moment *moment = &profile->moments[id];

	kb_varint__put(&writer->sections.raw, moment->time_ns);
	kb_varint__put(&writer->sections.raw, moment->thread);
	kb_varint__put(&writer->sections.raw, moment->node);
	kb_varint__put(&writer->sections.raw, moment->count);
	kb_varint__put(&writer->sections.raw, moment->flags);
}

struct table {
	struct kb_recording_writer *writer;
	const struct kb_profile *profile;
	encode_fn encode;
};

static void encode_entry(void *context, uint32_t id)
{
	const struct table *table = context;

	table->encode(table->writer, table->profile, id);
}

static struct kb_error *write_table(struct kb_recording_writer *writer,
				    const struct kb_profile *profile, enum kb_section_type type,
				    bool ids, uint32_t from, uint32_t n, encode_fn encode)
{
	struct table table = { writer, profile, encode };

	return kb_section_writer__table(&writer->sections, type, ids, from, n, encode_entry,
					&table);
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

	kb_varint__put(&writer->sections.raw, meta->clock);
	kb_section_writer__put_real(&writer->sections, meta->rate_hz);
	kb_varint__put(&writer->sections.raw, (meta->jitter ? KB_META_JITTER : 0) |
						      (meta->incomplete ? KB_META_INCOMPLETE : 0));
	kb_varint__put_signed(&writer->sections.raw, meta->start_unix_ns);
	kb_varint__put(&writer->sections.raw, meta->duration_ns);
	put_string(writer, profile, meta->target);
	put_string(writer, profile, meta->host);
	put_string(writer, profile, meta->kernel);
	put_string(writer, profile, meta->version);
	return kb_section_writer__emit_changed(&writer->sections, KB_SECTION_META, &writer->meta);
}

/* Only where it is not what the format without this section means. */
static struct kb_error *write_mode(struct kb_recording_writer *writer,
				   const struct kb_profile *profile)
{
	const struct kb_profile_meta *meta = &profile->meta;

	if (meta->mode == KB_MODE_CPU && meta->unit == KB_UNIT_SAMPLES)
		return NULL;
	kb_varint__put(&writer->sections.raw, meta->mode);
	kb_varint__put(&writer->sections.raw, meta->unit);
	return kb_section_writer__emit_changed(&writer->sections, KB_SECTION_MODE, &writer->mode);
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
		kb_varint__put(&writer->sections.raw, strlen(entry.name));
		kb_buf__append(&writer->sections.raw, entry.name, strlen(entry.name));
		kb_varint__put(&writer->sections.raw, entry.count);
	}
	return kb_section_writer__emit_changed(&writer->sections, KB_SECTION_LEDGER,
					       &writer->ledger);
}

static struct kb_error *write_tables(struct kb_recording_writer *w, const struct kb_profile *p)
{
	KB_TRY(kb_section_shadow__extend(&w->processes, p->n_processes,
					 sizeof(struct process_texts)));
	KB_TRY(kb_section_shadow__extend(&w->threads, p->n_threads, sizeof(struct thread_texts)));
	KB_TRY(kb_section_shadow__extend(&w->samples, p->tree.n_samples, sizeof(uint64_t)));
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
	if (p->memory)
		KB_TRY(kb_memory__write(p->memory, &w->sections));
	return write_ledger(w, p);
}

/* ---- model/recording.h */

struct kb_error *kb_recording_writer__create(FILE *stream, struct kb_recording_writer **writer)
{
	struct kb_recording_writer *fresh = calloc(1, sizeof(*fresh));
	struct kb_error *err = NULL;

	if (!fresh)
		return kb_error__no_memory();
	kb_buf__init(&fresh->meta, KB_SECTION_RAW_MAX);
	kb_buf__init(&fresh->mode, KB_SECTION_RAW_MAX);
	kb_buf__init(&fresh->ledger, KB_SECTION_RAW_MAX);
	err = kb_section_writer__init(&fresh->sections, stream);
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

	KB_TRY(kb_section_writer__check(&writer->sections));
	err = write_tables(writer, profile);
	if (err) {
		/* The tables of what was written say more than was. */
		writer->sections.broken = true;
		return err;
	}
	return kb_section_writer__flush(&writer->sections);
}

struct kb_error *kb_recording_writer__finish(struct kb_recording_writer *writer,
					     const struct kb_profile *profile)
{
	KB_TRY(kb_recording_writer__flush(writer, profile));
	return kb_section_writer__end(&writer->sections, profile->tree.total);
}

void kb_recording_writer__destroy(struct kb_recording_writer *writer)
{
	if (!writer)
		return;
	kb_section_writer__free(&writer->sections);
	kb_buf__free(&writer->meta);
	kb_buf__free(&writer->mode);
	kb_buf__free(&writer->ledger);
	free(writer->processes.elements);
	free(writer->threads.elements);
	free(writer->samples.elements);
	free(writer);
}
