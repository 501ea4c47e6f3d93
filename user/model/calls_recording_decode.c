// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The contents of sections of call statistics, as hostile as those in
 * recording_decode.c. Entries are absolute: they replace what came before.
 */
#include <math.h>
#include "base/error.h"
#include "model/calls_private.h"
#include "model/recording_format.h"
#include "model/recording_values.h"

static struct kb_error *full(const char *what)
{
	return kb_failed("more %s than fit", what);
}

/* The statistics that the recording is of; sections before their meta data make no sense. */
static struct kb_error *calls_of(const struct kb_decoder *decoder, struct kb_calls **calls)
{
	if (!decoder->calls)
		return kb_failed("there was no calls_meta section before");
	*calls = decoder->calls;
	return NULL;
}

static struct kb_error *get_real(struct kb_cursor *cursor, const char *what, double *number)
{
	KB_TRY(kb_entry__real(cursor, number));
	return isfinite(*number) ? NULL : kb_failed("%s is not a number", what);
}

static struct kb_error *get_stats(struct kb_cursor *cursor, struct kb_call_stats *stats)
{
	KB_TRY(kb_entry__u64(cursor, &stats->ncalls));
	KB_TRY(kb_entry__u64(cursor, &stats->primitive));
	KB_TRY(get_real(cursor, "tottime", &stats->tottime));
	return get_real(cursor, "cumtime", &stats->cumtime);
}

static struct kb_error *decode_calls_meta(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_calls_meta meta = { sizeof(meta) };
	uint32_t timing, clock, unit, flags, n_windows;
	uint64_t traced_ns;
	double squared;

	KB_TRY(kb_entry__id(cursor, "timing", KB_CALLS_MEASURED + 1, &timing));
	KB_TRY(kb_entry__id(cursor, "clock", KB_CALLS_CPU + 1, &clock));
	KB_TRY(kb_entry__id(cursor, "unit", KB_CALLS_SAMPLES + 1, &unit));
	KB_TRY(kb_entry__id(cursor, "flags", KB_CALLS_META_INCOMPLETE * 2, &flags));
	meta.start_unix_ns = kb_varint__get_signed(cursor);
	KB_TRY(kb_entry__u64(cursor, &meta.duration_ns));
	KB_TRY(kb_entry__id(cursor, "number of windows", UINT32_MAX, &n_windows));
	KB_TRY(kb_entry__u64(cursor, &traced_ns));
	KB_TRY(get_real(cursor, "sum of the windows' squares", &squared));
	KB_TRY(kb_entry__string(decoder, cursor, &meta.target));
	KB_TRY(kb_entry__string(decoder, cursor, &meta.host));
	KB_TRY(kb_entry__string(decoder, cursor, &meta.version));
	KB_TRY(kb_entry__string(decoder, cursor, &meta.python));
	meta.timing = timing;
	meta.clock = clock;
	meta.unit = unit;
	meta.builtins = flags & KB_CALLS_META_BUILTINS;
	meta.incomplete = flags & KB_CALLS_META_INCOMPLETE;
	if (decoder->calls)
		KB_TRY(kb_calls__set_meta(decoder->calls, &meta));
	else
		KB_TRY(kb_calls__create(&meta, &decoder->calls));
	decoder->calls->meta.n_windows = n_windows;
	decoder->calls->meta.traced_ns = traced_ns;
	decoder->calls->squared_seconds = squared;
	return NULL;
}

static struct kb_error *decode_calls_functions(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	KB_TRY(kb_entry__first(cursor, calls->n_functions));
	while (cursor->at < cursor->end) {
		uint32_t expected = calls->n_functions;
		const char *file, *name;
		int32_t line;

		KB_TRY(kb_entry__string(decoder, cursor, &file));
		KB_TRY(kb_entry__string(decoder, cursor, &name));
		KB_TRY(kb_entry__i32(cursor, "line", &line));
		KB_TRY(kb_entry__check_added(
			"function", kb_calls__add_function(calls, file, line, name), expected));
	}
	return NULL;
}

static struct kb_error *decode_calls_stats(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	static const struct kb_call_stats nothing;
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	while (cursor->at < cursor->end) {
		struct kb_call_stats stats;
		uint32_t id;

		KB_TRY(kb_entry__id(cursor, "function", calls->n_functions, &id));
		KB_TRY(get_stats(cursor, &stats));
		if (!kb_calls__add_stats(calls, KB_ID_NONE, id, &nothing))
			return full("functions");
		calls->functions[id].stats = stats;
	}
	return NULL;
}

static struct kb_error *decode_calls_edges(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	static const struct kb_call_stats nothing;
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	while (cursor->at < cursor->end) {
		struct kb_call_stats stats;
		uint32_t caller, callee, flags;

		KB_TRY(kb_entry__id(cursor, "caller", calls->n_functions, &caller));
		KB_TRY(kb_entry__id(cursor, "callee", calls->n_functions, &callee));
		KB_TRY(kb_entry__id(cursor, "flags", KB_CALLS_EDGE_COUNT_ONLY * 2, &flags));
		KB_TRY(get_stats(cursor, &stats));
		if (!kb_calls__add_edge(calls, KB_ID_NONE, caller, callee, &nothing))
			return full("pairs of caller and callee");
		calls->edges[kb_id_map__get(&calls->edge_ids, caller, callee)].stats = stats;
		if (flags & KB_CALLS_EDGE_COUNT_ONLY)
			kb_calls__mark_count_only(calls, caller, callee);
	}
	return NULL;
}

