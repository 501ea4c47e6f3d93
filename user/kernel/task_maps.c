// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <errno.h>
#include "base/error.h"
#include "kernel/task_maps.h"

struct kb_error *kb_task_maps__set_layout(const struct kb_task_maps *maps, uint32_t image,
					  const struct kb_task_layout *layout)
{
	if (bpf_map_update_elem(maps->layouts, &image, layout, BPF_ANY))
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot store where tasks are");
	return NULL;
}

bool kb_task_maps__set_dict(const struct kb_task_maps *maps, uint32_t proc, uint64_t address,
			    uint32_t *pending)
{
	struct kb_task_dict dict;

	if (bpf_map_lookup_elem(maps->dicts, &proc, &dict))
		return false;
	*pending = dict.pending;
	dict.address = address;
	return !bpf_map_update_elem(maps->dicts, &proc, &dict, BPF_EXIST);
}
