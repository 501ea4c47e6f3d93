// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The data of a flame graph's page is a JSON object:
 *
 *     meta, ledger       what the header shows
 *     files              each file name once
 *     labels             [kind (enum kb_label_kind), name, index into files, line, PID or TID]
 *     label, up, self    for each node in preorder: its label, how many levels it stands above
 *                        a child of its predecessor, samples whose leaf it is
 *     threads            [PID, comm, TID, name], when there are several
 *     nodes, counts      for each of them: the nodes that are leaves of its samples, each as the
 *                        distance from the one before, and how many samples
 *     manyThreads        instead of these three: they would be too much data
 *     baseline, old      with a baseline: its meta and ledger, its samples of each node
 *
 * Fifty thousand nodes take about 400 KB this way.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "format/flame_page.h"
#include "format/page.h"
#include "format/tree.h"

/*
 * Browsers draw half a million nodes without delay, and no screen shows more. Of
 * larger trees the smallest stacks are drawn as one frame beside their siblings.
 */
#define FLAMEGRAPH_NODES_MAX (1u << 19)
#define SMALL_STACKS	     "<stacks too small to draw>"
/* Pairs of thread and stack: as much data again as the nodes themselves. Of more, no thread can be
 * chosen in the page. */
#define FLAMEGRAPH_PAIRS_MAX (1u << 19)

static const unsigned char template_html[] = {
#include "embed/flamegraph.html.h"
	0
};
static const unsigned char style_css[] = {
#include "embed/flamegraph.css.h"
	0
};
static const unsigned char tree_js[] = {
#include "embed/flame_tree.js.h"
	0
};
static const unsigned char draw_js[] = {
#include "embed/flame_draw.js.h"
	0
};
static const unsigned char words_js[] = {
#include "embed/flame_words.js.h"
	0
};
static const unsigned char script_js[] = {
#include "embed/flamegraph.js.h"
	0
};

/* A node as it is written; a run of small siblings is one of these, too. */
struct drawn {
	uint32_t label;
	uint32_t level;
	uint64_t self, old;
};

struct flame {
	const struct kb_profile *profile, *baseline;
	const struct kb_format_opts *opts;
	const struct kb_tree *tree;
	const char **files; /* sorted, each once */
	uint32_t n_files;
	struct drawn *drawn;
	uint32_t n_drawn;
	uint32_t *drawn_of; /* by node of the tree */
	FILE *stream;
};

/* ---------------------------------------------------------------- labels */

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct kb_error *collect_files(struct flame *flame)
{
	uint32_t n = flame->tree->n_labels, kept = 0;

	flame->files = calloc(n + 1, sizeof(*flame->files));
	if (!flame->files)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		flame->files[i] = flame->tree->labels[i].file;
	flame->files[n] = "";
	qsort(flame->files, n + 1, sizeof(*flame->files), compare_strings);
	for (uint32_t i = 0; i <= n; i++)
		if (!kept || strcmp(flame->files[i], flame->files[kept - 1]))
			flame->files[kept++] = flame->files[i];
	flame->n_files = kept;
	return NULL;
}

static void write_label(const struct flame *flame, const struct kb_label *label)
{
	const char **file = bsearch(&label->file, flame->files, flame->n_files,
				    sizeof(*flame->files), compare_strings);

	fprintf(flame->stream, "[%d,", label->kind);
	kb_text__write_json(flame->stream, label->name);
	fprintf(flame->stream, ",%td,%" PRId32 "],\n", file - flame->files, label->number);
}

static void write_labels(const struct flame *flame)
{
	fputs(",\n\"files\":[", flame->stream);
	for (uint32_t i = 0; i < flame->n_files; i++) {
		fputs(i ? ",\n" : "", flame->stream);
		kb_text__write_json(flame->stream, flame->files[i]);
	}
	fputs("],\n\"labels\":[", flame->stream);
	for (uint32_t i = 0; i < flame->tree->n_labels; i++)
		write_label(flame, &flame->tree->labels[i]);
	fprintf(flame->stream, "[%d,", KB_LABEL_MARKER);
	kb_text__write_json(flame->stream, SMALL_STACKS);
	fputs(",0,0]]", flame->stream); /* file 0 is "" */
}

