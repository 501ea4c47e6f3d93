// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Collapsed stacks: `root;…;leaf count`, one stack on each line, as flamegraph.pl,
 * speedscope, inferno and their like read it. Those take every line for a stack, so
 * there is no comment in the format: the ledger is not in the file, and programs
 * print it beside (kb_format__write_ledger()).
 *
 * In names `;` would end a frame and a newline the stack: they become `_`, as does
 * everything that is not printable. Spaces stay, for readers take the last one as the
 * start of the count.
 *
 * Counts are samples, and microseconds where the profile is of time.
 *
 * Stacks are in preorder with siblings sorted by name, file and line, each once.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/text.h"
#include "format/tree.h"
#include "format/writers.h"

#define SEPARATORS   ";"
#define NS_PER_COUNT 1000

void kb_collapsed__write_label(const struct kb_label *label, FILE *stream)
{
	const char *group = kb_label__group(label), *place = kb_label__place(label);

	if (group)
		fprintf(stream, "%s%" PRId32 " ", group, label->number);
	kb_text__write_field(stream, *label->name ? label->name : "?", SEPARATORS);
	if (!place)
		return;
	fputs(" (", stream);
	kb_text__write_field(stream, place, SEPARATORS);
	if (label->number > 0)
		fprintf(stream, ":%" PRId32, label->number);
	putc(')', stream);
	if (label->opcode && *label->opcode) {
		fputs(" [", stream);
		kb_text__write_field(stream, label->opcode, SEPARATORS);
		putc(']', stream);
	}
}

/* path has room for a stack as deep as the tree. */
static void write_stack(const struct kb_tree *tree, uint32_t leaf, uint64_t count, uint32_t *path,
			FILE *stream)
{
	uint32_t depth = 0;

	for (uint32_t at = leaf; at != KB_ID_NONE; at = tree->nodes[at].parent)
		path[depth++] = at;
	while (depth--) {
		kb_collapsed__write_label(&tree->labels[tree->nodes[path[depth]].label], stream);
		putc(depth ? ';' : ' ', stream);
	}
	fprintf(stream, "%" PRIu64 "\n", count);
}

struct kb_error *kb_collapsed__write(const struct kb_profile *profile,
				     const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_tree_opts tree_opts = {
		.lines = opts->lines,
		.opcodes = opts->opcodes,
		.threads = opts->threads,
		.processes = opts->processes,
	};
	bool of_time = kb_profile__meta(profile)->unit == KB_UNIT_NS;
	struct kb_tree *tree;
	uint32_t *path;

	KB_TRY(kb_tree__create(profile, &tree_opts, &tree));
	path = calloc(tree->n_nodes + 1, sizeof(*path));
	if (!path) {
		kb_tree__destroy(tree);
		return kb_error__no_memory();
	}
	/* A full disk is noticed now, not after millions of stacks. */
	for (uint32_t i = 0; i < tree->n_nodes && !ferror(stream); i++) {
		uint64_t self = tree->nodes[i].self;

		if (of_time && self) /* rounded, but what is there stays visible */
			self = self < NS_PER_COUNT ? 1 : (self + NS_PER_COUNT / 2) / NS_PER_COUNT;
		if (self)
			write_stack(tree, i, self, path, stream);
	}
	free(path);
	kb_tree__destroy(tree);
	return NULL;
}
