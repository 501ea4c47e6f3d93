// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The stacks that allocate: each has a number, and user space has its frames (see memory.bpf.c).
 *
 * Uprobes may be preempted, so another thread's may begin on the same CPU before one has ended:
 * scratch is taken and given back, and what only one may do at a time (naming code objects) is left
 * for a later allocation with the same stack.
 */
#define KB_DEFINE_MEMORY_MAPS
#include "memory.bpf.h"
#include "native/unwind.bpf.h"
#include "python/walk.bpf.h"
#include "stack.bpf.h"

#define SLOTS	     4 /* threads that are preempted within a probe, on one CPU */
#define VERIFY_EVERY 8 /* allocations of a known stack; a check costs some 130 ns */

volatile struct kb_memory_control memory_control = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kb_memory_stack_key);
	__type(value, kb_u32);
} memory_stack_ids SEC(".maps");

struct slot {
	kb_u32 busy;
	kb_u32 reserved;
	struct kb_walk walk;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, kb_u32);
	__type(value, struct slot);
} memory_slots SEC(".maps");

/* This CPU names code objects: their scratch is in use. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, kb_u32);
} memory_naming SEC(".maps");

static __always_inline struct slot *take_slot(void)
{
	struct slot *slot;

#pragma unroll
	for (kb_u32 i = 0; i < SLOTS; i++) {
		kb_u32 key = i;

		slot = bpf_map_lookup_elem(&memory_slots, &key);
		if (slot && !__sync_lock_test_and_set(&slot->busy, 1))
			return slot;
	}
	return NULL;
}

static __always_inline void give_back(kb_u32 *flag)
{
	*(volatile kb_u32 *)flag = 0;
}

/* Sends the stack if nobody else is sending on this CPU; otherwise the next block of it does. */
static __noinline int send_stack(struct kb_walk *walk, struct kb_proc *proc,
				 const struct kb_layout *layout, struct kb_memory_stack *stack)
{
	kb_u32 zero = 0, *naming = bpf_map_lookup_elem(&memory_naming, &zero);
	int reason;

	if (!naming || __sync_lock_test_and_set(naming, 1))
		return 0;
	kb_send_thread(proc, bpf_get_current_pid_tgid());
	reason = kb_send_stack(walk, proc, layout, control.generation);
	give_back(naming);
	if (reason == KB_L_GOOD)
		stack->flags |= KB_MEMORY_STACK_SENT;
	if (reason == KB_L_RING_FULL ||
	    bpf_ringbuf_query(&data, BPF_RB_AVAIL_DATA) > config.ring_high)
		kb_request_drain();
	return 0;
}

/* Is what is known under this hash still this stack? If not, its hash is another one now. */
static __noinline int verify(struct kb_walk *walk, struct kb_proc *proc,
			     const struct kb_layout *layout)
{
	kb_u32 zero = 0, *naming = bpf_map_lookup_elem(&memory_naming, &zero);
	int same;

	if (!naming || __sync_lock_test_and_set(naming, 1))
		return 1;
	same = kb_verify_frame(walk, proc, layout);
	give_back(naming);
	return same;
}

/* The current thread's stack into the scratch. Returns enum kb_walk_status. */
static __noinline int take_stack(struct kb_walk *walk, struct kb_proc *proc,
				 const struct kb_layout *layout)
{
	kb_u64 tp = KB_THREAD_POINTER(bpf_get_current_task_btf());
	int status = kb_find_thread(walk, proc, layout, tp, bpf_get_current_pid_tgid());

	if (status == KB_WALK_OK)
		status = kb_walk_frames(walk, layout, kb_stack_seed(proc));
	if (status == KB_WALK_FRAME_UNREADABLE && kb_find_caller(walk, layout))
		status = kb_walk_frames(walk, layout, kb_stack_seed(proc));
	/* No more was asked for. */
	if (status == KB_WALK_TRUNCATED && config.frames_max)
		status = KB_WALK_OK;
	return kb_native_complete(walk, proc, status);
}

static __noinline kb_u32 new_stack(const struct kb_memory_stack_key *key, kb_u32 peak_at)
{
	struct kb_memory_stack *stack;
	kb_u32 id = __sync_fetch_and_add(&memory_control.n_stacks, 1) + 1;

	stack = bpf_map_lookup_elem(&memory_stacks, &id);
	if (!stack)
		return 0;
	stack->key = *key;
	stack->peak_at = peak_at;
	stack->window = memory_control.window;
	if (!bpf_map_update_elem(&memory_stack_ids, key, &id, BPF_NOEXIST))
		return id;
	/* Another CPU was first; this place stays empty. */
	kb_u32 *known = bpf_map_lookup_elem(&memory_stack_ids, key);

	return known ? *known : 0;
}

static __always_inline kb_u32 number_of(struct slot *slot, struct kb_proc *proc, kb_u32 domain,
					kb_u32 peak_at)
{
	struct kb_memory_stack_key key = { .domain = domain };
	const struct kb_layout *layout;
	struct kb_memory_stack *stack;
	kb_u32 *known, id, index = proc->layout; /* keys lie in a map or on the stack (Linux 6.1) */
	int status;

	layout = bpf_map_lookup_elem(&layouts, &index);
	if (!layout)
		return 0;
	status = take_stack(&slot->walk, proc, layout);
	key.proc = proc->id;
	if (status > KB_WALK_TRUNCATED) {
		key.hash = kb_failure(status);
		known = bpf_map_lookup_elem(&memory_stack_ids, &key);
		return known ? *known : new_stack(&key, peak_at);
	}
	slot->walk.head.flags =
		KB_STACK_WAIT | (status == KB_WALK_TRUNCATED ? KB_STACK_TRUNCATED : 0);
	if (slot->walk.head.hash % VERIFY_EVERY == slot->walk.checks++ % VERIFY_EVERY)
		verify(&slot->walk, proc, layout);
	key.hash = slot->walk.head.hash;
	known = bpf_map_lookup_elem(&memory_stack_ids, &key);
	id = known ? *known : new_stack(&key, peak_at);
	stack = bpf_map_lookup_elem(&memory_stacks, &id);
	if (stack && !(stack->flags & KB_MEMORY_STACK_SENT))
		send_stack(&slot->walk, proc, layout, stack);
	return id;
}

__noinline kb_u32 kb_memory_stack_number(struct kb_proc *proc, kb_u32 domain, kb_u32 peak_at)
{
	struct slot *slot = take_slot();
	kb_u32 number;

	if (!slot || !proc)
		return 0;
	number = number_of(slot, proc, domain, peak_at);
	give_back(&slot->busy);
	return number;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
