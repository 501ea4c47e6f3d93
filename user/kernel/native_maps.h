/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_NATIVE_MAPS_H
#define KB_KERNEL_NATIVE_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/mappings.h"
#include "bpf/shared/native.h"
#include "keelback/error.h"

/*
 * What the unwinder in the kernel reads (bpf/shared/mappings.h): tables by image, lists of
 * mappings, and which list a process has. Each table and list is a map of its own that takes the
 * old one's place, so a stack is unwound with one or the other.
 */
struct kb_native_maps {
	int tables, lists, procs; /* descriptors, borrowed */
};

/* An element of a table: a head, a block or a row. */
union kb_native_element {
	struct kb_native_head head;
	struct kb_native_block block;
	struct kb_unwind_row row;
};

/*
 * Tables are made one by one and put in their places together: the kernel waits for its programs
 * before that returns, some 10 ms. The descriptors of made tables are the caller's; they may be
 * closed when they are in place.
 */
struct kb_error *kb_native_maps__make_table(const union kb_native_element *elements, uint32_t n,
					    int *fd);
struct kb_error *kb_native_maps__set_tables(const struct kb_native_maps *maps,
					    const uint32_t *images, const int *fds, uint32_t n);
/* The mappings are ascending; at most KB_NATIVE_MAPPINGS_MAX. */
struct kb_error *kb_native_maps__set_list(const struct kb_native_maps *maps, uint32_t list,
					  const struct kb_native_mapping *mappings, uint32_t n);
void kb_native_maps__clear_list(const struct kb_native_maps *maps, uint32_t list);

/* By process id. A table of processes that is full forgets those that were not sampled for long. */
void kb_native_maps__set_proc(const struct kb_native_maps *maps, uint32_t id,
			      const struct kb_native_proc *proc);
void kb_native_maps__forget_proc(const struct kb_native_maps *maps, uint32_t id);

#endif
