// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "format/json_parts.h"

void kb_json_parts__frames(struct kb_json_out *out, const struct kb_profile *profile, uint32_t leaf)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);

	kb_json_out__open(out, "frames", '[');
	for (uint32_t at = leaf; at != KB_ID_NONE; at = nodes[at].parent) {
		const struct kb_frame_info *frame = kb_profile__frame(profile, nodes[at].frame);
		const struct kb_function_info *function =
			kb_profile__function(profile, frame->function);

		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "file", function->file);
		kb_json_out__int(out, "line", frame->line);
		kb_json_out__text(out, "function", function->name);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

void kb_json_parts__ledger(struct kb_json_out *out, const struct kb_profile *profile, bool all)
{
	kb_json_out__uint(out, "attempted", kb_profile__attempted(profile));
	kb_json_out__open(out, "entries", '[');
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (!entry.count && !all)
			continue;
		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "name", entry.name);
		kb_json_out__uint(out, "count", entry.count);
		kb_json_out__bool(out, "reported", entry.reported);
		kb_json_out__bool(out, "note", entry.note);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}