static struct kb_error *decode_calls_threads(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	while (cursor->at < cursor->end) {
		struct kb_calls_thread info = { sizeof(info) };
		uint32_t id;

		KB_TRY(kb_entry__id(cursor, "thread", calls->n_threads + 1, &id));
		KB_TRY(kb_entry__i32(cursor, "PID", &info.pid));
		KB_TRY(kb_entry__i32(cursor, "TID", &info.tid));
		KB_TRY(kb_entry__u64(cursor, &info.start_ns));
		KB_TRY(kb_entry__string(decoder, cursor, &info.process));
		KB_TRY(kb_entry__string(decoder, cursor, &info.command));
		KB_TRY(kb_entry__string(decoder, cursor, &info.python));
		KB_TRY(kb_entry__string(decoder, cursor, &info.name));
		KB_TRY(kb_entry__string(decoder, cursor, &info.python_name));
		KB_TRY(kb_entry__check_added("thread", kb_calls__add_thread(calls, &info), id));
	}
	return NULL;
}

static struct kb_error *decode_calls_parts(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	static const struct kb_call_stats nothing;
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	while (cursor->at < cursor->end) {
		struct kb_call_stats stats;
		uint32_t thread, caller, callee, id;

		KB_TRY(kb_entry__id(cursor, "thread", calls->n_threads, &thread));
		KB_TRY(kb_entry__id(cursor, "caller", calls->n_functions + 1, &caller));
		KB_TRY(kb_entry__id(cursor, "callee", calls->n_functions, &callee));
		KB_TRY(get_stats(cursor, &stats));
		caller = caller ? caller - 1 : KB_ID_NONE;
		if (!kb_calls__add_part(calls, thread, caller, callee, &nothing))
			return full("parts of threads");
		id = kb_id_map__get(&calls->part_ids, thread, (uint64_t)caller << 32 | callee);
		calls->parts[id].stats = stats;
	}
	return NULL;
}

static struct kb_error *decode_calls_spreads(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	while (cursor->at < cursor->end) {
		struct kb_calls_spread spread;
		uint32_t id;

		KB_TRY(kb_entry__id(cursor, "function", calls->n_functions, &id));
		KB_TRY(kb_entry__u64(cursor, &spread.at_window));
		KB_TRY(get_real(cursor, "sum of squares", &spread.squares));
		KB_TRY(get_real(cursor, "sum of products", &spread.products));
		calls->spreads[id] = spread;
	}
	return NULL;
}

static struct kb_error *decode_calls_ledger(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	while (cursor->at < cursor->end) {
		struct kb_ledger_entry entry;
		uint32_t flags;

		KB_TRY(kb_entry__string(decoder, cursor, &entry.name));
		KB_TRY(kb_entry__string(decoder, cursor, &entry.text));
		KB_TRY(kb_entry__id(cursor, "flags", KB_CALLS_LEDGER_NOTE * 2, &flags));
		KB_TRY(kb_entry__u64(cursor, &entry.count));
		entry.reported = flags & KB_CALLS_LEDGER_REPORTED;
		entry.note = flags & KB_CALLS_LEDGER_NOTE;
		if (!kb_calls__set_ledger(calls, &entry))
			return full("reasons");
	}
	return NULL;
}

static struct kb_error *decode_calls_sources(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	while (cursor->at < cursor->end) {
		const char *text;

		KB_TRY(kb_entry__string(decoder, cursor, &text));
		if (!kb_calls__add_source(calls, text))
			return full("sources");
	}
	return NULL;
}

static struct kb_error *decode_calls_chosen(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	uint64_t buckets[KB_CALLS_BUCKETS_MAX];
	struct kb_calls *calls;

	KB_TRY(calls_of(decoder, &calls));
	while (cursor->at < cursor->end) {
		struct kb_calls_chosen chosen = { .buckets = buckets };
		uint32_t index, function;

		KB_TRY(kb_entry__id(cursor, "chosen function", calls->n_chosen + 1, &index));
		KB_TRY(kb_entry__string(decoder, cursor, &chosen.name));
		KB_TRY(kb_entry__id(cursor, "function", calls->n_functions + 1, &function));
		chosen.function = function ? function - 1 : KB_ID_NONE;
		KB_TRY(kb_entry__string(decoder, cursor, &chosen.remark));
		KB_TRY(kb_entry__u64(cursor, &chosen.n));
		KB_TRY(get_real(cursor, "sum of latencies", &chosen.sum));
		KB_TRY(kb_entry__id(cursor, "number of buckets", KB_CALLS_BUCKETS_MAX + 1,
				    &chosen.n_buckets));
		for (uint32_t i = 0; i < chosen.n_buckets; i++)
			KB_TRY(kb_entry__u64(cursor, &buckets[i]));
		KB_TRY(kb_calls__set_chosen(calls, index, &chosen));
	}
	return NULL;
}

void kb_calls_decode__complete(struct kb_calls *calls, bool incomplete)
{
	calls->meta.incomplete |= incomplete;
	calls->total = (struct kb_call_stats){};
	for (uint32_t i = 0; i < calls->n_listed; i++) {
		const struct kb_call_stats *stats = &calls->functions[calls->listed[i]].stats;

		calls->total.ncalls = kb_calls__add_counts(calls->total.ncalls, stats->ncalls);
		calls->total.primitive =
			kb_calls__add_counts(calls->total.primitive, stats->primitive);
		calls->total.tottime += stats->tottime;
	}
}

static const struct kb_section_kind kinds[] = {
#define X(symbol, number, word) { number, #word, decode_##word },
	KB_CALLS_SECTION_TABLE(X)
#undef X
};

const struct kb_section_kind *kb_calls_section_kind__find(uint32_t type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}
