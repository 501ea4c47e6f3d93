// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The file format of speedscope:
 * https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources, its rules in
 * src/lib/file-format-spec.ts (1.25). One list of frames is shared by sampled profiles: the first
 * has all threads, then comes one for each, those with most samples first. A stack is an array of
 * frames from the root to the leaf, its weight is the time that its samples stand for.
 *
 * Stacks are in preorder and each is there once, so the view in "time order" has
 * the shape of the stacks, not the course of time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/json_out.h"
#include "format/tree.h"
#include "format/writers.h"

#define SCHEMA "https://www.speedscope.app/file-format-schema.json"

struct speedscope {
	const struct kb_profile *profile;
	const struct kb_format_opts *opts;
	const struct kb_tree *tree;
	uint32_t *frames; /* of a label, KB_ID_NONE when it is not shown */
	uint32_t *path;	  /* room for a stack as deep as the tree */
	bool timed;	  /* weights are seconds, else counts */
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

/* The stacks of the nodes from first up to end, whose samples add up to total. */
static void write_samples(struct speedscope *scope, uint32_t first, uint32_t end, uint64_t total)
{
	const struct kb_tree_node *nodes = scope->tree->nodes;
	struct kb_json_out *out = &scope->out;

	kb_json_out__text(out, "unit", scope->timed ? "seconds" : "none");
	kb_json_out__uint(out, "startValue", 0);
	kb_json_out__real(out, "endValue", weight_of(scope, total));
	kb_json_out__line(out);
	kb_json_out__open(out, "samples", '[');
	for (uint32_t i = first; i < end && !ferror(out->stream); i++)
		if (nodes[i].self)
			write_stack(scope, i);
	kb_json_out__close(out, ']');
	kb_json_out__line(out);
	kb_json_out__open(out, "weights", '[');
	for (uint32_t i = first; i < end; i++)
		if (nodes[i].self)
			kb_json_out__real(out, NULL, weight_of(scope, nodes[i].self));
	kb_json_out__close(out, ']');
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

static void begin_profile(struct speedscope *scope)
{
	kb_json_out__open(&scope->out, NULL, '{');
	kb_json_out__text(&scope->out, "type", "sampled");
}

static void write_thread(struct speedscope *scope, uint32_t root)
{
	const struct kb_tree *tree = scope->tree;
	const struct kb_tree_node *node = &tree->nodes[root];
	const struct kb_label *label = &tree->labels[node->label];
	const struct kb_label *process = &tree->labels[tree->nodes[node->parent].label];
	uint32_t end = root + 1;

	/* Parents stand before their children: the subtree ends where a node hangs higher up. */
	while (end < tree->n_nodes && tree->nodes[end].parent != KB_ID_NONE &&
	       tree->nodes[end].parent >= root)
		end++;
	begin_profile(scope);
	kb_json_out__textf(&scope->out, "name", "process %" PRId32 " %s, thread %" PRId32 " %s",
			   process->number, process->name, label->number, label->name);
	write_samples(scope, root, end, node->total);
}

static uint32_t count_threads(const struct kb_tree *tree)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < tree->n_nodes; i++)
		n += tree->labels[tree->nodes[i].label].kind == KB_LABEL_THREAD;
	return n;
}

static void write_profiles(struct speedscope *scope)
{
	const struct kb_tree *tree = scope->tree;

	kb_json_out__open(&scope->out, "profiles", '[');
	if (count_threads(tree) != 1) {
		begin_profile(scope);
		kb_json_out__text(&scope->out, "name", "all threads");
		write_samples(scope, 0, tree->n_nodes, tree->total);
	}
	for (uint32_t i = 0; i < tree->n_nodes; i++)
		if (tree->labels[tree->nodes[i].label].kind == KB_LABEL_THREAD)
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
	struct kb_tree *tree;

	KB_TRY(kb_tree__create(profile, &tree_opts, &tree));
	scope.tree = tree;
	scope.timed = kb_profile__seconds(profile, 1) > 0;
	scope.frames = calloc((size_t)tree->n_labels + 1, sizeof(*scope.frames));
	scope.path = calloc((size_t)tree->n_nodes + 1, sizeof(*scope.path));
	if (scope.frames && scope.path)
		write_file(&scope);
	free(scope.path);
	kb_tree__destroy(tree);
	if (scope.frames && !scope.path) {
		free(scope.frames);
		return kb_error__no_memory();
	}
	free(scope.frames);
	return NULL;
}
