// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Objects as one JSON object:
 *
 *     processes  pid, python, way, exact, created, destroyed, created_before …
 *     types      pid, type, created, destroyed, alive
 *     rows       the same, with frames: the most recent first, each file, line, function
 *     ledger     as in the format jsonl of samples
 *
 * Where destructions were not observed there is neither "destroyed" nor "alive".
 */
#include "format/json_parts.h"
#include "format/refs_view.h"

static void write_process(struct kb_json_out *out, const struct kb_profile *profile,
			  const struct kb_refs_process *process)
{
	const struct kb_process_info *info = kb_profile__process(profile, process->process);

	kb_json_out__open(out, NULL, '{');
	kb_json_out__int(out, "pid", info->pid);
	kb_json_out__text(out, "comm", info->comm);
	kb_json_out__text(out, "python", info->python);
	kb_json_out__text(out, "way", process->way);
	kb_json_out__bool(out, "exact", !process->lost);
	kb_json_out__uint(out, "created", process->created);
	if (!process->created_only) {
		kb_json_out__uint(out, "destroyed", process->destroyed);
		kb_json_out__uint(out, "created_before", process->before);
		kb_json_out__uint(out, "moved", process->replaced);
	}
	kb_json_out__uint(out, "lost", process->lost);
	kb_json_out__uint(out, "not_followed", process->not_followed);
	kb_json_out__uint(out, "without_type", process->without_type);
	kb_json_out__uint(out, "without_stack", process->without_stack);
	kb_json_out__uint(out, "attached_ns", process->attached_ns);
	kb_json_out__close(out, '}');
}

static void write_counts(struct kb_json_out *out, const struct kb_refs_view *view,
			 const struct kb_refs_type *type, uint64_t created, uint64_t destroyed,
			 uint64_t alive)
{
	const struct kb_profile *profile = kb_refs__profile(view->refs);

	kb_json_out__int(out, "pid", kb_profile__process(profile, type->process)->pid);
	kb_json_out__text(out, "type", type->name);
	kb_json_out__uint(out, "created", created);
	if (view->created_only)
		return;
	kb_json_out__uint(out, "destroyed", destroyed);
	kb_json_out__uint(out, "alive", alive);
}

static void write_row(struct kb_json_out *out, const struct kb_refs_view *view,
		      const struct kb_refs_row *row)
{
	const struct kb_profile *profile = kb_refs__profile(view->refs);

	kb_json_out__open(out, NULL, '{');
	write_counts(out, view, kb_refs__type(view->refs, row->type), row->created, row->destroyed,
		     row->alive);
	kb_json_parts__frames(out, profile, row->node);
	kb_json_out__close(out, '}');
}

struct kb_error *kb_refs_json__write(const struct kb_refs_view *view, FILE *stream)
{
	const struct kb_profile *profile = kb_refs__profile(view->refs);
	const struct kb_profile_meta *meta = kb_profile__meta(profile);
	struct kb_json_out out = { stream, false };

	kb_json_out__open(&out, NULL, '{');
	kb_json_out__text(&out, "target", meta->target);
	kb_json_out__int(&out, "start_unix_ns", meta->start_unix_ns);
	kb_json_out__uint(&out, "taken_ns", kb_refs__taken_ns(view->refs));
	kb_json_out__uint(&out, "frames_max", kb_refs__frames_max(view->refs));
	kb_json_out__text(&out, "keelback", meta->version);
	kb_json_out__open(&out, "processes", '[');
	for (uint32_t i = 0; i < kb_refs__n_processes(view->refs); i++)
		write_process(&out, profile, kb_refs__process(view->refs, i));
	kb_json_out__close(&out, ']');
	kb_json_out__open(&out, "types", '[');
	for (uint32_t i = 0; i < view->n_types; i++) {
		const struct kb_refs_type *type = kb_refs__type(view->refs, view->types[i]);

		kb_json_out__open(&out, NULL, '{');
		write_counts(&out, view, type, type->created, type->destroyed, type->alive);
		kb_json_out__close(&out, '}');
	}
	kb_json_out__close(&out, ']');
	kb_json_out__open(&out, "rows", '[');
	for (uint32_t i = 0; i < view->n_rows && !ferror(stream); i++)
		write_row(&out, view, kb_refs__row(view->refs, view->rows[i]));
	kb_json_out__close(&out, ']');
	kb_json_out__open(&out, "ledger", '{');
	kb_json_parts__ledger(&out, profile, false);
	kb_json_out__close(&out, '}');
	kb_json_out__close(&out, '}');
	kb_json_out__line(&out);
	return NULL;
}
