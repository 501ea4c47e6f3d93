// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "base/hash.h"
#include "model/memory.h"
#include "model/private.h"

static const struct {
	const char *name;
	const char *text;
	enum kb_ledger_class class;
} ledger_table[KB_L_COUNT] = {
#define X(symbol, short_name, ledger_class, meaning)                                               \
	[KB_L_##symbol] = { short_name, meaning, KB_LEDGER_##ledger_class },
	KB_LEDGER_TABLE(X)
#undef X
};

/* ---- building */

const char *kb_profile__intern(struct kb_profile *profile, const char *text)
{
	return kb_text_pool__intern(profile->strings, text);
}

struct kb_error *kb_profile__set_meta(struct kb_profile *profile,
				      const struct kb_profile_meta *meta)
{
	struct kb_profile_meta copy = *meta;

	copy.size = sizeof(copy);
	copy.target = kb_profile__intern(profile, meta->target);
	copy.host = kb_profile__intern(profile, meta->host);
	copy.kernel = kb_profile__intern(profile, meta->kernel);
	copy.version = kb_profile__intern(profile, meta->version);
	if (!copy.target || !copy.host || !copy.kernel || !copy.version)
		return kb_error__no_memory();
	profile->meta = copy;
	return NULL;
}

struct kb_error *kb_profile__create(const struct kb_profile_meta *meta, struct kb_profile **profile)
{
	struct kb_profile *fresh = calloc(1, sizeof(*fresh));
	struct kb_error *err;

	if (!fresh)
		return kb_error__no_memory();
	fresh->strings = kb_strpool__create(KB_PROFILE_STRING_BYTES, KB_PROFILE_STRINGS_MAX);
	if (!fresh->strings || !kb_code_table__init(&fresh->code) ||
	    !(fresh->code.no_opcode = kb_profile__intern(fresh, ""))) {
		kb_profile__destroy(fresh);
		return kb_error__no_memory();
	}
	err = kb_profile__set_meta(fresh, meta);
	if (err) {
		kb_profile__destroy(fresh);
		return err;
	}
	*profile = fresh;
	return NULL;
}

void kb_profile__destroy(struct kb_profile *profile)
{
	if (!profile)
		return;
	kb_stack_tree__free(&profile->tree);
	kb_code_table__free(&profile->code);
	kb_index__free(&profile->process_index);
	kb_index__free(&profile->thread_index);
	free(profile->processes);
	free(profile->threads);
	free(profile->moments);
	kb_memory__destroy(profile->memory);
	kb_strpool__destroy(profile->strings);
	free(profile);
}

/* Puts more into *text when that is empty. Both are interned. */
static void fill_in(const char **text, const char *more)
{
	if (!**text)
		*text = more;
}

static uint64_t hash_process(const struct kb_process_info *info)
{
	uint64_t key[] = { info->start_ns, (uint32_t)info->pid };

	return kb_hash__bytes(key, sizeof(key));
}

static uint64_t process_hash(const void *owner, uint32_t id)
{
	return hash_process(&((const struct kb_profile *)owner)->processes[id]);
}

static bool process_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_process_info *a = &((const struct kb_profile *)owner)->processes[id];
	const struct kb_process_info *b = key;

	return a->pid == b->pid && a->start_ns == b->start_ns;
}

static uint32_t append_process(struct kb_profile *profile, const struct kb_process_info *info,
			       uint64_t hash)
{
	struct kb_process_info *processes = kb_array__grow(
		profile->processes, &profile->processes_capacity, profile->n_processes + 1,
		sizeof(*processes), KB_PROFILE_PROCESSES_MAX);

	if (!processes)
		return KB_ID_NONE;
	profile->processes = processes;
	processes[profile->n_processes] = *info;
	if (!kb_index__insert(&profile->process_index, hash, profile->n_processes, process_hash,
			      profile))
		return KB_ID_NONE;
	return profile->n_processes++;
}

uint32_t kb_profile__add_process(struct kb_profile *profile, const struct kb_process_info *info)
{
	struct kb_process_info copy = *info, *known;
	uint64_t hash = hash_process(info);
	uint32_t id;

	copy.size = sizeof(copy);
	copy.comm = kb_profile__intern(profile, info->comm);
	copy.command = kb_profile__intern(profile, info->command);
	copy.python = kb_profile__intern(profile, info->python);
	if (!copy.comm || !copy.command || !copy.python)
		return KB_ID_NONE;
	id = kb_index__find(&profile->process_index, hash, info, process_equal, profile);
	if (id == KB_INDEX_NONE)
		return append_process(profile, &copy, hash);
	known = &profile->processes[id];
	fill_in(&known->comm, copy.comm);
	fill_in(&known->command, copy.command);
	fill_in(&known->python, copy.python);
	return id;
}

