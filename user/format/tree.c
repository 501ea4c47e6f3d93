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

/* One of the profiles that go into the tree. */
struct side {
	const struct kb_profile *profile;
	uint32_t *label_of_frame; /* before ranking, as the next */
	uint32_t first_label, process_labels, thread_labels;

	uint32_t *merged;	/* of a stack node, valid when group says so */
	uint32_t *group;	/* group + 1 for which merged is valid */
	uint32_t *path;		/* as long as the deepest stack may be */
	uint64_t *self, *total; /* by merged node */
	uint32_t self_size;
	uint64_t total_of_roots;
};

enum { PROFILE, BASELINE, N_SIDES };

struct builder {
	const struct kb_tree_opts *opts;
	struct kb_tree *tree;
	struct side sides[N_SIDES];
	uint32_t n_sides;
	uint32_t *rank;		     /* of a label before ranking */
	struct kb_pair_index *index; /* (merged parent + 1, label) to merged node */
};

/* calloc that never returns NULL for nothing. */
static void *alloc_array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

/* Labels of functions: their ids are the functions' own, behind those of the side before. */
static void label_functions(struct builder *b, struct side *side)
{
	const struct kb_profile *profile = side->profile;
	struct kb_tree *tree = b->tree;
	uint32_t first = tree->n_labels;

	for (uint32_t i = 0; i < kb_profile__n_functions(profile); i++)
		tree->labels[tree->n_labels++] = kb_label__of_place(
			profile, i, kb_profile__function(profile, i)->first_line);
	for (uint32_t i = 0; i < kb_profile__n_frames(profile); i++)
		side->label_of_frame[i] = first + kb_profile__frame(profile, i)->function;
}

/* Labels of instructions: frames are told apart by them. */
static void label_opcodes(struct builder *b, struct side *side)
{
	struct kb_tree *tree = b->tree;

	for (uint32_t i = 0; i < kb_profile__n_frames(side->profile); i++) {
		const struct kb_frame_info *frame = kb_profile__frame(side->profile, i);
		int32_t line =
			b->opts->lines
				? frame->line
				: kb_profile__function(side->profile, frame->function)->first_line;
		struct kb_label *label = &tree->labels[tree->n_labels];

		*label = kb_label__of_place(side->profile, frame->function, line);
		label->opcode = frame->opcode;
		side->label_of_frame[i] = tree->n_labels++;
	}
}

/* Labels of lines: several frames may be on one line. */
static struct kb_error *label_lines(struct builder *b, struct side *side,
				    struct kb_pair_index *lines)
{
	struct kb_tree *tree = b->tree;
	uint32_t first = tree->n_labels, id;

	for (uint32_t i = 0; i < kb_profile__n_frames(side->profile); i++) {
		const struct kb_frame_info *frame = kb_profile__frame(side->profile, i);
		struct kb_pair pair = { frame->function, (uint32_t)frame->line };

		KB_TRY(kb_pair_index__add(lines, pair, &id));
		side->label_of_frame[i] = first + id;
		if (side->label_of_frame[i] == tree->n_labels)
			tree->labels[tree->n_labels++] =
				kb_label__of_place(side->profile, frame->function, frame->line);
	}
	return NULL;
}

static void label_groups(struct builder *b, struct side *side)
{
	struct kb_tree *tree = b->tree;
	bool numbered = !b->opts->baseline;

	side->process_labels = tree->n_labels;
	for (uint32_t i = 0; i < kb_profile__n_processes(side->profile); i++)
		tree->labels[tree->n_labels++] =
			kb_label__of_process(kb_profile__process(side->profile, i));
	side->thread_labels = tree->n_labels;
	for (uint32_t i = 0; i < kb_profile__n_threads(side->profile); i++)
		tree->labels[tree->n_labels++] =
			kb_label__of_thread(kb_profile__thread(side->profile, i));
	for (uint32_t i = side->process_labels; !numbered && i < tree->n_labels; i++)
		tree->labels[i].number = 0;
}

static struct kb_error *label_side(struct builder *b, struct side *side)
{
	struct kb_error *err = NULL;
	struct kb_pair_index *lines;

