// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The flame graph is one HTML file without any reference to another: template,
 * style and script are embedded in the program, and the data is a JSON object
 * between them:
 *
 *     meta, ledger                what the header shows
 *     files                       each file name once
 *     labels                      [kind (enum kb_label_kind), name, index into files, line, PID or
 * TID] label, up, self             for each node in preorder: its label, how many levels it stands
 * above a child of its predecessor, samples whose leaf it is
 *
 * Fifty thousand nodes take about 400 KB this way.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "format/tree.h"
#include "format/writers.h"

/*
 * Browsers draw half a million nodes without delay, and no screen shows more. Of
 * larger trees the smallest stacks are drawn as one frame beside their siblings.
 */
#define FLAMEGRAPH_NODES_MAX (1u << 19)
#define SMALL_STACKS	     "<stacks too small to draw>"

static const unsigned char template_html[] = {
#include "embed/flamegraph.html.h"
	0
};
static const unsigned char style_css[] = {
#include "embed/flamegraph.css.h"
	0
};
static const unsigned char script_js[] = {
#include "embed/flamegraph.js.h"
	0
};

struct flamegraph {
	const struct kb_profile *profile;
	const struct kb_format_opts *opts;
	const struct kb_tree *tree;
	const char **files; /* sorted, each once */
	uint32_t n_files;
	uint64_t smallest; /* total of the smallest node that is drawn */
	FILE *stream;
};

/* One node as written; a run of small siblings is one of these, too. */
struct drawn {
	uint32_t parent;
	uint32_t label;
	uint64_t self;
	uint32_t next; /* the node after it and all that it stands for */
};

static void write_member(const struct flamegraph *graph, const char *name, const char *text)
{
	fprintf(graph->stream, ",\"%s\":", name);
	kb_text__write_json(graph->stream, text ? text : "");
}

/* JSON has no infinities. */
static double finite_or_zero(double value)
{
	return value > -1e300 && value < 1e300 ? value : 0;
}

static void write_meta(const struct flamegraph *graph)
{
	static const char *const clocks[] = {
		[KB_CLOCK_CPU] = "CPU clock",
		[KB_CLOCK_CYCLES] = "CPU cycles",
		[KB_CLOCK_TICK] = "timer ticks",
	};
	const struct kb_profile_meta *meta = kb_profile__meta(graph->profile);
	unsigned clock = meta->clock;
	const char *title = graph->opts->title ? graph->opts->title : meta->target;

	fprintf(graph->stream,
		"{\"meta\":{\"rate\":%.17g,\"duration_ns\":%" PRIu64 ",\"start_ms\":%" PRId64
		",\"attempted\":%" PRIu64 ",\"incomplete\":%s",
		finite_or_zero(meta->rate_hz), meta->duration_ns, meta->start_unix_ns / 1000000,
		kb_profile__attempted(graph->profile), meta->incomplete ? "true" : "false");
	write_member(graph, "clock", clock <= KB_CLOCK_TICK ? clocks[clock] : "unknown clock");
	write_member(graph, "title", title);
	write_member(graph, "host", meta->host);
	write_member(graph, "kernel", meta->kernel);
	write_member(graph, "version", meta->version);
	putc('}', graph->stream);
}

