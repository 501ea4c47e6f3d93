// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "collect/interleave.h"

/* Rows are numbered from the leaf, as words and native frames are; the work goes from the root. */
struct work {
	const struct kb_interleave *in;
	struct kb_interleaved *order;
	uint32_t n;	      /* written */
	uint32_t python_leaf; /* written when the last Python frame was */
	uint32_t words;	      /* of Python that are left */
	int64_t row;	      /* of the last of them; -1: none */
};

static bool is_mark(kb_u64 word)
{
	return KB_WORD_IS(word) && KB_WORD_KIND(word) == KB_WORD_NATIVE_MARK;
}

static bool is_frame(kb_u64 word)
{
	return !KB_WORD_IS(word);
}

/* Marks at the root say nothing: every thread was started by C. */
static void start(struct work *w)
{
	const kb_u64 *words = w->in->python;
	int64_t marks = 0, frames = 0;

	w->words = w->in->n_python;
	for (uint32_t i = 0; i < w->in->n_python; i++) {
		marks += is_mark(words[i]);
		frames += is_frame(words[i]);
	}
	for (; w->words && is_mark(words[w->words - 1]); w->words--)
		marks--;
	w->row = w->in->one_by_one ? frames - 1 : frames ? marks : -1;
}

/* Writes the rows from `first` on that are left. */
static void put_rows(struct work *w, int64_t first)
{
	while (w->words) {
		kb_u64 word = w->in->python[w->words - 1];

		if (is_frame(word) && w->row < first)
			return;
		w->words--;
		w->row -= w->in->one_by_one ? is_frame(word) : is_mark(word);
		if (is_mark(word))
			continue;
		w->order[w->n++] = (struct kb_interleaved){ false, w->words };
		w->python_leaf = w->n;
	}
}

static bool rows_fit(const struct kb_interleave *in, int64_t rows, int64_t evals)
{
	if (in->python_cut)
		return in->native_cut || evals >= rows;
	if (in->native_cut)
		return evals <= rows + 1;
	return evals == rows || evals == rows + 1;
}

uint32_t kb_interleave__order(const struct kb_interleave *in, struct kb_interleaved *order,
			      uint32_t *python_leaf, bool *matched)
{
	struct work w = { .in = in, .order = order };
	bool from_leaf = in->python_cut || in->native_cut;
	int64_t evals = 0, more;

	for (uint32_t i = 0; i < in->n_native; i++)
		evals += in->eval[i];
	start(&w);
	*matched = rows_fit(in, w.row + 1, evals);
	/* Row r goes to the eval loop's frame r + more. */
	more = from_leaf ? 0 : evals - (w.row + 1);
	if (!evals || from_leaf)
		put_rows(&w, evals);
	for (uint32_t i = in->n_native; i-- > 0;) {
		if (!in->eval[i]) {
			order[w.n++] = (struct kb_interleaved){ true, i };
			continue;
		}
		evals--;
		/* The last one takes what is left. */
		put_rows(&w, evals && evals > more ? evals - more : 0);
	}
	*python_leaf = w.python_leaf;
	return w.n;
}