	side->first_label = b->tree->n_labels;
	side->label_of_frame =
		alloc_array(kb_profile__n_frames(side->profile), sizeof(*side->label_of_frame));
	if (!side->label_of_frame)
		return kb_error__no_memory();
	if (b->opts->opcodes) {
		label_opcodes(b, side);
	} else if (b->opts->lines) {
		KB_TRY(kb_pair_index__create(&lines));
		err = label_lines(b, side, lines);
		kb_pair_index__destroy(lines);
	} else {
		label_functions(b, side);
	}
	label_groups(b, side);
	return err;
}

static struct kb_error *make_labels(struct builder *b)
{
	size_t n = 0;

	for (uint32_t i = 0; i < b->n_sides; i++) {
		const struct kb_profile *profile = b->sides[i].profile;

		n += (size_t)kb_profile__n_functions(profile) + kb_profile__n_frames(profile) +
		     kb_profile__n_processes(profile) + kb_profile__n_threads(profile);
	}
	b->tree->labels = alloc_array(n, sizeof(*b->tree->labels));
	if (!b->tree->labels)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < b->n_sides; i++)
		KB_TRY(label_side(b, &b->sides[i]));
	return NULL;
}

static int compare_labels(const void *a, const void *b, void *labels)
{
	const struct kb_label *all = labels;

	return kb_label__compare(&all[*(const uint32_t *)a], &all[*(const uint32_t *)b]);
}

/* Whether two labels are shown as one. */
static bool same_label(const struct builder *b, const struct kb_label *x, const struct kb_label *y)
{
	if (!b->opts->by_name)
		return !kb_label__compare(x, y);
	return x->kind == y->kind && !strcmp(x->name, y->name) && !strcmp(x->file, y->file);
}

/* What stands for labels that are shown as one: the profile's. */
static void choose_label(struct kb_label *chosen, bool *of_baseline, const struct kb_label *label,
			 bool baseline)
{
	if (*of_baseline && !baseline)
		*chosen = *label;
	*of_baseline &= baseline;
}

/* Sorts the labels and leaves one of each. */
static struct kb_error *rank_labels(struct builder *b)
{
	uint32_t baseline_labels = b->n_sides > 1 ? b->sides[BASELINE].first_label : UINT32_MAX;
	struct kb_tree *tree = b->tree;
	bool of_baseline = false;
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

		if (!n || !same_label(b, label, &ranked[n - 1])) {
			of_baseline = sorted[i] >= baseline_labels;
			ranked[n++] = *label;
		}
		choose_label(&ranked[n - 1], &of_baseline, label, sorted[i] >= baseline_labels);
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

static uint32_t group_of(const struct builder *b, const struct side *side, uint32_t thread)
{
	if (b->opts->threads)
		return thread;
	return b->opts->processes ? kb_profile__thread(side->profile, thread)->process : 0;
}

/* The node below which the stacks of a thread hang, KB_ID_NONE for none. */
static struct kb_error *merge_group(struct builder *b, const struct side *side, uint32_t thread,
				    uint32_t *root)
{
	*root = KB_ID_NONE;
	if (b->opts->processes) {
		uint32_t process = kb_profile__thread(side->profile, thread)->process;

		KB_TRY(merge(b, *root, side->process_labels + process, root));
	}
	if (b->opts->threads)
		KB_TRY(merge(b, *root, side->thread_labels + thread, root));
	return NULL;
}

static struct kb_error *count_self(struct side *side, uint32_t node, uint64_t count)
{
	if (node >= side->self_size) {
		uint32_t size = side->self_size ? side->self_size : 1024;
		uint64_t *self;

		while (size <= node)
			size *= 2;
		self = realloc(side->self, size * sizeof(*self));
		if (!self)
			return kb_error__no_memory();
		memset(self + side->self_size, 0, (size - side->self_size) * sizeof(*self));
		side->self = self;
		side->self_size = size;
	}
	side->self[node] += count;
	return NULL;
}

static struct kb_error *merge_sample(struct builder *b, struct side *side,
				     const struct kb_sample *sample)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(side->profile);
	uint32_t group = group_of(b, side, sample->thread) + 1;
	uint32_t node = sample->node, merged, depth = 0;

