// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The profile format of valgrind's callgrind (its manual, "Callgrind Format Specification", version
 * 1), for KCachegrind, QCachegrind and callgrind_annotate. For each function
 *
 *     ob=(id) object   fl=(id) file   fn=(id) function
 *     LINE COST…                      what its lines cost themselves
 *     cob= cfi= cfn= of a callee, calls=1 LINE, LINE COST…
 *
 * Samples cannot know how often something was called, and `calls=` must not be 0: it is 1
 * everywhere, and the header says so. A function "(all)" calls every root, see format/call_costs.h.
 * Names stand behind the id that they get where they are used first; names of a target can so not
 * be taken for ids or for another line of the file.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/strpool.h"
#include "base/text.h"
#include "format/call_costs.h"
#include "format/callgrind_name.h"
#include "format/writers.h"

#define ALL	     "(all)"
#define UNKNOWN	     "???" /* as callgrind writes it */
#define KERNEL	     "[kernel]"
#define PYTHON	     "python"
#define STRING_BYTES (512u << 20) /* of files and objects; the profile holds half of it */
#define STRINGS	     (1u << 22)

struct callgrind {
	const struct kb_profile *profile;
	const struct kb_tree *tree;
	struct kb_call_costs *costs;
	/* Functions are those of the profile, then the labels of processes and threads, then ALL.
	 */
	uint32_t n_functions, all;
	uint32_t *function_of_label;
	uint32_t *label_of_function; /* any of its labels; KB_ID_NONE: not in the tree */
	bool *shared_name;	     /* another function of the file has the same name */
	bool *named;		     /* its name was written */
	struct kb_strpool *files, *objects;
	FILE *stream;
};

/* ---------------------------------------------------------------- functions */

static int compare_label(const void *key, const void *label)
{
	return kb_label__compare(key, label);
}

/* A label that two functions share (lambdas on one line) is the last one's. */
static void find_functions(struct callgrind *grind)
{
	const struct kb_tree *tree = grind->tree;
	uint32_t n = kb_profile__n_functions(grind->profile);

	for (uint32_t i = 0; i < grind->n_functions; i++)
		grind->label_of_function[i] = KB_ID_NONE;
	for (uint32_t i = 0; i < tree->n_labels; i++)
		grind->function_of_label[i] = n + i;
	for (uint32_t i = 0; i < kb_profile__n_frames(grind->profile); i++) {
		const struct kb_frame_info *frame = kb_profile__frame(grind->profile, i);
		struct kb_label key =
			kb_label__of_place(grind->profile, frame->function, frame->line);
		const struct kb_label *label =
			bsearch(&key, tree->labels, tree->n_labels, sizeof(key), compare_label);

		if (label)
			grind->function_of_label[label - tree->labels] = frame->function;
	}
	for (uint32_t i = 0; i < tree->n_labels; i++)
		grind->label_of_function[grind->function_of_label[i]] = i;
}

static int compare_functions(const void *a, const void *b, void *arg)
{
	const struct kb_function_info *x = kb_profile__function(arg, *(const uint32_t *)a);
	const struct kb_function_info *y = kb_profile__function(arg, *(const uint32_t *)b);
	int diff = strcmp(x->name, y->name);

	return diff ? diff : strcmp(x->file, y->file);
}

/* The format tells functions by file and name: lambdas and methods of one name need more. */
static struct kb_error *find_shared_names(struct callgrind *grind)
{
	uint32_t n = kb_profile__n_functions(grind->profile);
	uint32_t *sorted = calloc((size_t)n + 1, sizeof(*sorted));
	void *profile = (void *)grind->profile;

	if (!sorted)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = i;
	qsort_r(sorted, n, sizeof(*sorted), compare_functions, profile);
	for (uint32_t i = 1; i < n; i++)
		if (!compare_functions(&sorted[i - 1], &sorted[i], profile))
			grind->shared_name[sorted[i - 1]] = grind->shared_name[sorted[i]] = true;
	free(sorted);
	return NULL;
}

static const struct kb_function_info *info_of(const struct callgrind *grind, uint32_t function)
{
	if (function < kb_profile__n_functions(grind->profile))
		return kb_profile__function(grind->profile, function);
	return NULL;
}

