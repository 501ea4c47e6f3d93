// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Objects as collapsed stacks (see collapsed.c), with the type as the leaf:
 *
 *     main (app.py:3);load (app.py:17);dict 4711
 *
 * What is counted is what the rows are ordered by.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "base/text.h"
#include "format/label.h"
#include "format/refs_view.h"
#include "format/stack_list.h"
#include "format/writers.h"

static struct kb_error *write_frames(const struct kb_profile *profile, uint32_t leaf, FILE *stream)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);
	uint32_t depth, *path = kb_stack_path(profile, leaf, &depth);

	if (!path)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < depth; i++) {
		const struct kb_frame_info *frame =
			kb_profile__frame(profile, nodes[path[i]].frame);
		struct kb_label label = kb_label__of_place(profile, frame->function, frame->line);

		kb_collapsed__write_label(&label, stream);
		putc(';', stream);
	}
	free(path);
	return NULL;
}

struct kb_error *kb_refs_collapsed__write(const struct kb_refs_view *view, FILE *stream)
{
	const struct kb_profile *profile = kb_refs__profile(view->refs);

	for (uint32_t i = 0; i < view->n_rows && !ferror(stream); i++) {
		const struct kb_refs_row *row = kb_refs__row(view->refs, view->rows[i]);
		const struct kb_refs_type *type = kb_refs__type(view->refs, row->type);
		uint64_t count =
			kb_refs_view__amount(view, row->created, row->destroyed, row->alive);

		if (!count)
			continue;
		if (kb_refs__n_processes(view->refs) > 1) {
			struct kb_label label =
				kb_label__of_process(kb_profile__process(profile, type->process));

			kb_collapsed__write_label(&label, stream);
			putc(';', stream);
		}
		KB_TRY(write_frames(profile, row->node, stream));
		kb_text__write_field(stream, type->name, ";");
		fprintf(stream, " %" PRIu64 "\n", count);
	}
	return NULL;
}