static uint64_t hash_thread(const struct kb_thread_info *info)
{
	uint32_t key[] = { info->process, (uint32_t)info->tid };

	return kb_hash__bytes(key, sizeof(key));
}

static uint64_t thread_hash(const void *owner, uint32_t id)
{
	return hash_thread(&((const struct kb_profile *)owner)->threads[id]);
}

static bool thread_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_thread_info *a = &((const struct kb_profile *)owner)->threads[id];
	const struct kb_thread_info *b = key;

	return a->process == b->process && a->tid == b->tid;
}

static uint32_t append_thread(struct kb_profile *profile, const struct kb_thread_info *info,
			      uint64_t hash)
{
	struct kb_thread_info *threads =
		kb_array__grow(profile->threads, &profile->threads_capacity, profile->n_threads + 1,
			       sizeof(*threads), KB_PROFILE_THREADS_MAX);

	if (!threads)
		return KB_ID_NONE;
	profile->threads = threads;
	threads[profile->n_threads] = *info;
	if (!kb_index__insert(&profile->thread_index, hash, profile->n_threads, thread_hash,
			      profile))
		return KB_ID_NONE;
	return profile->n_threads++;
}

uint32_t kb_profile__add_thread(struct kb_profile *profile, const struct kb_thread_info *info)
{
	struct kb_thread_info copy = *info;
	uint64_t hash = hash_thread(info);
	uint32_t id;

	copy.size = sizeof(copy);
	copy.name = kb_profile__intern(profile, info->name);
	copy.python_name = kb_profile__intern(profile, info->python_name);
	if (!copy.name || !copy.python_name || info->process >= profile->n_processes)
		return KB_ID_NONE;
	id = kb_index__find(&profile->thread_index, hash, info, thread_equal, profile);
	if (id == KB_INDEX_NONE)
		return append_thread(profile, &copy, hash);
	fill_in(&profile->threads[id].name, copy.name);
	fill_in(&profile->threads[id].python_name, copy.python_name);
	if (!profile->threads[id].ns_tid)
		profile->threads[id].ns_tid = copy.ns_tid;
	return id;
}

static uint32_t add_function(struct kb_profile *profile, enum kb_frame_kind kind, const char *file,
			     const char *name, int32_t first_line)
{
	struct kb_function_info function = { sizeof(function), kind,
					     kb_profile__intern(profile, file),
					     kb_profile__intern(profile, name), first_line };

	if (!function.file || !function.name)
		return KB_ID_NONE;
	return kb_code_table__add_function(&profile->code, &function);
}

uint32_t kb_profile__add_code(struct kb_profile *profile, const struct kb_code_info *info)
{
	uint32_t function =
		add_function(profile, info->kind, info->file, info->name, info->first_line);

	return kb_code_table__add_code(&profile->code, function, info);
}

uint32_t kb_profile__add_frame(struct kb_profile *profile, uint32_t code, uint32_t lasti)
{
	return kb_code_table__frame_at(&profile->code, code, lasti);
}

uint32_t kb_profile__add_opcode(struct kb_profile *profile, uint32_t frame, const char *opcode)
{
	const char *name = kb_profile__intern(profile, opcode);
	const struct kb_frame_info *place;

	if (!name || frame >= profile->code.n_frames)
		return KB_ID_NONE;
	place = &profile->code.frames[frame];
	return kb_code_table__add_frame(&profile->code, place->function, place->line, name);
}

uint32_t kb_profile__add_place(struct kb_profile *profile, const struct kb_function_info *function,
			       int32_t line)
{
	uint32_t id = add_function(profile, function->kind, function->file, function->name,
				   function->first_line);

	return kb_code_table__add_frame(&profile->code, id, line, profile->code.no_opcode);
}

uint32_t kb_profile__add_node(struct kb_profile *profile, uint32_t parent, uint32_t frame)
{
	if (frame >= profile->code.n_frames)
		return KB_ID_NONE;
	return kb_stack_tree__add_node(&profile->tree, parent, frame);
}

bool kb_profile__add_samples(struct kb_profile *profile, uint32_t thread, uint32_t node,
			     uint64_t count)
{
	if (thread >= profile->n_threads)
		return false;
	return kb_stack_tree__add_samples(&profile->tree, thread, node, count);
}

