// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The file format of speedscope:
 * https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources, its rules in
 * src/lib/file-format-spec.ts (1.25). One list of frames is shared by sampled profiles: the first
 * has all threads, then comes one for each, those with most samples first. A stack is an array of
 * frames from the root to the leaf, its weight is the time that its samples stand for.
 *
 * With single samples (moments) those of a thread stand in the order of time, so that the view in
 * "time order" shows it, without the gaps between them. Else, and in the profile of all
 * threads, stacks are in preorder and each is there once.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/json_out.h"
#include "format/timeline.h"
#include "format/tree.h"
#include "format/writers.h"

#define SCHEMA "https://www.speedscope.app/file-format-schema.json"

struct speedscope {
	const struct kb_profile *profile;
	const struct kb_format_opts *opts;
	const struct kb_tree *tree;
	uint32_t *frames; /* of a label, KB_ID_NONE when it is not shown */
	uint32_t *path;	  /* room for a stack as deep as the tree, or the profile's */
	struct kb_timeline timeline;
	bool timed; /* weights are seconds, else counts */
	struct kb_json_out out;
};

static bool is_shown(const struct speedscope *scope, const struct kb_label *label)
{
	if (label->kind == KB_LABEL_PROCESS)
		return scope->opts->processes;
	return label->kind != KB_LABEL_THREAD || scope->opts->threads;
}

static void write_frame(struct kb_json_out *out, const struct kb_label *label)
{
	const char *group = kb_label__group(label);

	kb_json_out__open(out, NULL, '{');
	if (group) {
		kb_json_out__textf(out, "name", "%s%" PRId32 " %s", group, label->number,
				   label->name);
	} else {
		kb_json_out__text(out, "name", *label->name ? label->name : "?");
		if (*label->file)
			kb_json_out__text(out, "file", label->file);
		if (label->number > 0)
			kb_json_out__int(out, "line", label->number);
	}
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

static void write_frames(struct speedscope *scope)
{
	const struct kb_tree *tree = scope->tree;
	uint32_t n = 0;

	kb_json_out__open(&scope->out, "shared", '{');
	kb_json_out__open(&scope->out, "frames", '[');
	for (uint32_t i = 0; i < tree->n_labels; i++) {
		scope->frames[i] = KB_ID_NONE;
		if (!is_shown(scope, &tree->labels[i]))
			continue;
		write_frame(&scope->out, &tree->labels[i]);
		scope->frames[i] = n++;
	}
	kb_json_out__close(&scope->out, ']');
	kb_json_out__close(&scope->out, '}');
}

static double weight_of(const struct speedscope *scope, uint64_t count)
{
	return scope->timed ? kb_profile__seconds(scope->profile, count) : (double)count;
}

static void write_stack(struct speedscope *scope, uint32_t leaf)
{
	const struct kb_tree *tree = scope->tree;
	uint32_t depth = 0;

	for (uint32_t at = leaf; at != KB_ID_NONE; at = tree->nodes[at].parent) {
		uint32_t frame = scope->frames[tree->nodes[at].label];

		if (frame != KB_ID_NONE)
			scope->path[depth++] = frame;
	}
	kb_json_out__open(&scope->out, NULL, '[');
	while (depth)
		kb_json_out__uint(&scope->out, NULL, scope->path[--depth]);
	kb_json_out__close(&scope->out, ']');
}

static void open_samples(struct speedscope *scope, uint64_t total)
{
	struct kb_json_out *out = &scope->out;

	kb_json_out__text(out, "unit", scope->timed ? "seconds" : "none");
	kb_json_out__uint(out, "startValue", 0);
	kb_json_out__real(out, "endValue", weight_of(scope, total));
	kb_json_out__line(out);
	kb_json_out__open(out, "samples", '[');
}

static void open_weights(struct speedscope *scope)
{
	kb_json_out__close(&scope->out, ']');
	kb_json_out__line(&scope->out);
	kb_json_out__open(&scope->out, "weights", '[');
}

static void close_samples(struct speedscope *scope)
{
	kb_json_out__close(&scope->out, ']');
	kb_json_out__close(&scope->out, '}');
	kb_json_out__line(&scope->out);
}

/* The stacks of the nodes from first up to end, whose samples add up to total. */
static void write_samples(struct speedscope *scope, uint32_t first, uint32_t end, uint64_t total)
{
	const struct kb_tree_node *nodes = scope->tree->nodes;

	open_samples(scope, total);
	for (uint32_t i = first; i < end && !ferror(scope->out.stream); i++)
		if (nodes[i].self)
			write_stack(scope, i);
	open_weights(scope);
	for (uint32_t i = first; i < end; i++)
		if (nodes[i].self)
			kb_json_out__real(&scope->out, NULL, weight_of(scope, nodes[i].self));
	close_samples(scope);
}

static void begin_profile(struct speedscope *scope, const struct kb_label *process,
			  const struct kb_label *thread)
{
	struct kb_json_out *out = &scope->out;

	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "type", "sampled");
	if (thread)
		kb_json_out__textf(out, "name", "%s%" PRId32 " %s, %s%" PRId32 " %s",
				   kb_label__group(process), process->number, process->name,
				   kb_label__group(thread), thread->number, thread->name);
	else
		kb_json_out__text(out, "name", "all threads");
}