/* ---------------------------------------------------------------- nodes */

static struct kb_tree_cost baseline_cost(const struct kb_tree *tree, uint32_t node)
{
	return tree->baseline ? tree->baseline[node] : (struct kb_tree_cost){};
}

/* By which the tree has ordered siblings. */
static uint64_t weight(const struct kb_tree *tree, uint32_t node)
{
	return tree->nodes[node].total + baseline_cost(tree, node).total;
}

static uint64_t find_smallest(const struct kb_tree *tree)
{
	uint64_t smallest = 1;
	uint32_t n;

	for (; smallest <= UINT64_MAX / 2; smallest *= 2) {
		n = 0;
		for (uint32_t i = 0; i < tree->n_nodes; i++)
			n += weight(tree, i) >= smallest;
		if (n <= FLAMEGRAPH_NODES_MAX)
			break;
	}
	return smallest;
}

/*
 * Adds a node, or a run of siblings that are too small, and returns the node after
 * it. Siblings stand by weight, so that small ones follow each other, with what is below
 * them between.
 */
static uint32_t draw_next(struct flame *flame, uint32_t at, uint64_t smallest)
{
	const struct kb_tree *tree = flame->tree;
	const struct kb_tree_node *node = &tree->nodes[at], *other;
	struct drawn *drawn = &flame->drawn[flame->n_drawn];
	uint32_t next = at, parent = node->parent;

	drawn->level = parent == KB_ID_NONE ? 0 : flame->drawn[flame->drawn_of[parent]].level + 1;
	if (weight(tree, at) >= smallest) {
		drawn->label = node->label;
		drawn->self = node->self;
		drawn->old = baseline_cost(tree, at).self;
		flame->drawn_of[at] = flame->n_drawn++;
		return at + 1;
	}
	drawn->label = tree->n_labels;
	for (; next < tree->n_nodes; next++) {
		other = &tree->nodes[next];
		if (other->parent == parent) {
			drawn->self += other->total;
			drawn->old += baseline_cost(tree, next).total;
		} else if (other->parent == KB_ID_NONE || other->parent < at) {
			break;
		}
		flame->drawn_of[next] = flame->n_drawn;
	}
	flame->n_drawn++;
	return next;
}

static struct kb_error *draw(struct flame *flame)
{
	uint64_t smallest = find_smallest(flame->tree);
	uint32_t n = flame->tree->n_nodes;

	flame->drawn = calloc((size_t)n + 1, sizeof(*flame->drawn));
	flame->drawn_of = calloc((size_t)n + 1, sizeof(*flame->drawn_of));
	if (!flame->drawn || !flame->drawn_of)
		return kb_error__no_memory();
	for (uint32_t at = 0; at < n;)
		at = draw_next(flame, at, smallest);
	return NULL;
}

enum column { COLUMN_LABEL, COLUMN_UP, COLUMN_SELF, COLUMN_OLD };

static void write_column(const struct flame *flame, enum column column)
{
	uint32_t child_level = 0;

	for (uint32_t i = 0; i < flame->n_drawn && !ferror(flame->stream); i++) {
		const struct drawn *drawn = &flame->drawn[i];
		const uint64_t values[] = {
			[COLUMN_LABEL] = drawn->label,
			[COLUMN_UP] = child_level - drawn->level,
			[COLUMN_SELF] = drawn->self,
			[COLUMN_OLD] = drawn->old,
		};

		child_level = drawn->level + 1;
		fprintf(flame->stream, i ? ",%" PRIu64 : "%" PRIu64, values[column]);
	}
}

static void write_nodes(const struct flame *flame)
{
	static const char *const names[] = { "label", "up", "self", "old" };
	enum column last = flame->baseline ? COLUMN_OLD : COLUMN_SELF;

	for (enum column column = COLUMN_LABEL; column <= last; column++) {
		fprintf(flame->stream, ",\n\"%s\":[", names[column]);
		write_column(flame, column);
		putc(']', flame->stream);
	}
}

/* ---------------------------------------------------------------- threads */

