/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_GECKO_ROWS_H
#define KB_FORMAT_GECKO_ROWS_H

#include "format/gecko.h"

/* A sample as it is written: a moment, or all samples of a thread and a stack. */
struct kb_gecko_row {
	uint64_t time_ns; /* since the start; without a timeline, the sum of what came before */
	uint64_t count;
	uint64_t ns;	/* that the count stands for */
	uint32_t stack; /* KB_ID_NONE: none */
	uint32_t frame; /* of its leaf */
	uint32_t flags; /* KB_MOMENT_* */
};

/* The rows of one thread, in the order of time. */
struct kb_gecko_rows {
	const struct kb_gecko *gecko;
	uint32_t at, end;
	uint64_t time_ns;
};

struct kb_gecko_rows kb_gecko_rows__of(const struct kb_gecko *gecko, uint32_t thread);
bool kb_gecko_rows__next(struct kb_gecko_rows *rows, struct kb_gecko_row *row);

#endif