static void write_thread(struct speedscope *scope, uint32_t root)
{
	const struct kb_tree *tree = scope->tree;
	const struct kb_tree_node *node = &tree->nodes[root];
	uint32_t end = root + 1;

	/* Parents stand before their children: the subtree ends where a node hangs higher up. */
	while (end < tree->n_nodes && tree->nodes[end].parent != KB_ID_NONE &&
	       tree->nodes[end].parent >= root)
		end++;
	begin_profile(scope, &tree->labels[tree->nodes[node->parent].label],
		      &tree->labels[node->label]);
	write_samples(scope, root, end, node->total);
}

static bool is_thread(const struct kb_tree *tree, uint32_t node)
{
	return tree->labels[tree->nodes[node].label].kind == KB_LABEL_THREAD;
}

static uint32_t count_threads(const struct kb_tree *tree)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < tree->n_nodes; i++)
		n += is_thread(tree, i);
	return n;
}

/* ---------------------------------------------------------------- in the order of time */

static int compare_label(const void *key, const void *label)
{
	return kb_label__compare(key, label);
}

static uint32_t frame_of_label(const struct speedscope *scope, const struct kb_label *key)
{
	const struct kb_tree *tree = scope->tree;
	const struct kb_label *label =
		bsearch(key, tree->labels, tree->n_labels, sizeof(*key), compare_label);

	return label ? scope->frames[label - tree->labels] : KB_ID_NONE;
}

static void push(struct speedscope *scope, uint32_t *depth, const struct kb_label *label)
{
	uint32_t frame = frame_of_label(scope, label);

	if (frame != KB_ID_NONE)
		scope->path[(*depth)++] = frame;
}

static void write_moment_stack(struct speedscope *scope, const struct kb_moment *moment,
			       const struct kb_label *process, const struct kb_label *thread)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(scope->profile);
	uint32_t depth = 0;

	for (uint32_t at = moment->node; at != KB_ID_NONE; at = nodes[at].parent) {
		const struct kb_frame_info *frame =
			kb_profile__frame(scope->profile, nodes[at].frame);
		int32_t first = kb_profile__function(scope->profile, frame->function)->first_line;
		struct kb_label label = kb_label__of_place(
			scope->profile, frame->function, scope->opts->lines ? frame->line : first);

		push(scope, &depth, &label);
	}
	push(scope, &depth, thread);
	push(scope, &depth, process);
	kb_json_out__open(&scope->out, NULL, '[');
	while (depth)
		kb_json_out__uint(&scope->out, NULL, scope->path[--depth]);
	kb_json_out__close(&scope->out, ']');
}

/* Samples of one stack that follow each other are one. Returns the first behind them; adds up
 * their counts. */
static uint32_t next_run(const struct speedscope *scope, uint32_t at, uint32_t end, uint64_t *count)
{
	const struct kb_moment *moments = kb_profile__moments(scope->profile);
	const uint32_t *order = scope->timeline.order;
	uint32_t node = moments[order[at]].node;

	for (*count = 0; at < end && moments[order[at]].node == node; at++)
		*count += moments[order[at]].count;
	return at;
}

