// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * pprof's profile.proto, gzipped, as `go tool pprof` and what else knows the format read it.
 *
 * A place is a frame of the profile, or a process or a thread that stands at the root when
 * that was asked for. A location is a place in a mapping: Python code has one for
 * each version of Python, native code one for each ELF file.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/strpool.h"
#include "base/text.h"
#include "format/label.h"
#include "format/pair_index.h"
#include "format/pprof_parts.h"
#include "format/writers.h"

#define KERNEL_MAPPING "[kernel.kallsyms]"
#define STRING_BYTES   (1u << 30) /* of all text; the profile holds a quarter of it */
#define MAPPINGS       (1u << 20)
#define TYPES	       2
#define LABELS_MAX     6

struct pprof {
	const struct kb_profile *profile;
	const struct kb_format_opts *opts;
	struct kb_pprof_parts parts;
	struct kb_strpool *mappings;	 /* by file name; the id of one is 1 + its id there */
	uint32_t n_python;		 /* of Python code, the first of them */
	uint32_t *mapping_of_process;	 /* of its Python code */
	struct kb_pair_index *locations; /* (place, mapping) */
	bool *function_used;		 /* of the profile */
	uint64_t *path;			 /* location ids of a stack */
	uint32_t path_capacity;
	bool counted, timed; /* which values a sample has */
};

/* ---------------------------------------------------------------- places */

static uint32_t place_of_thread(const struct pprof *pprof, uint32_t thread)
{
	return kb_profile__n_frames(pprof->profile) + thread;
}

static uint32_t place_of_process(const struct pprof *pprof, uint32_t process)
{
	return place_of_thread(pprof, kb_profile__n_threads(pprof->profile)) + process;
}

static uint32_t mapping(struct pprof *pprof, const char *file)
{
	uint32_t id = kb_strpool__add(pprof->mappings, file, strlen(file));

	if (id != KB_STRPOOL_NONE)
		return id + 1;
	kb_pprof_parts__no_memory(&pprof->parts);
	return 0;
}

/* Before all others: the first mapping gives the profile its name in pprof. */
static void map_processes(struct pprof *pprof)
{
	for (uint32_t i = 0; i < kb_profile__n_processes(pprof->profile); i++) {
		const char *version = kb_profile__process(pprof->profile, i)->python;
		char *name;

		if (asprintf(&name, *version ? "python %s" : "python", version) < 0) {
			kb_pprof_parts__no_memory(&pprof->parts);
			return;
		}
		pprof->mapping_of_process[i] = mapping(pprof, name);
		free(name);
	}
	pprof->n_python = kb_strpool__count(pprof->mappings);
}

static uint64_t location(struct pprof *pprof, uint32_t place, uint32_t in_mapping)
{
	struct kb_pair pair = { place, in_mapping };
	uint32_t id = 0;

	if (!pprof->parts.err)
		pprof->parts.err = kb_pair_index__add(pprof->locations, pair, &id);
	return (uint64_t)id + 1;
}

static uint64_t location_of_frame(struct pprof *pprof, uint32_t frame, uint32_t process)
{
	uint32_t function = kb_profile__frame(pprof->profile, frame)->function;
	const struct kb_function_info *info = kb_profile__function(pprof->profile, function);

	pprof->function_used[function] = true;
	switch (info->kind) {
	case KB_FRAME_PYTHON:
		return location(pprof, frame, pprof->mapping_of_process[process]);
	case KB_FRAME_NATIVE:
		return location(pprof, frame, *info->file ? mapping(pprof, info->file) : 0);
	case KB_FRAME_KERNEL:
		return location(pprof, frame, mapping(pprof, KERNEL_MAPPING));
	default:
		return location(pprof, frame, 0);
	}
}

/* ---------------------------------------------------------------- samples */

static void push(struct pprof *pprof, size_t *depth, uint64_t id)
{
	uint64_t *path = kb_array__grow(pprof->path, &pprof->path_capacity, (uint32_t)*depth + 1,
					sizeof(*path), UINT32_MAX);

	if (!path) {
		kb_pprof_parts__no_memory(&pprof->parts);
		return;
	}
	pprof->path = path;
	path[(*depth)++] = id;
}

static size_t make_path(struct pprof *pprof, const struct kb_sample *sample, uint32_t process)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(pprof->profile);
	size_t depth = 0;

	for (uint32_t at = sample->node; at != KB_ID_NONE; at = nodes[at].parent)
		push(pprof, &depth, location_of_frame(pprof, nodes[at].frame, process));
	if (pprof->opts->threads)
		push(pprof, &depth, location(pprof, place_of_thread(pprof, sample->thread), 0));
	if (pprof->opts->processes)
		push(pprof, &depth, location(pprof, place_of_process(pprof, process), 0));
	return depth;
}

static void add_label(KbPprof__Sample *sample, int64_t key, int64_t text, int64_t number)
{
	KbPprof__Label *label = sample->label[sample->n_label++];

	kb_pprof__label__init(label);
	label->key = key;
	label->str = text;
	label->num = number;
}

