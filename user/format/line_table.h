/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_LINE_TABLE_H
#define KB_FORMAT_LINE_TABLE_H

#include <stdint.h>
#include "base/error.h"
#include "keelback/profile.h"

/*
 * What each line of Python cost. A stack counts once for a line and once for a file,
 * however often recursion put them there. A line's own cost is that of stacks in
 * which it is the innermost line of Python: what native code, the kernel or the
 * collector did on its behalf is in it, for there is no other line to look at.
 */
#define KB_LINE_PROCESSES_MAX 4 /* in which a file is looked for: enough when one has ended */

struct kb_line_file {
	const char *name; /* as the target gave it, such as "<string>" */
	uint64_t self, total;
	uint32_t first_row, n_rows;
	uint32_t processes[KB_LINE_PROCESSES_MAX]; /* some of those that executed it */
	uint32_t n_processes;
};

struct kb_line_row {
	uint32_t file;
	uint32_t function; /* of the profile, one of those with this line */
	int32_t line;	   /* 0: not known */
	uint64_t self, total;
};

/* A line called a function, in so many samples. What is no Python is a callee only where the line
 * called it directly. */
struct kb_line_call {
	uint32_t row;
	uint32_t function; /* of the profile */
	uint64_t count;
};

/* Of a line's own cost, what was spent in one instruction. */
struct kb_line_opcode {
	uint32_t row;
	uint32_t frame; /* of the profile, one with this instruction */
	uint64_t count;
};

/* Read only; free with kb_line_table__destroy(). The profile must outlive it. */
struct kb_line_table {
	struct kb_line_file *files;	/* by name */
	struct kb_line_row *rows;	/* by file, line */
	struct kb_line_call *calls;	/* by row, then most first */
	struct kb_line_opcode *opcodes; /* by row, then most first; none where none were recorded */
	uint32_t n_files, n_rows, n_calls, n_opcodes;
	uint64_t total; /* of the profile */
};

struct kb_error *kb_line_table__create(const struct kb_profile *profile,
				       struct kb_line_table **table);
/* NULL: no Python of that file. */
const struct kb_line_file *kb_line_table__file(const struct kb_line_table *table, const char *name);
void kb_line_table__destroy(struct kb_line_table *table);

#endif
