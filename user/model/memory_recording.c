// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allocations in recordings: docs/RECORDING_FORMAT.md, types 64 to 67. */
#include "base/error.h"
#include "base/varint.h"
#include "model/memory.h"
#include "model/private.h"
#include "model/recording_decode.h"
#include "model/recording_values.h"
#include "model/section_writer.h"

/* ---------------------------------------------------------------- writing */

struct writing {
	const struct kb_memory *memory;
	struct kb_buf *raw;
};

static void put(struct writing *w, uint64_t value)
{
	kb_varint__put(w->raw, value);
}

static void encode_process(void *context, uint32_t id)
{
	struct writing *w = context;
	const struct kb_memory_process_info *info = kb_memory__process(w->memory, id);

	put(w, info->process);
	put(w, info->way);
	for (int i = 0; i < KB_MEMORY_GROUPS; i++) {
		put(w, info->sums[i].current);
		put(w, info->sums[i].blocks);
		put(w, info->sums[i].peak);
		put(w, info->sums[i].peak_blocks);
		put(w, info->sums[i].total);
		put(w, info->sums[i].total_blocks);
	}
	put(w, info->frees);
	put(w, info->frees_before);
	put(w, info->lost_blocks);
	put(w, info->lost_bytes);
	put(w, info->unfinished);
	put(w, info->attached_ns);
	put(w, info->rss);
	put(w, info->rss_peak);
	put(w, info->minor_faults);
	put(w, info->major_faults);
}

static void encode_entry(void *context, uint32_t id)
{
	struct writing *w = context;
	const struct kb_memory_entry *entry = &kb_memory__entries(w->memory)[id];

	put(w, entry->process);
	put(w, entry->node);
	put(w, entry->domain);
	put(w, entry->live_bytes);
	put(w, entry->live_blocks);
	put(w, entry->peak_bytes);
	put(w, entry->peak_blocks);
	put(w, entry->total_bytes);
	put(w, entry->total_blocks);
}

static void encode_blocks(void *context, uint32_t id)
{
	struct writing *w = context;
	const struct kb_memory_blocks *blocks = &kb_memory__blocks(w->memory)[id];

	put(w, blocks->entry);
	put(w, blocks->size);
	put(w, blocks->count);
	put(w, blocks->oldest_ns);
	put(w, blocks->newest_ns);
}

struct kb_error *kb_memory__write(const struct kb_memory *memory, struct kb_section_writer *writer)
{
	struct writing w = { memory, &writer->raw };

	put(&w, kb_memory__frames_max(memory));
	put(&w, kb_memory__taken_ns(memory));
	KB_TRY(kb_section_writer__emit(writer, KB_SECTION_MEMORY));
	KB_TRY(kb_section_writer__table(writer, KB_SECTION_MEMORY_PROCESSES, false, 0,
					kb_memory__n_processes(memory), encode_process, &w));
	KB_TRY(kb_section_writer__table(writer, KB_SECTION_MEMORY_ENTRIES, false, 0,
					kb_memory__n_entries(memory), encode_entry, &w));
	return kb_section_writer__table(writer, KB_SECTION_MEMORY_BLOCKS, false, 0,
					kb_memory__n_blocks(memory), encode_blocks, &w);
}

/* ---------------------------------------------------------------- reading */

#define FRAMES_MAX 4096 /* more than any limit of ours */

static struct kb_error *decode_memory(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_memory_head head = {};

	if (decoder->calls)
		return kb_failed("allocations in a recording of calls");
	KB_TRY(kb_entry__id(cursor, "number of frames", FRAMES_MAX, &head.frames_max));
	KB_TRY(kb_entry__u64(cursor, &head.taken_ns));
	return kb_memory__begin(decoder->profile, &head) ? NULL : kb_error__no_memory();
}

/* The head comes first. */
static struct kb_error *find_memory(struct kb_decoder *decoder, struct kb_memory **memory)
{
	*memory = decoder->calls ? NULL : decoder->profile->memory;
	return *memory ? NULL : kb_failed("no section of type %d before it", KB_SECTION_MEMORY);
}

static struct kb_error *decode_process(struct kb_decoder *decoder, struct kb_cursor *cursor,
				       struct kb_memory *memory)
{
	struct kb_memory_process_info info = {};
	uint32_t way;

