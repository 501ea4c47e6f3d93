/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CALL_PLACES_BPF_H
#define KB_CALL_PLACES_BPF_H

#include "common/maps.bpf.h"
#include "shared/calls.h"

/* Where calls are counted at the same time: probes, and where they return to. */
KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_CALL_PLACES_MAX);
	__type(key, struct kb_call_place);
	__type(value, kb_u32);
} call_places SEC(".maps");

/*
 * Is the thread in one of our probes? That is our time, not the program's. While the kernel
 * handles a probe the thread's instruction pointer is at the probe's place; an interrupt that came
 * while it held them off is taken at the instruction that follows.
 */
static __always_inline int kb_in_probe(const struct kb_proc *proc)
{
	struct pt_regs *regs = kb_user_registers();
	struct kb_call_place place = { .image = proc->image };
	struct kb_image *image = bpf_map_lookup_elem(&images, &proc->image);

	if (!image)
		return 0;
#ifdef KB_SYSCALL_UPROBE
	if (KB_SYSCALL_NUMBER(regs) == KB_SYSCALL_UPROBE)
		return 1;
#endif
	place.address = KB_INSTRUCTION_POINTER(regs) - (proc->code_type - image->code_type);
	return bpf_map_lookup_elem(&call_places, &place) != 0;
}

#endif
