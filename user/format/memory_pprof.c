// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Memory for pprof, with the four values that its heap profiles have: alloc_objects, alloc_space,
 * inuse_objects, inuse_space. A location is a frame; the domain is a label.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "base/array.h"
#include "base/error.h"
#include "format/memory_view.h"
#include "format/memory_writers.h"
#include "format/pprof_parts.h"

#define MAPPING	   1 /* of all locations; without one pprof looks for a program's file */
#define TYPES	   4
#define LABELS_MAX 3

struct pprof {
	const struct kb_profile *profile;
	const struct kb_memory_view_opts *opts;
	struct kb_pprof_parts parts;
	uint64_t *path; /* location ids of a stack: 1 + the frame's id */
	uint32_t path_capacity;
	bool *used; /* frames */
};

static size_t make_path(struct pprof *pprof, uint32_t leaf)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(pprof->profile);
	uint32_t depth = 0;

	for (uint32_t at = leaf; at != KB_ID_NONE; at = nodes[at].parent) {
		uint64_t *path = kb_array__grow(pprof->path, &pprof->path_capacity, depth + 1,
						sizeof(*path), UINT32_MAX);

		if (!path) {
			kb_pprof_parts__no_memory(&pprof->parts);
			return 0;
		}
		pprof->path = path;
		path[depth++] = (uint64_t)nodes[at].frame + 1;
		pprof->used[nodes[at].frame] = true;
	}
	return depth;
}

static void write_entry(struct pprof *pprof, const struct kb_memory_entry *entry)
{
	const struct kb_process_info *process = kb_profile__process(pprof->profile, entry->process);
	struct kb_pprof_parts *parts = &pprof->parts;
	int64_t values[TYPES] = {
		kb_pprof_parts__number(entry->total_blocks),
		kb_pprof_parts__number(entry->total_bytes),
		kb_pprof_parts__number(entry->live_blocks),
		kb_pprof_parts__number(entry->live_bytes),
	};
	KbPprof__Label labels[LABELS_MAX], *label_list[LABELS_MAX];
	KbPprof__Sample message, *list = &message;
	KbPprof__Profile part;

	for (int i = 0; i < LABELS_MAX; i++) {
		kb_pprof__label__init(&labels[i]);
		label_list[i] = &labels[i];
	}
	labels[0].key = kb_pprof_parts__string(parts, "pid");
	labels[0].num = process->pid;
	labels[1].key = kb_pprof_parts__string(parts, "process");
	labels[1].str = kb_pprof_parts__string(parts, process->comm);
	labels[2].key = kb_pprof_parts__string(parts, "domain");
	labels[2].str = kb_pprof_parts__string(parts, kb_memory_domain__name(entry->domain));
	kb_pprof__sample__init(&message);
	message.n_location_id = make_path(pprof, entry->node);
	message.location_id = pprof->path;
	message.value = values;
	message.n_value = TYPES;
	message.label = label_list;
	message.n_label = LABELS_MAX;
	kb_pprof__profile__init(&part);
	part.n_sample = 1;
	part.sample = &list;
	kb_pprof_parts__write(parts, &part);
}

static void write_location(struct pprof *pprof, uint32_t frame)
{
	const struct kb_frame_info *info = kb_profile__frame(pprof->profile, frame);
	KbPprof__Location message, *list = &message;
	KbPprof__Line line, *line_list = &line;
	KbPprof__Profile part;

	kb_pprof__line__init(&line);
	line.function_id = (uint64_t)info->function + 1;
	line.line = info->line > 0 ? info->line : 0;
	kb_pprof__location__init(&message);
	message.id = (uint64_t)frame + 1;
	message.mapping_id = MAPPING;
	message.n_line = 1;
	message.line = &line_list;
	kb_pprof__profile__init(&part);
	part.n_location = 1;
	part.location = &list;
	kb_pprof_parts__write(&pprof->parts, &part);
}

