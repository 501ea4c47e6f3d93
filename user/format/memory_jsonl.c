// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Memory as JSON lines, each an object with a "type":
 *
 *     meta     value, group, start_unix_ns, duration_ns, taken_ns, frames_max, target, host,
 * keelback process  pid, python, way, exact, heap, mapped and native (current, blocks, peak,
 * peak_blocks, total, total_blocks), frees, frees_before, lost_blocks, lost_bytes, unfinished, rss
 * … row      bytes, blocks, file, line, function; or frames, the most recent first ledger   as in
 * the format jsonl of samples
 */
#include "base/error.h"
#include "base/json_out.h"
#include "format/json_parts.h"
#include "format/memory_view.h"
#include "format/memory_writers.h"

static void write_meta(struct kb_json_out *out, const struct kb_profile *profile,
		       const struct kb_memory_view_opts *opts)
{
	static const char *const values[] = { "live", "peak", "total" };
	static const char *const groups[] = { "lineno", "filename", "traceback" };
	const struct kb_profile_meta *meta = kb_profile__meta(profile);
	const struct kb_memory *memory = kb_profile__memory(profile);

	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "type", "meta");
	kb_json_out__text(out, "value", values[opts->value]);
	kb_json_out__text(out, "group", groups[opts->group]);
	kb_json_out__bool(out, "cumulative", opts->cumulative);
	kb_json_out__int(out, "start_unix_ns", meta->start_unix_ns);
	kb_json_out__uint(out, "duration_ns", meta->duration_ns);
	kb_json_out__uint(out, "taken_ns", kb_memory__taken_ns(memory));
	kb_json_out__uint(out, "frames_max", kb_memory__frames_max(memory));
	kb_json_out__text(out, "target", meta->target);
	kb_json_out__text(out, "host", meta->host);
	kb_json_out__text(out, "keelback", meta->version);
	kb_json_out__bool(out, "incomplete", meta->incomplete);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
	out->comma = false;
}

static void write_process(struct kb_json_out *out, const struct kb_profile *profile,
			  const struct kb_memory_process_info *info)
{
	static const char *const names[] = { "heap", "mapped", "native" };
	const struct kb_process_info *process = kb_profile__process(profile, info->process);

	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "type", "process");
	kb_json_out__int(out, "pid", process->pid);
	kb_json_out__text(out, "comm", process->comm);
	kb_json_out__text(out, "python", process->python);
	kb_json_out__text(out, "way", kb_memory_way__text(info->way));
	kb_json_out__bool(out, "exact", info->way != KB_MEMORY_WAY_GROWTH);
	for (int i = 0; i < KB_MEMORY_GROUPS; i++) {
		const struct kb_memory_sum *sum = &info->sums[i];

		kb_json_out__open(out, names[i], '{');
		kb_json_out__uint(out, "current", sum->current);
		kb_json_out__uint(out, "blocks", sum->blocks);
		kb_json_out__uint(out, "peak", sum->peak);
		kb_json_out__uint(out, "peak_blocks", sum->peak_blocks);
		kb_json_out__uint(out, "total", sum->total);
		kb_json_out__uint(out, "total_blocks", sum->total_blocks);
		kb_json_out__close(out, '}');
	}
	kb_json_out__uint(out, "frees", info->frees);
	kb_json_out__uint(out, "frees_before", info->frees_before);
	kb_json_out__uint(out, "lost_blocks", info->lost_blocks);
	kb_json_out__uint(out, "lost_bytes", info->lost_bytes);
	kb_json_out__uint(out, "unfinished", info->unfinished);
	kb_json_out__uint(out, "attached_ns", info->attached_ns);
	kb_json_out__uint(out, "rss", info->rss);
	kb_json_out__uint(out, "rss_peak", info->rss_peak);
	kb_json_out__uint(out, "minor_faults", info->minor_faults);
	kb_json_out__uint(out, "major_faults", info->major_faults);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
	out->comma = false;
}

static void write_row(struct kb_json_out *out, const struct kb_profile *profile,
		      const struct kb_memory_view_opts *opts, const struct kb_memory_row *row)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "type", "row");
	kb_json_out__bool(out, "native", row->native);
	kb_json_out__uint(out, "bytes", row->bytes);
	kb_json_out__uint(out, "blocks", row->blocks);
	kb_json_out__uint(out, "total_bytes", row->total_bytes);
	kb_json_out__uint(out, "total_blocks", row->total_blocks);
	if (opts->value == KB_MEMORY_LIVE && row->oldest_ns != UINT64_MAX) {
		kb_json_out__uint(out, "oldest_ns", row->oldest_ns);
		kb_json_out__uint(out, "newest_ns", row->newest_ns);
	}
	if (opts->group == KB_MEMORY_BY_TRACEBACK) {
		kb_json_parts__frames(out, profile, row->node);
	} else {
		kb_json_out__text(out, "file", row->file);
		if (opts->group == KB_MEMORY_BY_LINE) {
			kb_json_out__int(out, "line", row->line);
			kb_json_out__text(out, "function", row->name);
		}
	}
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
	out->comma = false;
}

static void write_ledger(struct kb_json_out *out, const struct kb_profile *profile)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "type", "ledger");
	kb_json_parts__ledger(out, profile, false);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
	out->comma = false;
}

struct kb_error *kb_memory_jsonl__write(const struct kb_profile *profile,
					const struct kb_memory_view_opts *opts, FILE *stream)
{
	const struct kb_memory *memory = kb_profile__memory(profile);
	struct kb_json_out out = { stream, false };
	struct kb_memory_view *view;

	KB_TRY(kb_memory_view__create(profile, opts, &view));
	write_meta(&out, profile, opts);
	for (uint32_t i = 0; i < kb_memory__n_processes(memory); i++)
		write_process(&out, profile, kb_memory__process(memory, i));
	for (uint32_t i = 0; i < view->n && !ferror(stream); i++)
		write_row(&out, profile, opts, &view->rows[i]);
	write_ledger(&out, profile);
	kb_memory_view__destroy(view);
	return NULL;
}
