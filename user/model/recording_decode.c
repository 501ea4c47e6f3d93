// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The contents of sections may be hostile: every id is checked against the table it points into,
 * every count against what is left of the section, and the limits of the profile bound what all
 * sections together can make it allocate.
 */
#include <math.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "model/recording_values.h"
#include "model/recording_format.h"

/* ---- sections */

static struct kb_error *decode_meta(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_profile_meta meta = { sizeof(meta) };
	uint64_t flags;
	uint32_t clock;

	KB_TRY(kb_entry__id(cursor, "clock", KB_CLOCK_TICK + 1, &clock));
	KB_TRY(kb_entry__real(cursor, &meta.rate_hz));
	if (!isfinite(meta.rate_hz) || meta.rate_hz < 0)
		return kb_failed("rate is not a number of samples");
	KB_TRY(kb_entry__u64(cursor, &flags));
	meta.start_unix_ns = kb_varint__get_signed(cursor);
	KB_TRY(kb_entry__u64(cursor, &meta.duration_ns));
	KB_TRY(kb_entry__string(decoder, cursor, &meta.target));
	KB_TRY(kb_entry__string(decoder, cursor, &meta.host));
	KB_TRY(kb_entry__string(decoder, cursor, &meta.kernel));
	KB_TRY(kb_entry__string(decoder, cursor, &meta.version));
	meta.clock = clock;
	meta.mode = decoder->profile->meta.mode;
	meta.unit = decoder->profile->meta.unit;
	meta.jitter = flags & KB_META_JITTER;
	meta.incomplete = flags & KB_META_INCOMPLETE;
	decoder->meta_seen = true;
	return kb_profile__set_meta(decoder->profile, &meta);
}

/* What the samples are about, where it is not time on a CPU. */
static struct kb_error *decode_mode(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	uint32_t mode, unit;

	KB_TRY(kb_entry__id(cursor, "mode", KB_MODE_TASKS + 1, &mode));
	KB_TRY(kb_entry__id(cursor, "unit", KB_UNIT_NS + 1, &unit));
	decoder->profile->meta.mode = mode;
	decoder->profile->meta.unit = unit;
	return NULL;
}

static struct kb_error *decode_string(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	char text[KB_PROFILE_STRING_MAX + 1];
	uint64_t size = kb_varint__get(cursor);
	const uint8_t *bytes = kb_cursor__take(cursor, size);
	const char **strings, *interned;

	if (!bytes)
		return kb_entry__cut_short();
	if (size > KB_PROFILE_STRING_MAX)
		return kb_failed("string %u has %llu bytes", decoder->n_strings,
				 (unsigned long long)size);
	memcpy(text, bytes, size);
	text[size] = 0;
	if (strlen(text) != size)
		return kb_failed("string %u has a zero byte in it", decoder->n_strings);
	interned = kb_profile__intern(decoder->profile, text);
	strings = kb_array__grow(decoder->strings, &decoder->strings_capacity,
				 decoder->n_strings + 1, sizeof(*strings), KB_PROFILE_STRINGS_MAX);
	if (strings)
		decoder->strings = strings;
	if (!interned || !strings)
		return kb_failed("more than fit: string %u", decoder->n_strings);
	if (strcmp(interned, text))
		return kb_failed("string %u is not UTF-8", decoder->n_strings);
	strings[decoder->n_strings++] = interned;
	return NULL;
}

static struct kb_error *decode_strings(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	KB_TRY(kb_entry__first(cursor, decoder->n_strings));
	while (cursor->at < cursor->end)
		KB_TRY(decode_string(decoder, cursor));
	return NULL;
}

