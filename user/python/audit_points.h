/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_AUDIT_POINTS_H
#define KB_PYTHON_AUDIT_POINTS_H

#include "bpf/shared/audit.h"
#include "python/image.h"
#include "system/elf_file.h"

/*
 * Where an interpreter's audit events pass by, in its file: the static probe "audit" of builds that
 * have it, else the functions that raise events (Python/sysmodule.c): PySys_Audit(), since 3.9
 * _PySys_Audit(), and what sys.audit() is.
 */
#define KB_AUDIT_POINTS_MAX 16 /* the compiler makes four of the one probe in the sources */

struct kb_audit_point {
	enum kb_audit_point_kind kind;
	uint64_t address, offset;  /* as linked, and in the file */
	uint64_t semaphore_offset; /* in the file; 0: none */
	uint64_t detail;	   /* as in the probe's cookie */
};

struct kb_audit_points {
	struct kb_audit_point at[KB_AUDIT_POINTS_MAX];
	uint32_t n;
	bool no_tstate; /* events raised by _PySys_Audit() are not seen: import, sys._getframe … */
	bool no_sys;	/* sys.audit() was not found */
};

/* KB_STATUS_UNSUPPORTED: this version raises none, or they cannot be seen in this build. */
struct kb_error *kb_audit_points__find(const struct kb_elf_file *elf,
				       const struct kb_image_info *info,
				       struct kb_audit_points *points);

/* What BPF needs to read the arguments. */
void kb_audit_points__layout(const struct kb_elf_file *elf, const struct kb_image_info *info,
			     struct kb_audit_layout *layout);

/* ---- by processor (audit_points_x86.c, audit_points_arm64.c) */

/*
 * _PySys_Audit() in a file without its symbol: the function that is called with the name of one of
 * its events as the second argument. 0: not found.
 */
uint64_t kb_audit_points__tstate_function(const struct kb_elf_file *elf);

/* By how many bytes the stack pointer has gone down from `start`, where a function begins, to
 * `address`, on the straight path. False: it cannot be told. */
bool kb_audit_points__stack_depth(const struct kb_elf_file *elf, uint64_t start, uint64_t address,
				  uint64_t *bytes);

/* An operand as the assembler writes it in a static probe's note, such as "%r13" or "-8(%rbp)".
 * False: of a kind that is not known. */
bool kb_audit_points__operand(const char *text, uint64_t *operand);

#endif
