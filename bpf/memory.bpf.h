/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MEMORY_BPF_H
#define KB_MEMORY_BPF_H

#include "common/process.bpf.h"
#include "shared/memory.h"

/* What memory.bpf.c and memory_stack.bpf.c, which defines it, share. */
extern volatile struct kb_memory_control memory_control;

#ifdef KB_DEFINE_MEMORY_MAPS
#define KB_MEMORY_MAP
#else
#define KB_MEMORY_MAP extern
#endif

KB_MEMORY_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space */
	__type(key, kb_u32);
	__type(value, struct kb_memory_stack);
} memory_stacks SEC(".maps");

/* The place of the current stack in the table, 0: it has none. peak_at: of a stack that is new. */
kb_u32 kb_memory_stack_number(struct kb_proc *proc, kb_u32 domain, kb_u32 peak_at);

#endif
