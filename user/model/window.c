// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/private.h"
#include "model/window.h"

/* Makes the parents of all nodes that are marked marked too: they have smaller ids. */
static void mark_parents(const struct kb_stack_tree *tree, uint32_t *nodes)
{
	for (uint32_t i = tree->n_nodes; i-- > 0;)
		if (nodes[i] && tree->nodes[i].parent != KB_ID_NONE)
			nodes[tree->nodes[i].parent] = 1;
}

/* A wait has a length, a sample has none. */
static uint64_t end_of(const struct kb_moment *moment)
{
	return moment->flags & KB_MOMENT_OFF_CPU ? moment->time_ns + moment->count
						 : moment->time_ns;
}

static bool is_within(const struct kb_moment *moment, uint64_t from_ns, uint64_t to_ns)
{
	return end_of(moment) >= from_ns && moment->time_ns < to_ns;
}

/* ---- a window */

struct window {
	const struct kb_profile *from;
	struct kb_profile *to;
	uint32_t *nodes;  /* marks, then ids in `to` */
	uint32_t *frames; /* ids in `to`, KB_ID_NONE: not there yet */
};

static uint32_t copy_frame(struct window *w, uint32_t id)
{
	const struct kb_frame_info *frame = &w->from->code.frames[id];

	if (w->frames[id] == KB_ID_NONE)
		w->frames[id] = kb_profile__add_opcode(
			w->to,
			kb_profile__add_place(w->to, &w->from->code.functions[frame->function],
					      frame->line),
			frame->opcode);
	return w->frames[id];
}

static bool copy_nodes(struct window *w)
{
	const struct kb_stack_node *nodes = w->from->tree.nodes;

	for (uint32_t i = 0; i < w->from->tree.n_nodes; i++) {
		uint32_t parent = nodes[i].parent;

		if (!w->nodes[i])
			continue;
		if (parent != KB_ID_NONE)
			parent = w->nodes[parent];
		w->nodes[i] = kb_profile__add_node(w->to, parent, copy_frame(w, nodes[i].frame));
		if (w->nodes[i] == KB_ID_NONE)
			return false;
	}
	return true;
}

static bool copy_all(struct window *w, uint64_t from_ns, uint64_t to_ns)
{
	const struct kb_profile *from = w->from;

	for (uint32_t i = 0; i < from->n_moments; i++)
		if (is_within(&from->moments[i], from_ns, to_ns))
			w->nodes[from->moments[i].node] = 1;
	mark_parents(&from->tree, w->nodes);
	for (uint32_t i = 0; i < from->n_processes; i++)
		if (kb_profile__add_process(w->to, &from->processes[i]) != i)
			return false;
	for (uint32_t i = 0; i < from->n_threads; i++)
		if (kb_profile__add_thread(w->to, &from->threads[i]) != i)
			return false;
	if (!copy_nodes(w))
		return false;
	for (uint32_t i = 0; i < from->n_moments; i++) {
		struct kb_moment moment = from->moments[i];

		if (!is_within(&moment, from_ns, to_ns))
			continue;
		/* Of a wait that began before, the part in the window. */
		if (moment.time_ns < from_ns) {
			moment.count -= from_ns - moment.time_ns;
			moment.time_ns = from_ns;
		}
		moment.time_ns -= from_ns;
		moment.node = w->nodes[moment.node];
		if (!kb_profile__add_samples(w->to, moment.thread, moment.node, moment.count) ||
		    !kb_profile__add_moment(w->to, &moment))
			return false;
	}
	return true;
}

/* The reported samples are those in the window, whatever the kernel's count of that time says. */
static void set_ledger(struct kb_profile *window, const uint64_t *ledger)
{
	uint64_t truncated = ledger[KB_L_TRUNCATED];

	memcpy(window->ledger, ledger, sizeof(window->ledger));
	if (truncated > window->n_moments)
		truncated = window->n_moments;
	window->ledger[KB_L_TRUNCATED] = truncated;
	window->ledger[KB_L_GOOD] = window->n_moments - truncated;
}

struct kb_error *kb_profile__window(const struct kb_profile *profile, uint64_t from_ns,
				    uint64_t to_ns, const uint64_t *ledger,
				    struct kb_profile **result)
{
	struct window w = { .from = profile };
	struct kb_profile_meta meta = profile->meta;
	uint64_t end = to_ns < meta.duration_ns ? to_ns : meta.duration_ns;
	bool copied;

	meta.start_unix_ns += from_ns;
	meta.duration_ns = end > from_ns ? end - from_ns : 0;
	KB_TRY(kb_profile__create(&meta, &w.to));
	/* One more: neither may be of no size. */
	w.nodes = calloc(profile->tree.n_nodes + 1, sizeof(*w.nodes));
	w.frames = malloc((profile->code.n_frames + 1) * sizeof(*w.frames));
	copied = w.nodes && w.frames;
	if (copied) {
		memset(w.frames, 0xff, profile->code.n_frames * sizeof(*w.frames));
		copied = copy_all(&w, from_ns, to_ns);
	}
	free(w.nodes);
	free(w.frames);
	if (!copied) {
		kb_profile__destroy(w.to);
		return kb_error__no_memory();
	}
	set_ledger(w.to, ledger);
	*result = w.to;
	return NULL;
}

/* ---- keeping only a window */

void kb_profile__drop_moments(struct kb_profile *profile, uint64_t before_ns)
{
	uint32_t n = 0;

	/* Two CPUs' moments may be out of order, by less than the time between two drains: looking
	 * at all of them keeps that harmless. */
	for (uint32_t i = 0; i < profile->n_moments; i++)
		if (end_of(&profile->moments[i]) >= before_ns)
			profile->moments[n++] = profile->moments[i];
	profile->n_moments = n;
}

bool kb_profile__forget_stacks(struct kb_profile *profile, uint32_t *nodes)
{
	struct kb_stack_tree fresh = {}, *tree = &profile->tree;

	for (uint32_t i = 0; i < profile->n_moments; i++)
		nodes[profile->moments[i].node] = 1;
	mark_parents(tree, nodes);
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		uint32_t parent = tree->nodes[i].parent;

		if (!nodes[i]) {
			nodes[i] = KB_ID_NONE;
			continue;
		}
		if (parent != KB_ID_NONE)
			parent = nodes[parent];
		nodes[i] = kb_stack_tree__add_node(&fresh, parent, tree->nodes[i].frame);
		if (nodes[i] == KB_ID_NONE) {
			kb_stack_tree__free(&fresh);
			return false;
		}
	}
	kb_stack_tree__free(tree);
	*tree = fresh;
	for (uint32_t i = 0; i < profile->n_moments; i++)
		profile->moments[i].node = nodes[profile->moments[i].node];
	return true;
}