static void add_text_label(struct pprof *pprof, KbPprof__Sample *sample, const char *key,
			   const char *text)
{
	if (*text)
		add_label(sample, kb_pprof_parts__string(&pprof->parts, key),
			  kb_pprof_parts__string(&pprof->parts, text), 0);
}

static const struct kb_frame_info *leaf_of(const struct kb_profile *profile,
					   const struct kb_sample *sample)
{
	return kb_profile__frame(profile, kb_profile__nodes(profile)[sample->node].frame);
}

static int64_t nanoseconds(const struct pprof *pprof, uint64_t count)
{
	double ns = kb_profile__seconds(pprof->profile, count) * KB_NS_PER_SECOND;

	if (kb_profile__meta(pprof->profile)->unit == KB_UNIT_NS)
		return kb_pprof_parts__number(count);
	return ns < 9e18 ? llround(ns) : INT64_MAX;
}

static void write_sample(struct pprof *pprof, const struct kb_sample *sample)
{
	const struct kb_thread_info *thread = kb_profile__thread(pprof->profile, sample->thread);
	const struct kb_process_info *process =
		kb_profile__process(pprof->profile, thread->process);
	KbPprof__Label labels[LABELS_MAX], *label_list[LABELS_MAX];
	KbPprof__Sample message, *list = &message;
	KbPprof__Profile part;
	int64_t values[TYPES];

	kb_pprof__sample__init(&message);
	message.n_location_id = make_path(pprof, sample, thread->process);
	message.location_id = pprof->path;
	message.value = values;
	if (pprof->counted)
		values[message.n_value++] = kb_pprof_parts__number(sample->count);
	if (pprof->timed)
		values[message.n_value++] = nanoseconds(pprof, sample->count);
	for (size_t i = 0; i < LABELS_MAX; i++)
		label_list[i] = &labels[i];
	message.label = label_list;
	add_label(&message, kb_pprof_parts__string(&pprof->parts, "pid"), 0, process->pid);
	add_label(&message, kb_pprof_parts__string(&pprof->parts, "tid"), 0, thread->tid);
	add_text_label(pprof, &message, "process", process->comm);
	add_text_label(pprof, &message, "thread", kb_label__of_thread(thread).name);
	add_text_label(pprof, &message, "python", process->python);
	add_text_label(pprof, &message, "opcode", leaf_of(pprof->profile, sample)->opcode);

	kb_pprof__profile__init(&part);
	part.n_sample = 1;
	part.sample = &list;
	kb_pprof_parts__write(&pprof->parts, &part);
}

/* ---------------------------------------------------------------- tables */

static void write_functions(struct pprof *pprof)
{
	for (uint32_t i = 0; i < kb_profile__n_functions(pprof->profile); i++) {
		const struct kb_function_info *info = kb_profile__function(pprof->profile, i);
		/* The file of native code is that of its mapping, not a source file. */
		const char *file = info->kind == KB_FRAME_PYTHON ? info->file : "";

		if (pprof->function_used[i])
			kb_pprof_parts__function(
				&pprof->parts, (uint64_t)i + 1,
				kb_pprof_parts__string(&pprof->parts,
						       *info->name ? info->name : "?"),
				kb_pprof_parts__string(&pprof->parts, file), info->first_line);
	}
}

/* A process or a thread is a function of its own. Returns its id. */
static uint64_t write_group_function(struct pprof *pprof, uint32_t place)
{
	uint64_t id = (uint64_t)kb_profile__n_functions(pprof->profile) + place + 1;
	int64_t name;

	if (place >= place_of_process(pprof, 0)) {
		const struct kb_process_info *process =
			kb_profile__process(pprof->profile, place - place_of_process(pprof, 0));

		name = kb_pprof_parts__stringf(&pprof->parts, "process %" PRId32 " %s",
					       process->pid, process->comm);
	} else {
		const struct kb_thread_info *thread =
			kb_profile__thread(pprof->profile, place - place_of_thread(pprof, 0));

		name = kb_pprof_parts__stringf(&pprof->parts, "thread %" PRId32 " %s", thread->tid,
					       kb_label__of_thread(thread).name);
	}
	kb_pprof_parts__function(&pprof->parts, id, name, 0, 0);
	return id;
}

static void write_location(struct pprof *pprof, uint32_t id)
{
	struct kb_pair pair = kb_pair_index__pairs(pprof->locations)[id];
	KbPprof__Location message, *list = &message;
	KbPprof__Line line, *line_list = &line;
	KbPprof__Profile part;

	kb_pprof__line__init(&line);
	if (pair.first < place_of_thread(pprof, 0)) {
		const struct kb_frame_info *frame = kb_profile__frame(pprof->profile, pair.first);

		line.function_id = (uint64_t)frame->function + 1;
		line.line = frame->line > 0 ? frame->line : 0;
	} else {
		line.function_id = write_group_function(pprof, pair.first);
	}
	kb_pprof__location__init(&message);
	message.id = (uint64_t)id + 1;
	message.mapping_id = pair.second;
	message.n_line = 1;
	message.line = &line_list;
	kb_pprof__profile__init(&part);
	part.n_location = 1;
	part.location = &list;
	kb_pprof_parts__write(&pprof->parts, &part);
}

