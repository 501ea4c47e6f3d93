// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/varint.h"
#include "model/calls_private.h"
#include "model/calls_recording.h"
#include "model/section_writer.h"

struct kb_calls_writer {
	struct kb_section_writer sections;
	const struct kb_calls *calls; /* being written */
	uint32_t n_strings, n_functions, n_listed, n_sources;
	struct kb_section_shadow stats;	    /* of struct kb_call_stats, by position in the list */
	struct kb_section_shadow edges;	    /* of struct written_edge */
	struct kb_section_shadow threads;   /* of struct kb_calls_thread */
	struct kb_section_shadow parts;	    /* of struct kb_call_stats */
	struct kb_buf meta, chosen, ledger; /* as last written */
};

/* ---- values */

static void put(struct kb_calls_writer *writer, uint64_t value)
{
	kb_varint__put(&writer->sections.raw, value);
}

static void put_signed(struct kb_calls_writer *writer, int64_t value)
{
	kb_varint__put_signed(&writer->sections.raw, value);
}

static void put_real(struct kb_calls_writer *writer, double value)
{
	kb_section_writer__put_real(&writer->sections, value);
}

static void put_string(struct kb_calls_writer *writer, const char *text)
{
	put(writer, kb_strpool__find(writer->calls->strings, text, strlen(text)));
}

static void put_stats(struct kb_calls_writer *writer, const struct kb_call_stats *stats)
{
	put(writer, stats->ncalls);
	put(writer, stats->primitive);
	put_real(writer, stats->tottime);
	put_real(writer, stats->cumtime);
}

/* Keeps what is about to be written; false: it was written before. */
static bool changed(struct kb_section_shadow *shadow, uint32_t id, const void *element, size_t size)
{
	char *known = (char *)shadow->elements + id * size;

	if (!memcmp(known, element, size))
		return false;
	memcpy(known, element, size);
	return true;
}

/* ---- tables */

static void encode_string(void *context, uint32_t id)
{
	struct kb_calls_writer *writer = context;
	uint32_t size = kb_strpool__size(writer->calls->strings, id);

	put(writer, size);
	kb_buf__append(&writer->sections.raw, kb_strpool__at(writer->calls->strings, id), size);
}

static void encode_function(void *context, uint32_t id)
{
	struct kb_calls_writer *writer = context;
	const struct kb_calls_function *function = &writer->calls->functions[id];

	put_string(writer, function->file);
	put_string(writer, function->name);
	put_signed(writer, function->line);
}

/* In the order of the list, which readers get from the order of first entries: a function that is
 * listed without any calls is written, too. */
static void encode_stats(void *context, uint32_t position)
{
	struct kb_calls_writer *writer = context;
	uint32_t id = writer->calls->listed[position];
	const struct kb_call_stats *stats = &writer->calls->functions[id].stats;

	if (!changed(&writer->stats, position, stats, sizeof(*stats)) &&
	    position < writer->n_listed)
		return;
	put(writer, id);
	put_stats(writer, stats);
}

/* Without padding, for changed(). */
struct written_edge {
	struct kb_call_stats stats;
	uint64_t flags; /* 2: written */
};

static void encode_edge(void *context, uint32_t id)
{
	struct kb_calls_writer *writer = context;
	const struct kb_calls_edge *edge = &writer->calls->edges[id];
	uint64_t flags = edge->count_only ? KB_CALLS_EDGE_COUNT_ONLY : 0;
	struct written_edge written = { edge->stats, flags | 2 };

	if (!changed(&writer->edges, id, &written, sizeof(written)))
		return;
	put(writer, edge->caller);
	put(writer, edge->callee);
	put(writer, flags);
	put_stats(writer, &edge->stats);
}

static void encode_thread(void *context, uint32_t id)
{
	struct kb_calls_writer *writer = context;
	const struct kb_calls_thread *thread = &writer->calls->threads[id];

	if (!changed(&writer->threads, id, thread, sizeof(*thread)))
		return;
	put(writer, id);
	put_signed(writer, thread->pid);
	put_signed(writer, thread->tid);
	put(writer, thread->start_ns);
	put_string(writer, thread->process);
	put_string(writer, thread->command);
	put_string(writer, thread->python);
	put_string(writer, thread->name);
	put_string(writer, thread->python_name);
}