/* An entry with a known id is the same process again, with strings that were empty before. */
static struct kb_error *decode_processes(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_profile *profile = decoder->profile;

	while (cursor->at < cursor->end) {
		struct kb_process_info info = { sizeof(info) };
		uint32_t id;

		KB_TRY(kb_entry__id(cursor, "process", profile->n_processes + 1, &id));
		KB_TRY(kb_entry__i32(cursor, "PID", &info.pid));
		KB_TRY(kb_entry__i32(cursor, "PID", &info.ns_pid));
		KB_TRY(kb_entry__i32(cursor, "PID", &info.parent));
		KB_TRY(kb_entry__u64(cursor, &info.start_ns));
		KB_TRY(kb_entry__u64(cursor, &info.cgroup));
		KB_TRY(kb_entry__string(decoder, cursor, &info.comm));
		KB_TRY(kb_entry__string(decoder, cursor, &info.command));
		KB_TRY(kb_entry__string(decoder, cursor, &info.python));
		KB_TRY(kb_entry__check_added("process", kb_profile__add_process(profile, &info),
					     id));
	}
	return NULL;
}

static struct kb_error *decode_threads(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_profile *profile = decoder->profile;

	while (cursor->at < cursor->end) {
		struct kb_thread_info info = { sizeof(info) };
		uint32_t id;

		KB_TRY(kb_entry__id(cursor, "thread", profile->n_threads + 1, &id));
		KB_TRY(kb_entry__id(cursor, "process", profile->n_processes, &info.process));
		KB_TRY(kb_entry__i32(cursor, "TID", &info.tid));
		KB_TRY(kb_entry__i32(cursor, "TID", &info.ns_tid));
		KB_TRY(kb_entry__string(decoder, cursor, &info.name));
		KB_TRY(kb_entry__check_added("thread", kb_profile__add_thread(profile, &info), id));
	}
	return NULL;
}

static struct kb_error *decode_thread_names(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_profile *profile = decoder->profile;

	while (cursor->at < cursor->end) {
		uint32_t thread;

		KB_TRY(kb_entry__id(cursor, "thread", profile->n_threads, &thread));
		KB_TRY(kb_entry__string(decoder, cursor, &profile->threads[thread].python_name));
	}
	return NULL;
}

static struct kb_error *decode_functions(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_code_table *code = &decoder->profile->code;

	KB_TRY(kb_entry__first(cursor, code->n_functions));
	while (cursor->at < cursor->end) {
		struct kb_function_info info = { sizeof(info) };
		uint32_t kind, expected = code->n_functions;

		KB_TRY(kb_entry__id(cursor, "kind of function", KB_FRAME_KERNEL + 1, &kind));
		KB_TRY(kb_entry__string(decoder, cursor, &info.file));
		KB_TRY(kb_entry__string(decoder, cursor, &info.name));
		KB_TRY(kb_entry__i32(cursor, "line", &info.first_line));
		info.kind = kind;
		KB_TRY(kb_entry__check_added("function", kb_code_table__add_function(code, &info),
					     expected));
	}
	return NULL;
}

static struct kb_error *decode_any_frames(struct kb_decoder *decoder, struct kb_cursor *cursor,
					  bool opcodes)
{
	struct kb_code_table *code = &decoder->profile->code;

	KB_TRY(kb_entry__first(cursor, code->n_frames));
	while (cursor->at < cursor->end) {
		uint32_t function, expected = code->n_frames;
		const char *opcode = code->no_opcode;
		int32_t line;

		KB_TRY(kb_entry__id(cursor, "function", code->n_functions, &function));
		KB_TRY(kb_entry__i32(cursor, "line", &line));
		if (opcodes)
			KB_TRY(kb_entry__string(decoder, cursor, &opcode));
		KB_TRY(kb_entry__check_added(
			"frame", kb_code_table__add_frame(code, function, line, opcode), expected));
	}
	return NULL;
}

static struct kb_error *decode_frames(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	return decode_any_frames(decoder, cursor, false);
}

static struct kb_error *decode_opcode_frames(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	return decode_any_frames(decoder, cursor, true);
}

static struct kb_error *decode_nodes(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_profile *profile = decoder->profile;

	KB_TRY(kb_entry__first(cursor, profile->tree.n_nodes));
	while (cursor->at < cursor->end) {
		uint32_t distance, frame, expected = profile->tree.n_nodes;

		KB_TRY(kb_entry__id(cursor, "distance to the parent", expected + 1, &distance));
		KB_TRY(kb_entry__id(cursor, "frame", profile->code.n_frames, &frame));
		KB_TRY(kb_entry__check_added(
			"node",
			kb_profile__add_node(profile, distance ? expected - distance : KB_ID_NONE,
					     frame),
			expected));
	}
	return NULL;
}

