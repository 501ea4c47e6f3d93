// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How the tree is made, in four passes, none of them recursive: stacks of a
 * hostile recording may be millions of frames deep.
 *
 * 1. Labels: one for each function (or each of its lines), process and thread,
 *    sorted, those that read the same made one, so that later a label's id is its rank.
 * 2. Merging: each sample's stack is followed from its leaf towards the root until a
 *    node that was merged before, then merged downwards: (merged parent, label)
 *    is looked up in a pair index. Samples come sorted by group (thread or
 *    process), and a node merged for another group does not count, so a stack
 *    node is visited once for each group that has it.
 * 3. Totals: ids of parents are smaller, so one pass from the last to the first.
 * 4. Preorder: nodes are sorted by parent and order among siblings; a node's
 *    place is its parent's, plus one, plus the sizes of the siblings before it.
 */
#include <stdlib.h>
#include <string.h>
#include "format/pair_index.h"
#include "format/tree.h"

struct builder {
	const struct kb_profile *profile;
	const struct kb_tree_opts *opts;
	struct kb_tree *tree;
	uint32_t *label_of_frame;		/* before ranking */
	uint32_t process_labels, thread_labels; /* the first of each, before ranking */
	uint32_t *rank;				/* of a label before ranking */

	struct kb_pair_index *index; /* (merged parent + 1, label) to merged node */
	uint32_t *merged;	     /* of a stack node, valid when group says so */
	uint32_t *group;	     /* group + 1 for which merged is valid */
	uint32_t *path;
	uint64_t *self, *total; /* by merged node */
	uint32_t self_size;
};

int kb_label__compare(const struct kb_label *a, const struct kb_label *b)
{
	int diff = strcmp(a->name, b->name);

	if (!diff)
		diff = strcmp(a->file, b->file);
	if (!diff)
		diff = (a->number > b->number) - (a->number < b->number);
	if (!diff)
		diff = (int)a->kind - (int)b->kind;
	return diff;
}

const char *kb_label__group(const struct kb_label *label)
{
	if (label->kind == KB_LABEL_PROCESS)
		return "process ";
	return label->kind == KB_LABEL_THREAD ? "thread " : NULL;
}

const char *kb_label__place(const struct kb_label *label)
{
	if (label->kind == KB_LABEL_KERNEL)
		return "kernel";
	if (label->kind != KB_LABEL_FRAME && label->kind != KB_LABEL_NATIVE)
		return NULL;
	return *label->file ? label->file : "?";
}

/* calloc that never returns NULL for nothing. */
static void *alloc_array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

static struct kb_label frame_label(const struct kb_profile *profile, uint32_t function,
				   int32_t line)
{
	const struct kb_function_info *info = kb_profile__function(profile, function);

	switch (info->kind) {
	case KB_FRAME_MARKER:
		return (struct kb_label){ KB_LABEL_MARKER, 0, info->name, "" };
	case KB_FRAME_KERNEL:
		return (struct kb_label){ KB_LABEL_KERNEL, 0, info->name, "" };
	case KB_FRAME_NATIVE:
		return (struct kb_label){ KB_LABEL_NATIVE, line, info->name, info->file };
	default:
		return (struct kb_label){ KB_LABEL_FRAME, line, info->name, info->file };
	}
}

/* Labels of functions: their ids are the functions' own. */
static void label_functions(struct builder *b)
{
	struct kb_tree *tree = b->tree;

	for (uint32_t i = 0; i < kb_profile__n_functions(b->profile); i++)
		tree->labels[tree->n_labels++] =
			frame_label(b->profile, i, kb_profile__function(b->profile, i)->first_line);
	for (uint32_t i = 0; i < kb_profile__n_frames(b->profile); i++)
		b->label_of_frame[i] = kb_profile__frame(b->profile, i)->function;
}

/* Labels of lines: several frames may be on one line. */
static struct kb_error *label_lines(struct builder *b, struct kb_pair_index *lines)
{
	struct kb_tree *tree = b->tree;