	while (node != KB_ID_NONE && side->group[node] != group) {
		side->path[depth++] = node;
		node = nodes[node].parent;
	}
	if (node == KB_ID_NONE)
		KB_TRY(merge_group(b, side, sample->thread, &merged));
	else
		merged = side->merged[node];
	while (depth) {
		node = side->path[--depth];
		KB_TRY(merge(b, merged, side->label_of_frame[nodes[node].frame], &merged));
		side->merged[node] = merged;
		side->group[node] = group;
	}
	if (b->tree->samples && side == &b->sides[PROFILE])
		b->tree->samples[b->tree->n_samples++] =
			(struct kb_tree_sample){ sample->thread, merged, sample->count };
	return count_self(side, merged, sample->count);
}

struct order {
	const struct builder *builder;
	const struct side *side;
};

static int compare_samples(const void *a, const void *b, void *arg)
{
	const struct order *order = arg;
	uint32_t x = group_of(order->builder, order->side,
			      (*(const struct kb_sample *const *)a)->thread);
	uint32_t y = group_of(order->builder, order->side,
			      (*(const struct kb_sample *const *)b)->thread);

	return (x > y) - (x < y);
}

static struct kb_error *merge_samples(struct builder *b, struct side *side)
{
	const struct kb_sample *samples = kb_profile__samples(side->profile);
	uint32_t n = kb_profile__n_samples(side->profile);
	const struct kb_sample **sorted = alloc_array(n, sizeof(*sorted));
	struct order order = { b, side };
	struct kb_error *err = NULL;

	if (!sorted)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = &samples[i];
	if (b->opts->threads || b->opts->processes)
		qsort_r(sorted, n, sizeof(*sorted), compare_samples, &order);
	for (uint32_t i = 0; !err && i < n; i++)
		if (sorted[i]->count)
			err = merge_sample(b, side, sorted[i]);
	free(sorted);
	return err;
}

static struct kb_error *merge_side(struct builder *b, struct side *side)
{
	uint32_t n = kb_profile__n_nodes(side->profile);

	side->merged = alloc_array(n, sizeof(*side->merged));
	side->group = alloc_array(n, sizeof(*side->group));
	side->path = alloc_array(n, sizeof(*side->path));
	if (!side->merged || !side->group || !side->path)
		return kb_error__no_memory();
	return merge_samples(b, side);
}

static struct kb_error *merge_stacks(struct builder *b)
{
	if (b->opts->samples) {
		b->tree->samples = alloc_array(kb_profile__n_samples(b->sides[PROFILE].profile),
					       sizeof(*b->tree->samples));
		if (!b->tree->samples)
			return kb_error__no_memory();
	}
	KB_TRY(kb_pair_index__create(&b->index));
	for (uint32_t i = 0; i < b->n_sides; i++)
		KB_TRY(merge_side(b, &b->sides[i]));
	return NULL;
}

static struct kb_error *sum_totals(struct builder *b, struct side *side)
{
	const struct kb_pair *pairs = kb_pair_index__pairs(b->index);
	uint32_t n = kb_pair_index__count(b->index);

	if (n)
		KB_TRY(count_self(side, n - 1, 0));
	side->total = alloc_array(n, sizeof(*side->total));
	if (!side->total)
		return kb_error__no_memory();
	for (uint32_t i = n; i-- > 0;) {
		side->total[i] += side->self[i];
		if (pairs[i].first)
			side->total[pairs[i].first - 1] += side->total[i];
		else
			side->total_of_roots += side->total[i];
	}
	return NULL;
}

/* What a node weighs among its siblings. */
static uint64_t weight(const struct builder *b, uint32_t node)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->n_sides; i++)
		sum += b->sides[i].total[node];
	return sum;
}

static int compare_nodes(const void *a, const void *b, void *arg)
{
	const struct builder *builder = arg;
	const struct kb_pair *pairs = kb_pair_index__pairs(builder->index);
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	bool by_total = builder->opts->order == KB_TREE_BY_TOTAL;

	if (pairs[x].first != pairs[y].first)
		return pairs[x].first < pairs[y].first ? -1 : 1;
	if (by_total && weight(builder, x) != weight(builder, y))
		return weight(builder, x) > weight(builder, y) ? -1 : 1;
	return (pairs[x].second > pairs[y].second) - (pairs[x].second < pairs[y].second);
}