static void write_timeline(struct speedscope *scope, uint32_t id)
{
	const struct kb_moment *moments = kb_profile__moments(scope->profile);
	const struct kb_thread_info *info = kb_profile__thread(scope->profile, id);
	const struct kb_label thread = kb_label__of_thread(info);
	const struct kb_label process =
		kb_label__of_process(kb_profile__process(scope->profile, info->process));
	uint32_t first = scope->timeline.first[id], end = scope->timeline.first[id + 1];
	struct kb_json_out *out = &scope->out;
	uint64_t count, total = 0;

	for (uint32_t i = first; i < end; i++)
		total += moments[scope->timeline.order[i]].count;
	if (!total)
		return;
	begin_profile(scope, &process, &thread);
	open_samples(scope, total);
	for (uint32_t i = first, next; i < end && !ferror(out->stream); i = next) {
		next = next_run(scope, i, end, &count);
		if (count)
			write_moment_stack(scope, &moments[scope->timeline.order[i]], &process,
					   &thread);
	}
	open_weights(scope);
	for (uint32_t i = first; i < end;) {
		i = next_run(scope, i, end, &count);
		if (count)
			kb_json_out__real(out, NULL, weight_of(scope, count));
	}
	close_samples(scope);
}

/* ---------------------------------------------------------------- the file */

static void write_profiles(struct speedscope *scope)
{
	const struct kb_tree *tree = scope->tree;
	bool timeline = kb_profile__n_moments(scope->profile) > 0;

	kb_json_out__open(&scope->out, "profiles", '[');
	if (count_threads(tree) != 1) {
		begin_profile(scope, NULL, NULL);
		write_samples(scope, 0, tree->n_nodes, tree->total);
	}
	for (uint32_t i = 0; timeline && i < kb_profile__n_threads(scope->profile); i++)
		write_timeline(scope, i);
	for (uint32_t i = 0; !timeline && i < tree->n_nodes; i++)
		if (is_thread(tree, i))
			write_thread(scope, i);
	kb_json_out__close(&scope->out, ']');
}

static void write_file(struct speedscope *scope)
{
	const struct kb_profile_meta *meta = kb_profile__meta(scope->profile);
	struct kb_json_out *out = &scope->out;

	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "$schema", SCHEMA);
	kb_json_out__textf(out, "exporter", "keelback@%s", meta->version);
	kb_json_out__text(out, "name", scope->opts->title ? scope->opts->title : meta->target);
	kb_json_out__uint(out, "activeProfileIndex", 0);
	kb_json_out__line(out);
	write_frames(scope);
	write_profiles(scope);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

static struct kb_error *write_tree(struct speedscope *scope)
{
	/* With the process and the thread, for which the tree has nodes. */
	size_t deepest = (size_t)scope->tree->n_nodes + kb_profile__n_nodes(scope->profile) + 2;

	scope->timed = kb_profile__seconds(scope->profile, 1) > 0;
	scope->frames = calloc((size_t)scope->tree->n_labels + 1, sizeof(*scope->frames));
	scope->path = calloc(deepest, sizeof(*scope->path));
	if (!scope->frames || !scope->path)
		return kb_error__no_memory();
	KB_TRY(kb_timeline__init(&scope->timeline, scope->profile));
	write_file(scope);
	return NULL;
}

struct kb_error *kb_speedscope__write(const struct kb_profile *profile,
				      const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_tree_opts tree_opts = {
		.lines = opts->lines,
		.threads = true,
		.processes = true,
		.order = KB_TREE_BY_TOTAL,
	};
	struct speedscope scope = { .profile = profile, .opts = opts, .out = { stream, false } };
	struct kb_error *err;
	struct kb_tree *tree;

	KB_TRY(kb_tree__create(profile, &tree_opts, &tree));
	scope.tree = tree;
	err = write_tree(&scope);
	kb_timeline__free(&scope.timeline);
	free(scope.frames);
	free(scope.path);
	kb_tree__destroy(tree);
	return err;
}