	for (uint32_t i = 0; i < kb_profile__n_frames(b->profile); i++) {
		const struct kb_frame_info *frame = kb_profile__frame(b->profile, i);
		struct kb_pair pair = { frame->function, (uint32_t)frame->line };

		KB_TRY(kb_pair_index__add(lines, pair, &b->label_of_frame[i]));
		if (b->label_of_frame[i] == tree->n_labels)
			tree->labels[tree->n_labels++] =
				frame_label(b->profile, frame->function, frame->line);
	}
	return NULL;
}

static void label_groups(struct builder *b)
{
	struct kb_tree *tree = b->tree;

	b->process_labels = tree->n_labels;
	for (uint32_t i = 0; i < kb_profile__n_processes(b->profile); i++) {
		const struct kb_process_info *info = kb_profile__process(b->profile, i);

		tree->labels[tree->n_labels++] =
			(struct kb_label){ KB_LABEL_PROCESS, info->pid, info->comm, "" };
	}
	b->thread_labels = tree->n_labels;
	for (uint32_t i = 0; i < kb_profile__n_threads(b->profile); i++) {
		const struct kb_thread_info *info = kb_profile__thread(b->profile, i);

		tree->labels[tree->n_labels++] =
			(struct kb_label){ KB_LABEL_THREAD, info->tid,
					   *info->python_name ? info->python_name : info->name,
					   "" };
	}
}

static struct kb_error *make_labels(struct builder *b)
{
	uint32_t n_frames = kb_profile__n_frames(b->profile);
	struct kb_error *err = NULL;
	struct kb_pair_index *lines;

	b->label_of_frame = alloc_array(n_frames, sizeof(*b->label_of_frame));
	b->tree->labels = alloc_array((size_t)kb_profile__n_functions(b->profile) + n_frames +
					      kb_profile__n_processes(b->profile) +
					      kb_profile__n_threads(b->profile),
				      sizeof(*b->tree->labels));
	if (!b->label_of_frame || !b->tree->labels)
		return kb_error__no_memory();
	if (b->opts->lines) {
		KB_TRY(kb_pair_index__create(&lines));
		err = label_lines(b, lines);
		kb_pair_index__destroy(lines);
	} else {
		label_functions(b);
	}
	label_groups(b);
	return err;
}

static int compare_labels(const void *a, const void *b, void *labels)
{
	const struct kb_label *all = labels;

	return kb_label__compare(&all[*(const uint32_t *)a], &all[*(const uint32_t *)b]);
}

/* Sorts the labels and leaves one of each. */
static struct kb_error *rank_labels(struct builder *b)
{
	struct kb_tree *tree = b->tree;
	struct kb_label *ranked = alloc_array(tree->n_labels, sizeof(*ranked));
	uint32_t *sorted = alloc_array(tree->n_labels, sizeof(*sorted));
	uint32_t n = 0;

	b->rank = alloc_array(tree->n_labels, sizeof(*b->rank));
	if (!ranked || !sorted || !b->rank) {
		free(ranked);
		free(sorted);
		return kb_error__no_memory();
	}
	for (uint32_t i = 0; i < tree->n_labels; i++)
		sorted[i] = i;
	qsort_r(sorted, tree->n_labels, sizeof(*sorted), compare_labels, tree->labels);
	for (uint32_t i = 0; i < tree->n_labels; i++) {
		const struct kb_label *label = &tree->labels[sorted[i]];

		if (!n || kb_label__compare(label, &ranked[n - 1]))
			ranked[n++] = *label;
		b->rank[sorted[i]] = n - 1;
	}
	free(sorted);
	free(tree->labels);
	tree->labels = ranked;
	tree->n_labels = n;
	return NULL;
}