static void write_thread(const struct flame *flame, uint32_t id)
{
	const struct kb_thread_info *thread = kb_profile__thread(flame->profile, id);
	const struct kb_process_info *process =
		kb_profile__process(flame->profile, thread->process);

	fprintf(flame->stream, "[%" PRId32 ",", process->pid);
	kb_text__write_json(flame->stream, process->comm);
	fprintf(flame->stream, ",%" PRId32 ",", thread->tid);
	kb_text__write_json(flame->stream, kb_label__of_thread(thread).name);
	putc(']', flame->stream);
}

enum part { PART_THREAD, PART_NODES, PART_COUNTS };

/* One value for each thread: itself, or an array of what belongs to its samples. */
static void write_threads_column(const struct flame *flame, enum part part)
{
	const struct kb_tree *tree = flame->tree;
	uint32_t before = 0;

	for (uint32_t i = 0; i < tree->n_samples && !ferror(flame->stream); i++) {
		const struct kb_tree_sample *sample = &tree->samples[i];
		bool first = !i || sample->thread != sample[-1].thread;

		if (part == PART_THREAD) {
			if (first) {
				fputs(i ? ",\n" : "", flame->stream);
				write_thread(flame, sample->thread);
			}
			continue;
		}
		if (first)
			fputs(i ? "],\n[" : "[", flame->stream);
		before = first ? 0 : before;
		fputs(first ? "" : ",", flame->stream);
		if (part == PART_COUNTS)
			fprintf(flame->stream, "%" PRIu64, sample->count);
		else
			fprintf(flame->stream, "%" PRIu32, flame->drawn_of[sample->node] - before);
		before = flame->drawn_of[sample->node];
	}
	fputs(part != PART_THREAD ? "]" : "", flame->stream);
}

static void write_threads(const struct flame *flame)
{
	static const char *const names[] = { "threads", "nodes", "counts" };
	const struct kb_tree *tree = flame->tree;

	if (!tree->n_samples ||
	    tree->samples[0].thread == tree->samples[tree->n_samples - 1].thread)
		return;
	if (tree->n_samples > FLAMEGRAPH_PAIRS_MAX) {
		fputs(",\n\"manyThreads\":true", flame->stream);
		return;
	}
	for (enum part part = PART_THREAD; part <= PART_COUNTS; part++) {
		fprintf(flame->stream, ",\n\"%s\":[", names[part]);
		write_threads_column(flame, part);
		putc(']', flame->stream);
	}
}

/* ---------------------------------------------------------------- the page */

static struct kb_error *write_data(void *context, FILE *stream)
{
	struct flame *flame = context;

	KB_TRY(collect_files(flame));
	KB_TRY(draw(flame));
	kb_page__begin_profile(flame->profile, flame->opts->title, stream);
	write_labels(flame);
	write_nodes(flame);
	if (flame->baseline) {
		fputs(",\n\"baseline\":", stream);
		kb_page__begin_profile(flame->baseline, NULL, stream);
		putc('}', stream);
	} else {
		write_threads(flame);
	}
	putc('}', stream);
	return NULL;
}

struct kb_error *kb_flame_page__write(const struct kb_profile *profile,
				      const struct kb_profile *baseline,
				      const struct kb_format_opts *opts, FILE *stream)
{
	static const char *const styles[] = { (const char *)style_css, NULL };
	static const char *const scripts[] = { (const char *)tree_js, (const char *)draw_js,
					       (const char *)words_js, (const char *)script_js,
					       NULL };
	struct kb_tree_opts tree_opts = {
		.lines = opts->lines,
		.threads = opts->threads,
		.processes = opts->processes,
		.order = KB_TREE_BY_TOTAL,
		.by_name = baseline && !opts->lines,
		.samples = !baseline,
		.baseline = baseline,
	};
	struct flame flame = {
		.profile = profile, .baseline = baseline, .opts = opts, .stream = stream
	};
	struct kb_page page = { (const char *)template_html, styles, scripts, write_data, &flame };
	struct kb_tree *tree;
	struct kb_error *err;

	KB_TRY(kb_tree__create(profile, &tree_opts, &tree));
	flame.tree = tree;
	err = kb_page__write(&page, stream);
	free(flame.files);
	free(flame.drawn);
	free(flame.drawn_of);
	kb_tree__destroy(tree);
	return err;
}