	KB_TRY(kb_entry__id(cursor, "process", decoder->profile->n_processes, &info.process));
	KB_TRY(kb_entry__id(cursor, "way", KB_MEMORY_WAY_GROWTH + 1, &way));
	info.way = way;
	for (int i = 0; i < KB_MEMORY_GROUPS; i++) {
		KB_TRY(kb_entry__u64(cursor, &info.sums[i].current));
		KB_TRY(kb_entry__u64(cursor, &info.sums[i].blocks));
		KB_TRY(kb_entry__u64(cursor, &info.sums[i].peak));
		KB_TRY(kb_entry__u64(cursor, &info.sums[i].peak_blocks));
		KB_TRY(kb_entry__u64(cursor, &info.sums[i].total));
		KB_TRY(kb_entry__u64(cursor, &info.sums[i].total_blocks));
	}
	KB_TRY(kb_entry__u64(cursor, &info.frees));
	KB_TRY(kb_entry__u64(cursor, &info.frees_before));
	KB_TRY(kb_entry__u64(cursor, &info.lost_blocks));
	KB_TRY(kb_entry__u64(cursor, &info.lost_bytes));
	KB_TRY(kb_entry__u64(cursor, &info.unfinished));
	KB_TRY(kb_entry__u64(cursor, &info.attached_ns));
	KB_TRY(kb_entry__u64(cursor, &info.rss));
	KB_TRY(kb_entry__u64(cursor, &info.rss_peak));
	KB_TRY(kb_entry__u64(cursor, &info.minor_faults));
	KB_TRY(kb_entry__u64(cursor, &info.major_faults));
	return kb_memory__add_process(memory, &info) ? NULL : kb_failed("more processes than fit");
}

static struct kb_error *decode_memory_processes(struct kb_decoder *decoder,
						struct kb_cursor *cursor)
{
	struct kb_memory *memory;

	KB_TRY(find_memory(decoder, &memory));
	while (cursor->at < cursor->end)
		KB_TRY(decode_process(decoder, cursor, memory));
	return NULL;
}

static struct kb_error *decode_memory_entries(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_memory *memory;

	KB_TRY(find_memory(decoder, &memory));
	while (cursor->at < cursor->end) {
		struct kb_memory_entry entry = {};
		uint32_t domain, expected = kb_memory__n_entries(memory);

		KB_TRY(kb_entry__id(cursor, "process", decoder->profile->n_processes,
				    &entry.process));
		KB_TRY(kb_entry__id(cursor, "node", decoder->profile->tree.n_nodes, &entry.node));
		KB_TRY(kb_entry__id(cursor, "domain", KB_MEMORY_DOMAINS, &domain));
		entry.domain = domain;
		KB_TRY(kb_entry__u64(cursor, &entry.live_bytes));
		KB_TRY(kb_entry__u64(cursor, &entry.live_blocks));
		KB_TRY(kb_entry__u64(cursor, &entry.peak_bytes));
		KB_TRY(kb_entry__u64(cursor, &entry.peak_blocks));
		KB_TRY(kb_entry__u64(cursor, &entry.total_bytes));
		KB_TRY(kb_entry__u64(cursor, &entry.total_blocks));
		if (kb_memory__add_entry(memory, &entry) != expected)
			return kb_failed("entry %u repeats another, or does not fit", expected);
	}
	return NULL;
}

static struct kb_error *decode_memory_blocks(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_memory *memory;

	KB_TRY(find_memory(decoder, &memory));
	while (cursor->at < cursor->end) {
		struct kb_memory_blocks blocks = {};

		KB_TRY(kb_entry__id(cursor, "entry", kb_memory__n_entries(memory), &blocks.entry));
		KB_TRY(kb_entry__u64(cursor, &blocks.size));
		KB_TRY(kb_entry__u64(cursor, &blocks.count));
		KB_TRY(kb_entry__u64(cursor, &blocks.oldest_ns));
		KB_TRY(kb_entry__u64(cursor, &blocks.newest_ns));
		if (!blocks.count)
			return kb_failed("blocks that are none");
		if (!kb_memory__add_blocks(memory, &blocks))
			return kb_failed("more sizes of blocks than fit");
	}
	return NULL;
}

static const struct kb_section_kind kinds[] = {
#define X(symbol, number, name) { number, #name, decode_##name },
	KB_MEMORY_SECTION_TABLE(X)
#undef X
};

const struct kb_section_kind *kb_memory_section_kind__find(uint32_t type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}