/* The merged node for a label below a merged parent (KB_ID_NONE: a root). */
static struct kb_error *merge(struct builder *b, uint32_t parent, uint32_t label, uint32_t *node)
{
	/* KB_ID_NONE + 1 wraps to 0. */
	return kb_pair_index__add(b->index, (struct kb_pair){ parent + 1, b->rank[label] }, node);
}

static uint32_t group_of(const struct builder *b, uint32_t thread)
{
	if (b->opts->threads)
		return thread;
	return b->opts->processes ? kb_profile__thread(b->profile, thread)->process : 0;
}

/* The node below which the stacks of a thread hang, KB_ID_NONE for none. */
static struct kb_error *merge_group(struct builder *b, uint32_t thread, uint32_t *root)
{
	*root = KB_ID_NONE;
	if (b->opts->processes) {
		uint32_t process = kb_profile__thread(b->profile, thread)->process;

		KB_TRY(merge(b, *root, b->process_labels + process, root));
	}
	if (b->opts->threads)
		KB_TRY(merge(b, *root, b->thread_labels + thread, root));
	return NULL;
}

static struct kb_error *count_self(struct builder *b, uint32_t node, uint64_t count)
{
	if (node >= b->self_size) {
		uint32_t size = b->self_size ? b->self_size : 1024;
		uint64_t *self;

		while (size <= node)
			size *= 2;
		self = realloc(b->self, size * sizeof(*self));
		if (!self)
			return kb_error__no_memory();
		memset(self + b->self_size, 0, (size - b->self_size) * sizeof(*self));
		b->self = self;
		b->self_size = size;
	}
	b->self[node] += count;
	return NULL;
}

static struct kb_error *merge_sample(struct builder *b, const struct kb_sample *sample)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(b->profile);
	uint32_t group = group_of(b, sample->thread) + 1;
	uint32_t node = sample->node, merged, depth = 0;

	while (node != KB_ID_NONE && b->group[node] != group) {
		b->path[depth++] = node;
		node = nodes[node].parent;
	}
	if (node == KB_ID_NONE)
		KB_TRY(merge_group(b, sample->thread, &merged));
	else
		merged = b->merged[node];
	while (depth) {
		node = b->path[--depth];
		KB_TRY(merge(b, merged, b->label_of_frame[nodes[node].frame], &merged));
		b->merged[node] = merged;
		b->group[node] = group;
	}
	return count_self(b, merged, sample->count);
}

static int compare_samples(const void *a, const void *b, void *arg)
{
	const struct builder *builder = arg;
	uint32_t x = group_of(builder, (*(const struct kb_sample *const *)a)->thread);
	uint32_t y = group_of(builder, (*(const struct kb_sample *const *)b)->thread);

	return (x > y) - (x < y);
}

static struct kb_error *merge_samples(struct builder *b)
{
	const struct kb_sample *samples = kb_profile__samples(b->profile);
	uint32_t n = kb_profile__n_samples(b->profile);
	const struct kb_sample **sorted = alloc_array(n, sizeof(*sorted));
	struct kb_error *err = NULL;

	if (!sorted)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = &samples[i];
	if (b->opts->threads || b->opts->processes)
		qsort_r(sorted, n, sizeof(*sorted), compare_samples, b);
	for (uint32_t i = 0; !err && i < n; i++)
		if (sorted[i]->count)
			err = merge_sample(b, sorted[i]);
	free(sorted);
	return err;
}

static struct kb_error *merge_stacks(struct builder *b)
{
	uint32_t n = kb_profile__n_nodes(b->profile);

	b->merged = alloc_array(n, sizeof(*b->merged));
	b->group = alloc_array(n, sizeof(*b->group));
	b->path = alloc_array(n, sizeof(*b->path));
	if (!b->merged || !b->group || !b->path)
		return kb_error__no_memory();
	KB_TRY(kb_pair_index__create(&b->index));
	return merge_samples(b);
}

