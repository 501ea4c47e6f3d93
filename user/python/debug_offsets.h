/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_DEBUG_OFFSETS_H
#define KB_PYTHON_DEBUG_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bpf/shared/layout.h"
#include "keelback/error.h"
#include "python/object_layout.h"

/* Words (8 bytes) of the longest _Py_DebugOffsets, 3.15's. */
#define KB_DEBUG_OFFSETS_WORDS 111

/*
 * Reads the table that _PyRuntime begins with from 3.13 on (_Py_DebugOffsets, CPython
 * Include/internal/pycore_debug_offsets.h). The words come from a file that may be damaged or
 * hostile: offsets beyond the structures they are in are refused.
 *
 * *present false without an error: no such table here. KB_STATUS_UNSUPPORTED: of a version that
 * keelback does not know, or inconsistent. The layout still has to be finished.
 */
struct kb_error *kb_debug_offsets__parse(const uint64_t words[KB_DEBUG_OFFSETS_WORDS],
					 bool *present, uint32_t *version_hex,
					 struct kb_layout *layout);

/* Puts what a table that was accepted says of objects in place of the built-in offsets. */
void kb_debug_offsets__objects(const uint64_t words[KB_DEBUG_OFFSETS_WORDS], unsigned int minor,
			       struct kb_object_layout *objects);

#endif
