/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_AUDIT_MAPS_BPF_H
#define KB_AUDIT_MAPS_BPF_H

#include "audit/audit.bpf.h"

/* The maps of audit.bpf.c. */

#define NESTED_MAX 16384 /* threads in sys.audit(); as many as are named (stack.bpf.c) */
#define STACKS_MAX 16384 /* stacks sent in this generation; one that is forgotten is sent again */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_IMAGES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_audit_layout);
} audit_layouts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_AUDIT_RULES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_audit_rule);
} audit_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_AUDIT_SLOTS);
	__type(key, kb_u32);
	__type(value, struct audit_slot);
} audit_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_AUDIT_COUNTS_MAX);
	__type(key, struct kb_audit_tally_key);
	__type(value, struct kb_audit_tally);
} audit_counts SEC(".maps");

/* By thread: where the name of the event lies that sys.audit() was last asked for; 0: not ASCII,
 * ~0: its inner half has come by. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NESTED_MAX);
	__type(key, kb_u32);
	__type(value, kb_u64);
} audit_nested SEC(".maps");

/* The generation that a stack was sent in, plus 1. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STACKS_MAX);
	__type(key, struct kb_stack_key);
	__type(value, kb_u32);
} audit_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct kb_walk);
} audit_walks SEC(".maps");

#endif