static void store_node(struct builder *b, uint32_t node, const uint32_t *place)
{
	struct kb_pair pair = kb_pair_index__pairs(b->index)[node];
	const struct side *side = &b->sides[PROFILE], *baseline = &b->sides[BASELINE];

	b->tree->nodes[place[node]] = (struct kb_tree_node){
		.parent = pair.first ? place[pair.first - 1] : KB_ID_NONE,
		.label = pair.second,
		.self = side->self[node],
		.total = side->total[node],
	};
	if (b->tree->baseline)
		b->tree->baseline[place[node]] =
			(struct kb_tree_cost){ baseline->self[node], baseline->total[node] };
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
		store_node(b, node, place);
	}
}

static int compare_tree_samples(const void *a, const void *b)
{
	const struct kb_tree_sample *x = a, *y = b;

	if (x->thread != y->thread)
		return x->thread < y->thread ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

/* Stacks that read the same may be several of a thread's samples. */
static void order_samples(struct kb_tree *tree, const uint32_t *place)
{
	struct kb_tree_sample *samples = tree->samples;
	uint32_t n = 0;

	for (uint32_t i = 0; i < tree->n_samples; i++)
		samples[i].node = place[samples[i].node];
	if (tree->n_samples)
		qsort(samples, tree->n_samples, sizeof(*samples), compare_tree_samples);
	for (uint32_t i = 0; i < tree->n_samples; i++) {
		if (n && !compare_tree_samples(&samples[n - 1], &samples[i]))
			samples[n - 1].count += samples[i].count;
		else
			samples[n++] = samples[i];
	}
	tree->n_samples = n;
}

static struct kb_error *order_nodes(struct builder *b)
{
	uint32_t n = kb_pair_index__count(b->index);
	uint32_t *work = alloc_array((size_t)n * 3, sizeof(*work));
	struct kb_tree *tree = b->tree;

	tree->nodes = alloc_array(n, sizeof(*tree->nodes));
	if (b->n_sides > 1)
		tree->baseline = alloc_array(n, sizeof(*tree->baseline));
	if (!work || !tree->nodes || (b->n_sides > 1 && !tree->baseline)) {
		free(work);
		return kb_error__no_memory();
	}
	tree->n_nodes = n;
	number_in_preorder(b, n, work, work + n, work + 2 * (size_t)n);
	if (tree->samples)
		order_samples(tree, work + 2 * (size_t)n);
	free(work);
	return NULL;
}

static struct kb_error *build(struct builder *b)
{
	KB_TRY(make_labels(b));
	KB_TRY(rank_labels(b));
	KB_TRY(merge_stacks(b));
	for (uint32_t i = 0; i < b->n_sides; i++)
		KB_TRY(sum_totals(b, &b->sides[i]));
	b->tree->total = b->sides[PROFILE].total_of_roots;
	b->tree->baseline_total = b->sides[BASELINE].total_of_roots;
	return order_nodes(b);
}

static void free_side(struct side *side)
{
	free(side->label_of_frame);
	free(side->merged);
	free(side->group);
	free(side->path);
	free(side->self);
	free(side->total);
}

struct kb_error *kb_tree__create(const struct kb_profile *profile, const struct kb_tree_opts *opts,
				 struct kb_tree **tree)
{
	struct builder b = {
		.opts = opts,
		.sides = { [PROFILE] = { .profile = profile },
			   [BASELINE] = { .profile = opts->baseline } },
		.n_sides = opts->baseline ? 2 : 1,
	};
	struct kb_error *err;

	b.tree = calloc(1, sizeof(*b.tree));
	if (!b.tree)
		return kb_error__no_memory();
	err = build(&b);
	free(b.rank);
	kb_pair_index__destroy(b.index);
	for (uint32_t i = 0; i < N_SIDES; i++)
		free_side(&b.sides[i]);
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
	free(tree->samples);
	free(tree->baseline);
	free(tree);
}