static const char *object_of(const struct kb_function_info *info)
{
	if (!info || info->kind == KB_FRAME_MARKER)
		return UNKNOWN;
	if (info->kind == KB_FRAME_NATIVE)
		return *info->file ? info->file : UNKNOWN;
	return info->kind == KB_FRAME_KERNEL ? KERNEL : PYTHON;
}

static const char *file_of(const struct kb_function_info *info)
{
	return info && info->kind == KB_FRAME_PYTHON && *info->file ? info->file : UNKNOWN;
}

/* ---------------------------------------------------------------- lines */

static void write_function_name(const struct callgrind *grind, uint32_t function)
{
	const struct kb_function_info *info = info_of(grind, function);
	const struct kb_label *label;

	if (info) {
		kb_callgrind_name__write(*info->name ? info->name : "?", grind->stream);
		if (grind->shared_name[function] && info->first_line > 0)
			fprintf(grind->stream, ":%" PRId32, info->first_line);
		return;
	}
	if (function == grind->all) {
		kb_callgrind_name__write(ALL, grind->stream);
		return;
	}
	label = &grind->tree->labels[grind->label_of_function[function]];
	fprintf(grind->stream, " %s%" PRId32, kb_label__group(label), label->number);
	kb_callgrind_name__write(label->name, grind->stream);
}

/* Object, file and function; as a callee the keys begin with c. */
static void write_function(struct callgrind *grind, uint32_t function, bool callee)
{
	const struct kb_function_info *info = info_of(grind, function);

	kb_callgrind_name__write_pooled(callee ? "cob" : "ob", grind->objects, object_of(info),
					grind->stream);
	kb_callgrind_name__write_pooled(callee ? "cfi" : "fl", grind->files, file_of(info),
					grind->stream);
	fprintf(grind->stream, "%s=(%" PRIu32 ")", callee ? "cfn" : "fn", function + 1);
	if (!grind->named[function])
		write_function_name(grind, function);
	grind->named[function] = true;
	putc('\n', grind->stream);
}

static void write_cost(const struct callgrind *grind, uint64_t count)
{
	double seconds = kb_profile__seconds(grind->profile, count);

	if (kb_profile__meta(grind->profile)->unit == KB_UNIT_NS)
		fprintf(grind->stream, "%" PRIu64 "\n", count);
	else if (seconds > 0)
		fprintf(grind->stream, "%" PRIu64 " %.0f\n", count, seconds * KB_NS_PER_SECOND);
	else
		fprintf(grind->stream, "%" PRIu64 "\n", count);
}

static int32_t line_of(const struct callgrind *grind, uint32_t label)
{
	const struct kb_label *info = &grind->tree->labels[label];

	return !kb_label__group(info) && info->number > 0 ? info->number : 0;
}

static void write_call(struct callgrind *grind, const struct kb_call_cost *call)
{
	const struct kb_function_info *info = info_of(grind, call->callee);
	int32_t first = info && info->first_line > 0 ? info->first_line : 0;
	int32_t line = call->caller == KB_ID_NONE ? 0 : line_of(grind, call->caller);

	write_function(grind, call->callee, true);
	fprintf(grind->stream, "calls=1 %" PRId32 "\n%" PRId32 " ", first, line);
	write_cost(grind, call->cost);
}

/* ---------------------------------------------------------------- the file */

static void write_events(const struct callgrind *grind)
{
	const struct kb_profile_meta *meta = kb_profile__meta(grind->profile);
	const char *mode = kb_sample_mode__name(meta->mode);
	bool timed = kb_profile__seconds(grind->profile, 1) > 0;

	if (meta->unit != KB_UNIT_NS)
		fputs("event: Samples : samples\n", grind->stream);
	if (timed)
		fprintf(grind->stream, "event: ns : nanoseconds (mode %s)\n", mode ? mode : "?");
	fprintf(grind->stream, "events:%s%s\nsummary: ", meta->unit == KB_UNIT_NS ? "" : " Samples",
		timed ? " ns" : "");
	write_cost(grind, grind->tree->total);
}