static struct kb_error *decode_samples(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_profile *profile = decoder->profile;

	while (cursor->at < cursor->end) {
		uint32_t thread, node;
		uint64_t count;

		KB_TRY(kb_entry__id(cursor, "thread", profile->n_threads, &thread));
		KB_TRY(kb_entry__id(cursor, "node", profile->tree.n_nodes, &node));
		KB_TRY(kb_entry__u64(cursor, &count));
		if (!count)
			return kb_failed("a sample that counts nothing");
		if (!kb_profile__add_samples(profile, thread, node, count))
			return kb_failed("more samples than fit");
	}
	return NULL;
}

static struct kb_error *decode_moments(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_profile *profile = decoder->profile;

	while (cursor->at < cursor->end) {
		struct kb_moment moment = {};

		KB_TRY(kb_entry__u64(cursor, &moment.time_ns));
		KB_TRY(kb_entry__id(cursor, "thread", profile->n_threads, &moment.thread));
		KB_TRY(kb_entry__id(cursor, "node", profile->tree.n_nodes, &moment.node));
		KB_TRY(kb_entry__u64(cursor, &moment.count));
		KB_TRY(kb_entry__id(cursor, "flags", KB_MOMENT_OFF_CPU * 2, &moment.flags));
		if (!kb_profile__add_moment(profile, &moment))
			return kb_failed("more moments than fit");
	}
	return NULL;
}

static struct kb_error *find_reason(const struct kb_profile *profile, const uint8_t *name,
				    uint64_t size, size_t *index)
{
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		const char *known = kb_profile__ledger(profile, i).name;

		if (strlen(known) == size && !memcmp(known, name, size)) {
			*index = i;
			return NULL;
		}
	}
	/* Leaving it out would make a false sum. */
	return kb_failed("an entry that this version does not know: made by a newer keelback?");
}

/* The whole ledger as of then: the last one counts. */
static struct kb_error *decode_ledger(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	struct kb_profile *profile = decoder->profile;
	uint64_t ledger[KB_L_COUNT] = { 0 };

	while (cursor->at < cursor->end) {
		uint64_t size = kb_varint__get(cursor), count;
		const uint8_t *name = kb_cursor__take(cursor, size);
		size_t index;

		if (!name)
			return kb_entry__cut_short();
		KB_TRY(kb_entry__u64(cursor, &count));
		KB_TRY(find_reason(profile, name, size, &index));
		ledger[index] = count;
	}
	memcpy(profile->ledger, ledger, sizeof(ledger));
	return NULL;
}

static struct kb_error *check_calls(struct kb_calls *calls, uint64_t total)
{
	uint64_t read;

	kb_calls_decode__complete(calls, false);
	read = kb_calls__total(calls).ncalls;
	if (read != total)
		return kb_failed("%llu calls were read and %llu written", (unsigned long long)read,
				 (unsigned long long)total);
	return NULL;
}

static struct kb_error *decode_end(struct kb_decoder *decoder, struct kb_cursor *cursor)
{
	uint64_t total;

	KB_TRY(kb_entry__u64(cursor, &total));
	if (decoder->calls)
		return check_calls(decoder->calls, total);
	if (!decoder->meta_seen)
		return kb_failed("there was no meta section");
	if (total != decoder->profile->tree.total)
		return kb_failed("%llu samples were read and %llu written",
				 (unsigned long long)decoder->profile->tree.total,
				 (unsigned long long)total);
	return NULL;
}

static const struct kb_section_kind kinds[] = {
#define X(symbol, number, word) { number, #word, decode_##word },
	KB_SECTION_TABLE(X)
#undef X
};

const struct kb_section_kind *kb_section_kind__find(uint32_t type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return kb_calls_section_kind__find(type) ?: kb_memory_section_kind__find(type);
}
