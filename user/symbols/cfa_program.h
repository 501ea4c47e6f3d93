/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_CFA_PROGRAM_H
#define KB_SYMBOLS_CFA_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * CFA programs (DWARF 5, section 6.4.2), reduced to what a native caller is found with: the CFA,
 * the frame pointer and the return address. libdw can evaluate them, too, but each address from the
 * start of its function again, and without limits on what a hostile file makes it allocate; the
 * unit tests compare both.
 */
enum kb_cfa_kind {
	KB_CFA_UNCHANGED, /* as in the callee, or nothing is said of it */
	KB_CFA_UNDEFINED,
	KB_CFA_OFFSET,	   /* places: at CFA + offset; the CFA itself: register + offset */
	KB_CFA_EXPRESSION, /* places: at an expression's value; the CFA itself: that value */
	KB_CFA_OTHER,	   /* in another register, or a value and not a place */
};

struct kb_cfa_code {
	const uint8_t *at, *end;
};

struct kb_cfa_place {
	enum kb_cfa_kind kind;
	uint32_t number; /* of the CFA's register */
	int64_t offset;
	struct kb_cfa_code expression; /* not looked at */
};

struct kb_cfa_state {
	struct kb_cfa_place cfa, fp, ra;
	bool signal; /* a signal handler's return: the frame that it interrupts made no call */
};

/* What a CIE says for its functions. */
struct kb_cfa_common {
	struct kb_cfa_code initial;
	uint64_t code_alignment;
	int64_t data_alignment;
	uint32_t fp, ra; /* numbers of these registers */
	bool signal;
};

/* From `start` up to `end`, this holds. NULL: go on. */
typedef struct kb_error *(*kb_cfa_row_fn)(uint64_t start, uint64_t end,
					  const struct kb_cfa_state *state, void *context);

/*
 * Calls `row` for one stretch after the other of a function that lies from start to end; with state
 * NULL for the rest, when there is an instruction that is not understood. Returns what `row`
 * returned.
 */
struct kb_error *kb_cfa_program__run(const struct kb_cfa_common *common, struct kb_cfa_code code,
				     uint64_t start, uint64_t end, kb_cfa_row_fn row,
				     void *context);

/* An (S)LEB128 number at code->at, which moves behind it. False: there is none that fits in 64
 * bits. */
bool kb_cfa__uleb(struct kb_cfa_code *code, uint64_t *value);
bool kb_cfa__sleb(struct kb_cfa_code *code, int64_t *value);

#endif