static void write_functions(struct pprof *pprof)
{
	struct kb_pprof_parts *parts = &pprof->parts;

	for (uint32_t i = 0; i < kb_profile__n_functions(pprof->profile) && !parts->err; i++) {
		const struct kb_function_info *info = kb_profile__function(pprof->profile, i);

		kb_pprof_parts__function(
			parts, (uint64_t)i + 1,
			kb_pprof_parts__string(parts, *info->name ? info->name : "?"),
			kb_pprof_parts__string(parts, info->file), info->first_line);
	}
}

static void write_head(struct pprof *pprof)
{
	static const char *const names[TYPES][2] = { { "alloc_objects", "count" },
						     { "alloc_space", "bytes" },
						     { "inuse_objects", "count" },
						     { "inuse_space", "bytes" } };
	const struct kb_profile_meta *meta = kb_profile__meta(pprof->profile);
	const struct kb_memory *memory = kb_profile__memory(pprof->profile);
	struct kb_pprof_parts *parts = &pprof->parts;
	KbPprof__ValueType types[TYPES], *list[TYPES];
	KbPprof__Profile part;

	for (int i = 0; i < TYPES; i++) {
		types[i] = kb_pprof_parts__value_type(parts, names[i][0], names[i][1]);
		list[i] = &types[i];
	}
	kb_pprof__profile__init(&part);
	part.sample_type = list;
	part.n_sample_type = TYPES;
	part.default_sample_type = types[pprof->opts->value == KB_MEMORY_TOTAL ? 1 : 3].type;
	part.time_nanos = meta->start_unix_ns;
	part.duration_nanos = kb_pprof_parts__number(meta->duration_ns);
	kb_pprof_parts__write(parts, &part);
	kb_pprof_parts__comment(parts,
				kb_pprof_parts__stringf(parts, "keelback %s: %s on %s",
							meta->version, meta->target, meta->host));
	for (uint32_t i = 0; i < kb_memory__n_processes(memory); i++) {
		const struct kb_memory_process_info *info = kb_memory__process(memory, i);

		kb_pprof_parts__comment(
			parts, kb_pprof_parts__stringf(
				       parts, "process %d: %s",
				       kb_profile__process(pprof->profile, info->process)->pid,
				       kb_memory_way__text(info->way)));
	}
	for (size_t i = 0; i < kb_profile__n_ledger(pprof->profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(pprof->profile, i);

		if (entry.count)
			kb_pprof_parts__comment(parts,
						kb_pprof_parts__stringf(parts, "%s%s: %" PRIu64,
									entry.note ? "note " : "",
									entry.name, entry.count));
	}
}

static void write_all(struct pprof *pprof)
{
	const struct kb_memory *memory = kb_profile__memory(pprof->profile);
	const struct kb_memory_entry *entries = kb_memory__entries(memory);

	kb_pprof_parts__string(&pprof->parts, "");
	write_head(pprof);
	kb_pprof_parts__mapping(&pprof->parts, MAPPING,
				kb_pprof_parts__string(&pprof->parts, "python"), true);
	for (uint32_t i = 0; i < kb_memory__n_entries(memory) && !pprof->parts.err; i++)
		if (kb_memory_view__passes(pprof->profile, pprof->opts, &entries[i]))
			write_entry(pprof, &entries[i]);
	for (uint32_t i = 0; i < kb_profile__n_frames(pprof->profile) && !pprof->parts.err; i++)
		if (pprof->used[i])
			write_location(pprof, i);
	write_functions(pprof);
}

struct kb_error *kb_memory_pprof__write(const struct kb_profile *profile,
					const struct kb_memory_view_opts *opts, FILE *stream)
{
	struct pprof pprof = { .profile = profile, .opts = opts };
	struct kb_error *err;

	pprof.used = calloc((size_t)kb_profile__n_frames(profile) + 1, sizeof(*pprof.used));
	if (!pprof.used)
		return kb_error__no_memory();
	pprof.parts.err = kb_pprof_parts__init(&pprof.parts, stream);
	if (!pprof.parts.err)
		write_all(&pprof);
	err = kb_pprof_parts__finish(&pprof.parts);
	free(pprof.used);
	free(pprof.path);
	return err;
}
