// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "tui/details.h"

void kb_details__free(struct kb_details *details)
{
	free(details->items);
	kb_id_map__free(&details->ids);
	memset(details, 0, sizeof(*details));
}

static const struct kb_frame_info *frame_of(const struct kb_view_model *model, uint32_t node)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(model->profile);

	return kb_profile__frame(model->profile, nodes[node].frame);
}

/* Is no node nearer to the root on the same line of the same function? */
static bool is_outermost_line(const struct kb_view_model *model, uint32_t node,
			      const struct kb_frame_info *frame)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(model->profile);

	for (uint32_t i = nodes[node].parent; i != KB_ID_NONE; i = nodes[i].parent) {
		const struct kb_frame_info *above = frame_of(model, i);

		if (above->function == frame->function && above->line == frame->line)
			return false;
	}
	return true;
}

/* The place of a line and instruction in the list, made when it is new. The profile has each name
 * once, so that its address stands for it. */
static struct kb_detail *item_at(struct kb_details *details, int32_t line, const char *opcode)
{
	uint32_t id = kb_id_map__get(&details->ids, (uint32_t)line, (uintptr_t)opcode);

	if (id != KB_ID_MAP_NONE)
		return &details->items[id];
	if (!kb_grow((void **)&details->items, &details->capacity, details->n + 1,
		     sizeof(*details->items)) ||
	    !kb_id_map__set(&details->ids, (uint32_t)line, (uintptr_t)opcode, details->n))
		return NULL;
	details->items[details->n] = (struct kb_detail){ line, opcode, 0, 0 };
	return &details->items[details->n++];
}

static void begin(struct kb_details *details)
{
	details->n = 0;
	details->self = details->unknown = 0;
	if (!details->ids.max)
		kb_id_map__init(&details->ids, SIZE_MAX);
	kb_id_map__clear(&details->ids);
}

static int compare(const void *a, const void *b)
{
	const struct kb_detail *x = a, *y = b;

	if (x->self != y->self)
		return x->self < y->self ? 1 : -1;
	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->opcode && y->opcode ? strcmp(x->opcode, y->opcode) : 0;
}

static void finish(struct kb_details *details)
{
	for (uint32_t i = 0; i < details->n; i++)
		details->self += details->items[i].self;
	if (details->n)
		qsort(details->items, details->n, sizeof(*details->items), compare);
}

struct kb_error *kb_details__lines(struct kb_details *details, const struct kb_view_model *model,
				   uint32_t function)
{
	begin(details);
	for (uint32_t i = 0; i < model->n_nodes; i++) {
		struct kb_detail *item;

		if (!model->with_callees[i] ||
		    model->labels.labels[model->labels.nodes[i].label].function != function)
			continue;
		item = item_at(details, frame_of(model, i)->line, NULL);
		if (!item)
			return kb_error__no_memory();
		item->self += model->own[i];
		if (is_outermost_line(model, i, frame_of(model, i)))
			item->total += model->with_callees[i];
	}
	finish(details);
	return NULL;
}

struct kb_error *kb_details__opcodes(struct kb_details *details, const struct kb_view_model *model,
				     uint32_t function)
{
	begin(details);
	for (uint32_t i = 0; i < model->n_nodes; i++) {
		const struct kb_frame_info *frame;
		struct kb_detail *item;

		if (!model->own[i] ||
		    model->labels.labels[model->labels.nodes[i].label].function != function)
			continue;
		frame = frame_of(model, i);
		if (!*frame->opcode) {
			details->unknown += model->own[i];
			details->self += model->own[i];
			continue;
		}
		item = item_at(details, frame->line, frame->opcode);
		if (!item)
			return kb_error__no_memory();
		item->self += model->own[i];
	}
	finish(details);
	return NULL;
}