static void encode_part(void *context, uint32_t id)
{
	struct kb_calls_writer *writer = context;
	const struct kb_calls_part *part = &writer->calls->parts[id];

	if (!changed(&writer->parts, id, &part->stats, sizeof(part->stats)))
		return;
	put(writer, part->thread);
	put(writer, part->caller == KB_ID_NONE ? 0 : (uint64_t)part->caller + 1);
	put(writer, part->callee);
	put_stats(writer, &part->stats);
}

static void encode_source(void *context, uint32_t id)
{
	struct kb_calls_writer *writer = context;

	put_string(writer, writer->calls->sources[id]);
}

static struct kb_error *write_new(struct kb_calls_writer *writer, enum kb_section_type type,
				  bool ids, uint32_t *done, uint32_t n, kb_section_encode_fn encode)
{
	uint32_t from = *done;

	*done = n;
	return kb_section_writer__table(&writer->sections, type, ids, from, n, encode, writer);
}

static struct kb_error *write_changed(struct kb_calls_writer *writer, enum kb_section_type type,
				      struct kb_section_shadow *shadow, uint32_t n, size_t size,
				      kb_section_encode_fn encode)
{
	KB_TRY(kb_section_shadow__extend(shadow, n, size));
	return kb_section_writer__table(&writer->sections, type, false, 0, n, encode, writer);
}

/* ---- what is written whole when it changed */

static struct kb_error *write_meta(struct kb_calls_writer *writer)
{
	const struct kb_calls_meta *meta = &writer->calls->meta;

	put(writer, meta->timing);
	put(writer, meta->clock);
	put(writer, meta->unit);
	put(writer, (meta->builtins ? KB_CALLS_META_BUILTINS : 0) |
			    (meta->incomplete ? KB_CALLS_META_INCOMPLETE : 0));
	put_signed(writer, meta->start_unix_ns);
	put(writer, meta->duration_ns);
	put(writer, meta->n_windows);
	put(writer, meta->traced_ns);
	put_real(writer, writer->calls->squared_seconds);
	put_string(writer, meta->target);
	put_string(writer, meta->host);
	put_string(writer, meta->version);
	put_string(writer, meta->python);
	return kb_section_writer__emit_changed(&writer->sections, KB_SECTION_CALLS_META,
					       &writer->meta);
}

static void encode_spread(void *context, uint32_t position)
{
	struct kb_calls_writer *writer = context;
	uint32_t id = writer->calls->listed[position];
	const struct kb_calls_spread *spread = &writer->calls->spreads[id];

	put(writer, id);
	put(writer, spread->at_window);
	put_real(writer, spread->squares);
	put_real(writer, spread->products);
}

/* They change with every window. */
static struct kb_error *write_spreads(struct kb_calls_writer *writer)
{
	if (!writer->calls->meta.n_windows)
		return NULL;
	return kb_section_writer__table(&writer->sections, KB_SECTION_CALLS_SPREADS, false, 0,
					writer->calls->n_listed, encode_spread, writer);
}

static struct kb_error *write_chosen(struct kb_calls_writer *writer)
{
	for (uint32_t i = 0; i < writer->calls->n_chosen; i++) {
		const struct kb_calls_chosen *chosen = &writer->calls->chosen[i];

		put(writer, i);
		put_string(writer, chosen->name);
		put(writer, chosen->function == KB_ID_NONE ? 0 : (uint64_t)chosen->function + 1);
		put_string(writer, chosen->remark);
		put(writer, chosen->n);
		put_real(writer, chosen->sum);
		put(writer, chosen->n_buckets);
		for (uint32_t j = 0; j < chosen->n_buckets; j++)
			put(writer, chosen->buckets[j]);
	}
	return kb_section_writer__emit_changed(&writer->sections, KB_SECTION_CALLS_CHOSEN,
					       &writer->chosen);
}

