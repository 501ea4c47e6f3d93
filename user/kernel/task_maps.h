/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_TASK_MAPS_H
#define KB_KERNEL_TASK_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/tasks.h"
#include "keelback/error.h"

/* What bpf/python/tasks.bpf.c reads, with KB_WANT_TASKS. */
struct kb_task_maps {
	int layouts, dicts; /* descriptors, borrowed */
};

struct kb_error *kb_task_maps__set_layout(const struct kb_task_maps *maps, uint32_t image,
					  const struct kb_task_layout *layout);

/*
 * The dict of a process's running tasks, by the process's id. False: nobody waits for it any more.
 * *pending: samples that were taken without it.
 */
bool kb_task_maps__set_dict(const struct kb_task_maps *maps, uint32_t proc, uint64_t address,
			    uint32_t *pending);

#endif