static struct kb_error *sum_totals(struct builder *b)
{
	const struct kb_pair *pairs = kb_pair_index__pairs(b->index);
	uint32_t n = kb_pair_index__count(b->index);

	if (n)
		KB_TRY(count_self(b, n - 1, 0));
	b->total = alloc_array(n, sizeof(*b->total));
	if (!b->total)
		return kb_error__no_memory();
	for (uint32_t i = n; i-- > 0;) {
		b->total[i] += b->self[i];
		if (pairs[i].first)
			b->total[pairs[i].first - 1] += b->total[i];
		else
			b->tree->total += b->total[i];
	}
	return NULL;
}

static int compare_nodes(const void *a, const void *b, void *arg)
{
	const struct builder *builder = arg;
	const struct kb_pair *pairs = kb_pair_index__pairs(builder->index);
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (pairs[x].first != pairs[y].first)
		return pairs[x].first < pairs[y].first ? -1 : 1;
	if (builder->opts->order == KB_TREE_BY_TOTAL && builder->total[x] != builder->total[y])
		return builder->total[x] > builder->total[y] ? -1 : 1;
	return (pairs[x].second > pairs[y].second) - (pairs[x].second < pairs[y].second);
}

/* sorted, size and place have a value for each of n merged nodes. */
static void number_in_preorder(struct builder *b, uint32_t n, uint32_t *sorted, uint32_t *size,
			       uint32_t *place)
{
	const struct kb_pair *pairs = kb_pair_index__pairs(b->index);
	uint32_t next = 0;

	for (uint32_t i = 0; i < n; i++)
		sorted[i] = i;
	qsort_r(sorted, n, sizeof(*sorted), compare_nodes, b);
	for (uint32_t i = n; i-- > 0;) {
		size[i]++;
		if (pairs[i].first)
			size[pairs[i].first - 1] += size[i];
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t node = sorted[i], parent = pairs[node].first;

		if (parent && (!i || pairs[sorted[i - 1]].first != parent))
			next = place[parent - 1] + 1;
		place[node] = next;
		next += size[node];
		b->tree->nodes[place[node]] = (struct kb_tree_node){
			.parent = parent ? place[parent - 1] : KB_ID_NONE,
			.label = pairs[node].second,
			.self = b->self[node],
			.total = b->total[node],
		};
	}
}

static struct kb_error *order_nodes(struct builder *b)
{
	uint32_t n = kb_pair_index__count(b->index);
	uint32_t *work = alloc_array((size_t)n * 3, sizeof(*work));

	b->tree->nodes = alloc_array(n, sizeof(*b->tree->nodes));
	if (!work || !b->tree->nodes) {
		free(work);
		return kb_error__no_memory();
	}
	b->tree->n_nodes = n;
	number_in_preorder(b, n, work, work + n, work + 2 * (size_t)n);
	free(work);
	return NULL;
}

static struct kb_error *build(struct builder *b)
{
	KB_TRY(make_labels(b));
	KB_TRY(rank_labels(b));
	KB_TRY(merge_stacks(b));
	KB_TRY(sum_totals(b));
	return order_nodes(b);
}

struct kb_error *kb_tree__create(const struct kb_profile *profile, const struct kb_tree_opts *opts,
				 struct kb_tree **tree)
{
	struct builder b = { .profile = profile, .opts = opts };
	struct kb_error *err;

	b.tree = calloc(1, sizeof(*b.tree));
	if (!b.tree)
		return kb_error__no_memory();
	err = build(&b);
	free(b.label_of_frame);
	free(b.rank);
	kb_pair_index__destroy(b.index);
	free(b.merged);
	free(b.group);
	free(b.path);
	free(b.self);
	free(b.total);
	if (err) {
		kb_tree__destroy(b.tree);
		return err;
	}
	*tree = b.tree;
	return NULL;
}

void kb_tree__destroy(struct kb_tree *tree)
{
	if (!tree)
		return;
	free(tree->nodes);
	free(tree->labels);
	free(tree);
}