static struct kb_error *write_ledger(struct kb_calls_writer *writer)
{
	for (size_t i = 0; i < writer->calls->n_ledger; i++) {
		const struct kb_ledger_entry *entry = &writer->calls->ledger[i];

		put_string(writer, entry->name);
		put_string(writer, entry->text);
		put(writer, (entry->reported ? KB_CALLS_LEDGER_REPORTED : 0) |
				    (entry->note ? KB_CALLS_LEDGER_NOTE : 0));
		put(writer, entry->count);
	}
	return kb_section_writer__emit_changed(&writer->sections, KB_SECTION_CALLS_LEDGER,
					       &writer->ledger);
}

static struct kb_error *write_all(struct kb_calls_writer *w)
{
	const struct kb_calls *calls = w->calls;

	KB_TRY(write_new(w, KB_SECTION_STRINGS, true, &w->n_strings,
			 kb_strpool__count(calls->strings), encode_string));
	KB_TRY(write_meta(w));
	KB_TRY(write_new(w, KB_SECTION_CALLS_SOURCES, false, &w->n_sources, calls->n_sources,
			 encode_source));
	KB_TRY(write_changed(w, KB_SECTION_CALLS_THREADS, &w->threads, calls->n_threads,
			     sizeof(*calls->threads), encode_thread));
	KB_TRY(write_new(w, KB_SECTION_CALLS_FUNCTIONS, true, &w->n_functions, calls->n_functions,
			 encode_function));
	KB_TRY(write_changed(w, KB_SECTION_CALLS_STATS, &w->stats, calls->n_listed,
			     sizeof(struct kb_call_stats), encode_stats));
	w->n_listed = calls->n_listed;
	KB_TRY(write_changed(w, KB_SECTION_CALLS_EDGES, &w->edges, calls->n_edges,
			     sizeof(struct written_edge), encode_edge));
	KB_TRY(write_changed(w, KB_SECTION_CALLS_PARTS, &w->parts, calls->n_parts,
			     sizeof(struct kb_call_stats), encode_part));
	KB_TRY(write_spreads(w));
	if (calls->n_chosen)
		KB_TRY(write_chosen(w));
	return write_ledger(w);
}

/* ---- model/calls_recording.h */

struct kb_error *kb_calls_writer__create(FILE *stream, struct kb_calls_writer **writer)
{
	struct kb_calls_writer *fresh = calloc(1, sizeof(*fresh));
	struct kb_error *err;

	if (!fresh)
		return kb_error__no_memory();
	kb_buf__init(&fresh->meta, KB_SECTION_RAW_MAX);
	kb_buf__init(&fresh->chosen, KB_SECTION_RAW_MAX);
	kb_buf__init(&fresh->ledger, KB_SECTION_RAW_MAX);
	err = kb_section_writer__init(&fresh->sections, stream);
	if (err) {
		kb_calls_writer__destroy(fresh);
		return err;
	}
	*writer = fresh;
	return NULL;
}

struct kb_error *kb_calls_writer__flush(struct kb_calls_writer *writer,
					const struct kb_calls *calls)
{
	struct kb_error *err;

	KB_TRY(kb_section_writer__check(&writer->sections));
	writer->calls = calls;
	err = write_all(writer);
	writer->calls = NULL;
	if (err) {
		/* The tables of what was written say more than was. */
		writer->sections.broken = true;
		return err;
	}
	return kb_section_writer__flush(&writer->sections);
}

struct kb_error *kb_calls_writer__finish(struct kb_calls_writer *writer,
					 const struct kb_calls *calls)
{
	KB_TRY(kb_calls_writer__flush(writer, calls));
	return kb_section_writer__end(&writer->sections, calls->total.ncalls);
}

void kb_calls_writer__destroy(struct kb_calls_writer *writer)
{
	if (!writer)
		return;
	kb_section_writer__free(&writer->sections);
	kb_buf__free(&writer->meta);
	kb_buf__free(&writer->chosen);
	kb_buf__free(&writer->ledger);
	free(writer->stats.elements);
	free(writer->edges.elements);
	free(writer->threads.elements);
	free(writer->parts.elements);
	free(writer);
}