static void write_mapping(struct pprof *pprof, uint32_t id)
{
	const char *file = kb_strpool__at(pprof->mappings, id);

	kb_pprof_parts__mapping(&pprof->parts, (uint64_t)id + 1,
				kb_pprof_parts__string(&pprof->parts, file), id < pprof->n_python);
}

static void write_tables(struct pprof *pprof)
{
	for (uint32_t i = 0; i < kb_pair_index__count(pprof->locations) && !pprof->parts.err; i++)
		write_location(pprof, i);
	write_functions(pprof);
	for (uint32_t i = 0; i < kb_strpool__count(pprof->mappings) && !pprof->parts.err; i++)
		write_mapping(pprof, i);
}

/* ---------------------------------------------------------------- head */

static void write_comments(struct pprof *pprof)
{
	const struct kb_profile_meta *meta = kb_profile__meta(pprof->profile);

	kb_pprof_parts__comment(
		&pprof->parts,
		kb_pprof_parts__stringf(&pprof->parts, "keelback %s: %s on %s, Linux %s",
					meta->version, meta->target, meta->host, meta->kernel));
	kb_pprof_parts__comment(
		&pprof->parts, kb_pprof_parts__stringf(&pprof->parts, "samples attempted: %" PRIu64,
						       kb_profile__attempted(pprof->profile)));
	for (size_t i = 0; i < kb_profile__n_ledger(pprof->profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(pprof->profile, i);

		if (entry.count)
			kb_pprof_parts__comment(&pprof->parts,
						kb_pprof_parts__stringf(&pprof->parts,
									"%s%s: %" PRIu64,
									entry.note ? "note " : "",
									entry.name, entry.count));
	}
	if (meta->incomplete)
		kb_pprof_parts__comment(
			&pprof->parts,
			kb_pprof_parts__string(&pprof->parts,
					       "incomplete: the recording was cut off"));
}

static void write_head(struct pprof *pprof)
{
	const struct kb_profile_meta *meta = kb_profile__meta(pprof->profile);
	const char *mode = kb_sample_mode__name(meta->mode);
	KbPprof__ValueType samples = kb_pprof_parts__value_type(&pprof->parts, "samples", "count");
	KbPprof__ValueType time =
		kb_pprof_parts__value_type(&pprof->parts, mode ? mode : "time", "nanoseconds");
	KbPprof__ValueType *types[TYPES];
	KbPprof__Profile part;

	kb_pprof__profile__init(&part);
	part.sample_type = types;
	if (pprof->counted)
		types[part.n_sample_type++] = &samples;
	if (pprof->timed)
		types[part.n_sample_type++] = &time;
	part.default_sample_type = types[part.n_sample_type - 1]->type;
	part.time_nanos = meta->start_unix_ns;
	part.duration_nanos = kb_pprof_parts__number(meta->duration_ns);
	if (pprof->counted && pprof->timed) {
		part.period_type = &time;
		part.period = nanoseconds(pprof, 1);
	}
	kb_pprof_parts__write(&pprof->parts, &part);
	write_comments(pprof);
}

static void write_profile(struct pprof *pprof, FILE *stream)
{
	const struct kb_sample *samples = kb_profile__samples(pprof->profile);

	map_processes(pprof);
	write_head(pprof);
	for (uint32_t i = 0; i < kb_profile__n_samples(pprof->profile); i++)
		if (samples[i].count && !pprof->parts.err && !ferror(stream))
			write_sample(pprof, &samples[i]);
	write_tables(pprof);
}

static struct kb_error *create_tables(struct pprof *pprof)
{
	pprof->mappings = kb_strpool__create(STRING_BYTES, MAPPINGS);
	pprof->mapping_of_process =
		calloc((size_t)kb_profile__n_processes(pprof->profile) + 1, sizeof(uint32_t));
	pprof->function_used =
		calloc((size_t)kb_profile__n_functions(pprof->profile) + 1, sizeof(bool));
	if (!pprof->mappings || !pprof->mapping_of_process || !pprof->function_used)
		return kb_error__no_memory();
	return kb_pair_index__create(&pprof->locations);
}

struct kb_error *kb_pprof__write(const struct kb_profile *profile,
				 const struct kb_format_opts *opts, FILE *stream)
{
	struct pprof pprof = { .profile = profile, .opts = opts };
	struct kb_error *err;

	pprof.timed = kb_profile__seconds(profile, 1) > 0;
	pprof.counted = kb_profile__meta(profile)->unit == KB_UNIT_SAMPLES;
	pprof.parts.err = create_tables(&pprof);
	if (!pprof.parts.err)
		pprof.parts.err = kb_pprof_parts__init(&pprof.parts, stream);
	if (!pprof.parts.err)
		write_profile(&pprof, stream);
	err = kb_pprof_parts__finish(&pprof.parts);
	kb_strpool__destroy(pprof.mappings);
	kb_pair_index__destroy(pprof.locations);
	free(pprof.mapping_of_process);
	free(pprof.function_used);
	free(pprof.path);
	return err;
}