static void write_ledger(const struct flamegraph *graph)
{
	fputs(",\n\"ledger\":[", graph->stream);
	for (size_t i = 0; i < kb_profile__n_ledger(graph->profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(graph->profile, i);

		fprintf(graph->stream, "%s{\"count\":%" PRIu64 ",\"reported\":%s,\"note\":%s",
			i ? "," : "", entry.count, entry.reported ? "true" : "false",
			entry.note ? "true" : "false");
		write_member(graph, "name", entry.name);
		write_member(graph, "text", entry.text);
		putc('}', graph->stream);
	}
	putc(']', graph->stream);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct kb_error *collect_files(struct flamegraph *graph)
{
	uint32_t n = graph->tree->n_labels, kept = 0;

	graph->files = calloc(n + 1, sizeof(*graph->files));
	if (!graph->files)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		graph->files[i] = graph->tree->labels[i].file;
	graph->files[n] = "";
	qsort(graph->files, n + 1, sizeof(*graph->files), compare_strings);
	for (uint32_t i = 0; i <= n; i++)
		if (!kept || strcmp(graph->files[i], graph->files[kept - 1]))
			graph->files[kept++] = graph->files[i];
	graph->n_files = kept;
	return NULL;
}

static void write_label(const struct flamegraph *graph, const struct kb_label *label)
{
	const char **file = bsearch(&label->file, graph->files, graph->n_files,
				    sizeof(*graph->files), compare_strings);

	fprintf(graph->stream, "[%d,", label->kind);
	kb_text__write_json(graph->stream, label->name);
	fprintf(graph->stream, ",%td,%" PRId32 "],\n", file - graph->files, label->number);
}

static void write_labels(const struct flamegraph *graph)
{
	fputs(",\n\"files\":[", graph->stream);
	for (uint32_t i = 0; i < graph->n_files; i++) {
		fputs(i ? ",\n" : "", graph->stream);
		kb_text__write_json(graph->stream, graph->files[i]);
	}
	fputs("],\n\"labels\":[", graph->stream);
	for (uint32_t i = 0; i < graph->tree->n_labels; i++)
		write_label(graph, &graph->tree->labels[i]);
	fprintf(graph->stream, "[%d,", KB_LABEL_MARKER);
	kb_text__write_json(graph->stream, SMALL_STACKS);
	fputs(",0,0]]", graph->stream); /* file 0 is "" */
}

static uint64_t find_smallest(const struct kb_tree *tree)
{
	uint64_t smallest = 1;
	uint32_t n;

	for (; smallest <= UINT64_MAX / 2; smallest *= 2) {
		n = 0;
		for (uint32_t i = 0; i < tree->n_nodes; i++)
			n += tree->nodes[i].total >= smallest;
		if (n <= FLAMEGRAPH_NODES_MAX)
			break;
	}
	return smallest;
}

/* Siblings stand by total, so that small ones follow each other, with what is below them between.
 */
static struct drawn next_drawn(const struct flamegraph *graph, uint32_t at)
{
	const struct kb_tree *tree = graph->tree;
	const struct kb_tree_node *node = &tree->nodes[at];
	struct drawn drawn = { node->parent, node->label, node->self, at + 1 };

	if (node->total >= graph->smallest)
		return drawn;
	drawn.label = tree->n_labels;
	drawn.self = 0;
	for (drawn.next = at; drawn.next < tree->n_nodes; drawn.next++) {
		const struct kb_tree_node *other = &tree->nodes[drawn.next];
		bool sibling = other->parent == node->parent;

		if (!sibling && (other->parent == KB_ID_NONE || other->parent < at))
			break;
		if (sibling)
			drawn.self += other->total;
	}
	return drawn;
}

enum column { COLUMN_LABEL, COLUMN_UP, COLUMN_SELF };

/* One array of the nodes; depth has room for each of them. */
static void write_column(const struct flamegraph *graph, enum column column, uint32_t *depth)
{
	const struct kb_tree *tree = graph->tree;
	uint32_t child_level = 0, level;
	struct drawn drawn;

	for (uint32_t at = 0; at < tree->n_nodes && !ferror(graph->stream); at = drawn.next) {
		uint64_t value;

		drawn = next_drawn(graph, at);
		level = drawn.parent == KB_ID_NONE ? 0 : depth[drawn.parent] + 1;
		value = column == COLUMN_LABEL ? drawn.label : drawn.self;
		if (column == COLUMN_UP)
			value = child_level - level;
		depth[at] = level;
		child_level = level + 1;
		fprintf(graph->stream, at ? ",%" PRIu64 : "%" PRIu64, value);
	}
}

static struct kb_error *write_nodes(const struct flamegraph *graph)
{
	static const char *const names[] = { "label", "up", "self" };
	uint32_t *depth = calloc(graph->tree->n_nodes + 1, sizeof(*depth));

	if (!depth)
		return kb_error__no_memory();
	for (enum column column = COLUMN_LABEL; column <= COLUMN_SELF; column++) {
		fprintf(graph->stream, ",\n\"%s\":[", names[column]);
		write_column(graph, column, depth);
		putc(']', graph->stream);
	}
	free(depth);
	return NULL;
}

static struct kb_error *write_data(struct flamegraph *graph)
{
	struct kb_error *err;

	KB_TRY(collect_files(graph));
	graph->smallest = find_smallest(graph->tree);
	write_meta(graph);
	write_ledger(graph);
	write_labels(graph);
	err = write_nodes(graph);
	free(graph->files);
	putc('}', graph->stream);
	return err;
}

/* Writes the template up to a mark and returns what follows the mark. */
static const char *write_until(const char *at, const char *mark, FILE *stream)
{
	const char *end = strstr(at, mark);

	fwrite(at, 1, (size_t)(end - at), stream);
	return end + strlen(mark);
}

static struct kb_error *write_page(struct flamegraph *graph)
{
	const char *at = (const char *)template_html;

	at = write_until(at, "<!--css-->", graph->stream);
	fputs((const char *)style_css, graph->stream);
	at = write_until(at, "<!--data-->", graph->stream);
	KB_TRY(write_data(graph));
	at = write_until(at, "<!--js-->", graph->stream);
	fputs((const char *)script_js, graph->stream);
	fputs(at, graph->stream);
	return NULL;
}

struct kb_error *kb_flamegraph__write(const struct kb_profile *profile,
				      const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_tree_opts tree_opts = {
		.lines = opts->lines,
		.threads = opts->threads,
		.processes = opts->processes,
		.order = KB_TREE_BY_TOTAL,
	};
	struct flamegraph graph = { .profile = profile, .opts = opts, .stream = stream };
	struct kb_tree *tree;
	struct kb_error *err;

	KB_TRY(kb_tree__create(profile, &tree_opts, &tree));
	graph.tree = tree;
	err = write_page(&graph);
	kb_tree__destroy(tree);
	return err;
}
