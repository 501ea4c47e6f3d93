/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REF_POINTS_H
#define KB_PYTHON_REF_POINTS_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/error.h"
#include "python/image.h"
#include "system/elf_file.h"

/*
 * Where an interpreter creates and destroys objects, in its file.
 *
 * From 3.13 on each place asks whether there is a PyRefTracer (Objects/object.c, new_reference()
 * and _Py_Dealloc(); Include/internal/pycore_object.h, _PyReftracerTrack()), wherever the compiler
 * has inlined it to: a load of _PyRuntime.ref_tracer.tracer_func, a test and a conditional jump,
 * which the kernel emulates and is thus a cheap place for a probe. What the interpreter would do
 * if there were one, "tracer(object, event, data)", tells which event it is and where the object
 * is.
 *
 * From 3.9 to 3.12 objects pass through _Py_NewReference() and _Py_Dealloc(), as long as the
 * compiler has not inlined them. _Py_NewReference() is the only caller of
 * _PyTraceMalloc_NewReference(), which tells its copies. Before 3.9 they are macros.
 */
struct kb_ref_point {
	uint64_t address, offset; /* as linked, and in the file */
	uint64_t cookie;	  /* KB_REF_COOKIE() */
};

#define KB_REF_POINTS_MAX 16384 /* Debian's 3.13 has 1,070 */

struct kb_ref_points {
	struct kb_ref_point *at;
	uint32_t n, capacity;
	uint32_t creating;	 /* of them */
	uint32_t not_understood; /* questions for a tracer whose event or object was not found */
	const char *way;	 /* how objects are seen, for people */
	/* NULL, or why not all destructions pass by. */
	const char *no_destructions;
};

/* KB_STATUS_UNSUPPORTED: not all creations can be seen in this build; the text says why. */
struct kb_error *kb_ref_points__find(const struct kb_elf_file *elf,
				     const struct kb_image_info *info,
				     struct kb_ref_points *points);
void kb_ref_points__free(struct kb_ref_points *points);

/* For the files ref_points_*.c. */
struct kb_error *kb_ref_points__add(struct kb_ref_points *points, const struct kb_elf_file *elf,
				    uint64_t address, uint64_t cookie);

/* Counts as not understood the calls of a function that are none of these. */
struct kb_error *kb_ref_points__check_calls(struct kb_ref_points *points,
					    const struct kb_elf_file *elf, uint64_t callee,
					    const uint64_t *calls, uint32_t n);

/* ---- by processor (ref_points_x86.c, ref_points_arm64.c) */

/* The questions for a tracer; n 0: none was found. */
struct kb_error *kb_ref_points__tracer(const struct kb_elf_file *elf,
				       const struct kb_image_info *info,
				       struct kb_ref_points *points);
/* Where copies of _Py_NewReference() ask whether tracemalloc traces; likewise. */
struct kb_error *kb_ref_points__tracemalloc(const struct kb_elf_file *elf,
					    struct kb_ref_points *points);

#endif
