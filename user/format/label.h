/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_LABEL_H
#define KB_FORMAT_LABEL_H

#include <stdint.h>
#include "keelback/profile.h"

enum kb_label_kind {
	KB_LABEL_FRAME,	  /* function (file:line) */
	KB_LABEL_MARKER,  /* only a name */
	KB_LABEL_PROCESS, /* process PID comm */
	KB_LABEL_THREAD,  /* thread TID name */
	KB_LABEL_NATIVE,  /* symbol (ELF file) */
	KB_LABEL_KERNEL,  /* symbol (kernel) */
};

/* What a node shows. Strings belong to the profile and are as the target wrote them. */
struct kb_label {
	enum kb_label_kind kind;
	int32_t number;	    /* line, PID or TID; 0: no line known */
	const char *name;   /* function, comm or thread name */
	const char *file;   /* "" but for frames and native ones */
	const char *opcode; /* of a frame: the instruction that it was at; NULL or "": not shown */
};

/* "process ", "thread " before number and name, else NULL. */
const char *kb_label__group(const struct kb_label *label);
/* What stands behind the name, before the line if there is one: the file, "kernel", "?" where a
 * file is missing; NULL where nothing does. */
const char *kb_label__place(const struct kb_label *label);

struct kb_label kb_label__of_process(const struct kb_process_info *process);
/* With Python's name of the thread, else the kernel's. */
struct kb_label kb_label__of_thread(const struct kb_thread_info *thread);
/* What a frame at a line of a function shows. */
struct kb_label kb_label__of_place(const struct kb_profile *profile, uint32_t function,
				   int32_t line);

/* By name, file, kind, number, instruction: a total order on what is shown. */
int kb_label__compare(const struct kb_label *a, const struct kb_label *b);

#endif