static void write_header(const struct callgrind *grind)
{
	const struct kb_profile_meta *meta = kb_profile__meta(grind->profile);
	FILE *stream = grind->stream;

	fputs("# callgrind format\nversion: 1\ncreator: keelback", stream);
	kb_callgrind_name__write(meta->version, stream);
	if (kb_profile__n_processes(grind->profile) == 1)
		fprintf(stream, "\npid: %" PRId32, kb_profile__process(grind->profile, 0)->pid);
	fputs("\ncmd:", stream);
	kb_callgrind_name__write(*meta->target ? meta->target : "?", stream);
	fputs("\npart: 1\n"
	      "desc: Calls: not counted, calls= is 1 everywhere; costs are from samples\n",
	      stream);
	fprintf(stream, "desc: Samples: attempted %" PRIu64, kb_profile__attempted(grind->profile));
	for (size_t i = 0; i < kb_profile__n_ledger(grind->profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(grind->profile, i);

		if (entry.count && !entry.note)
			fprintf(stream, ", %s %" PRIu64, entry.name, entry.count);
	}
	fputs("\npositions: line\n", stream);
	write_events(grind);
}

/* Labels of a function follow each other, but for functions of one name. */
static void write_body(struct callgrind *grind)
{
	const struct kb_call_costs *costs = grind->costs;
	const struct kb_call_cost *call = costs->calls, *end = call + costs->n_calls;
	uint32_t current = KB_ID_NONE;

	for (uint32_t i = 0; i < grind->tree->n_labels && !ferror(grind->stream); i++) {
		uint32_t function = grind->function_of_label[i];

		if (!costs->self[i] && (call == end || call->caller != i))
			continue;
		if (function != current) {
			putc('\n', grind->stream);
			write_function(grind, function, false);
		}
		current = function;
		if (costs->self[i]) {
			fprintf(grind->stream, "%" PRId32 " ", line_of(grind, i));
			write_cost(grind, costs->self[i]);
		}
		for (; call < end && call->caller == i; call++)
			write_call(grind, call);
	}
	if (call == end)
		return;
	putc('\n', grind->stream);
	write_function(grind, grind->all, false);
	for (; call < end; call++)
		write_call(grind, call);
}

static struct kb_error *write_file(struct callgrind *grind)
{
	KB_TRY(kb_call_costs__create(grind->tree, grind->function_of_label, grind->n_functions,
				     &grind->costs));
	write_header(grind);
	write_body(grind);
	fputs("\ntotals: ", grind->stream);
	write_cost(grind, grind->tree->total);
	return NULL;
}

static struct kb_error *write_tree(struct callgrind *grind)
{
	uint32_t n = kb_profile__n_functions(grind->profile) + grind->tree->n_labels;

	grind->all = n;
	grind->n_functions = n + 1;
	grind->function_of_label = calloc((size_t)grind->tree->n_labels + 1, sizeof(uint32_t));
	grind->label_of_function = calloc((size_t)n + 1, sizeof(uint32_t));
	grind->shared_name = calloc((size_t)n + 1, sizeof(bool));
	grind->named = calloc((size_t)n + 1, sizeof(bool));
	grind->files = kb_strpool__create(STRING_BYTES, STRINGS);
	grind->objects = kb_strpool__create(STRING_BYTES, STRINGS);
	if (!grind->function_of_label || !grind->label_of_function || !grind->shared_name ||
	    !grind->named || !grind->files || !grind->objects)
		return kb_error__no_memory();
	find_functions(grind);
	KB_TRY(find_shared_names(grind));
	return write_file(grind);
}

struct kb_error *kb_callgrind__write(const struct kb_profile *profile,
				     const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_tree_opts tree_opts = {
		.lines = true,
		.threads = opts->threads,
		.processes = opts->processes,
	};
	struct callgrind grind = { .profile = profile, .stream = stream };
	struct kb_error *err;
	struct kb_tree *tree;

	KB_TRY(kb_tree__create(profile, &tree_opts, &tree));
	grind.tree = tree;
	err = write_tree(&grind);
	kb_call_costs__destroy(grind.costs);
	kb_strpool__destroy(grind.files);
	kb_strpool__destroy(grind.objects);
	free(grind.function_of_label);
	free(grind.label_of_function);
	free(grind.shared_name);
	free(grind.named);
	kb_tree__destroy(tree);
	return err;
}