bool kb_profile__add_moment(struct kb_profile *profile, const struct kb_moment *moment)
{
	struct kb_moment *moments;

	if (moment->thread >= profile->n_threads || moment->node >= profile->tree.n_nodes)
		return false;
	moments = kb_array__grow(profile->moments, &profile->moments_capacity,
				 profile->n_moments + 1, sizeof(*moments), KB_PROFILE_MOMENTS_MAX);
	if (!moments)
		return false;
	profile->moments = moments;
	moments[profile->n_moments++] = *moment;
	return true;
}

uint64_t kb_profile__ledger_get(const struct kb_profile *profile, enum kb_ledger_reason reason)
{
	return profile->ledger[reason];
}

void kb_profile__ledger_add(struct kb_profile *profile, enum kb_ledger_reason reason,
			    uint64_t count)
{
	if (__builtin_add_overflow(profile->ledger[reason], count, &profile->ledger[reason]))
		profile->ledger[reason] = UINT64_MAX;
}

void kb_profile__ledger_set(struct kb_profile *profile, enum kb_ledger_reason reason,
			    uint64_t count)
{
	profile->ledger[reason] = count;
}

/* ---- reading, keelback/profile.h */

const struct kb_profile_meta *kb_profile__meta(const struct kb_profile *profile)
{
	return &profile->meta;
}

double kb_profile__seconds(const struct kb_profile *profile, uint64_t count)
{
	const struct kb_profile_meta *meta = &profile->meta;

	if (meta->unit == KB_UNIT_NS)
		return count / 1e9;
	return meta->rate_hz > 0 ? count / meta->rate_hz : 0;
}

const char *kb_sample_mode__name(enum kb_sample_mode mode)
{
	static const char *const names[] = {
		"cpu", "wall", "gil", "gil-wait", "exception", "tasks"
	};

	return (size_t)mode < sizeof(names) / sizeof(names[0]) ? names[mode] : NULL;
}

uint32_t kb_profile__n_processes(const struct kb_profile *profile)
{
	return profile->n_processes;
}

const struct kb_process_info *kb_profile__process(const struct kb_profile *profile, uint32_t id)
{
	return &profile->processes[id];
}

uint32_t kb_profile__n_threads(const struct kb_profile *profile)
{
	return profile->n_threads;
}

const struct kb_thread_info *kb_profile__thread(const struct kb_profile *profile, uint32_t id)
{
	return &profile->threads[id];
}

uint32_t kb_profile__n_functions(const struct kb_profile *profile)
{
	return profile->code.n_functions;
}

const struct kb_function_info *kb_profile__function(const struct kb_profile *profile, uint32_t id)
{
	return &profile->code.functions[id];
}

uint32_t kb_profile__n_frames(const struct kb_profile *profile)
{
	return profile->code.n_frames;
}

const struct kb_frame_info *kb_profile__frame(const struct kb_profile *profile, uint32_t id)
{
	return &profile->code.frames[id];
}

uint32_t kb_profile__n_nodes(const struct kb_profile *profile)
{
	return profile->tree.n_nodes;
}

const struct kb_stack_node *kb_profile__nodes(const struct kb_profile *profile)
{
	return profile->tree.nodes;
}

uint32_t kb_profile__n_samples(const struct kb_profile *profile)
{
	return profile->tree.n_samples;
}

const struct kb_sample *kb_profile__samples(const struct kb_profile *profile)
{
	return profile->tree.samples;
}

uint64_t kb_profile__total(const struct kb_profile *profile)
{
	return profile->tree.total;
}

uint32_t kb_profile__n_moments(const struct kb_profile *profile)
{
	return profile->n_moments;
}

const struct kb_moment *kb_profile__moments(const struct kb_profile *profile)
{
	return profile->moments;
}

size_t kb_profile__n_ledger(const struct kb_profile *profile)
{
	return KB_L_COUNT;
}

struct kb_ledger_entry kb_profile__ledger(const struct kb_profile *profile, size_t index)
{
	enum kb_ledger_class class = ledger_table[index].class;

	return (struct kb_ledger_entry){
		.name = ledger_table[index].name,
		.text = ledger_table[index].text,
		.count = profile->ledger[index],
		.reported = class == KB_LEDGER_GOOD || class == KB_LEDGER_PARTIAL,
		.note = class == KB_LEDGER_NOTE,
	};
}

uint64_t kb_profile__attempted(const struct kb_profile *profile)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < KB_L_COUNT; i++)
		if (ledger_table[i].class != KB_LEDGER_NOTE &&
		    __builtin_add_overflow(sum, profile->ledger[i], &sum))
			return UINT64_MAX;
	return sum;
}
