// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The sampling program: one run per sample, in the interrupted thread.
 *
 *   filter → process → thread state → walk → count
 *
 * Counts are kept by (stack hash, process, thread) in two tables, of which one is
 * being filled while user space drains the other (a generation). Only a stack
 * that is new in its generation is sent in full, after the code objects in it
 * that are new, so the common case is a walk, a lookup and an addition.
 */
#include "common/call_places.bpf.h"
#include "common/process.bpf.h"
#include "native/unwind.bpf.h"
#include "python/state.bpf.h"
#include "python/tail.bpf.h"
#include "python/tasks.bpf.h"
#include "python/walk.bpf.h"
#include "shared/calls.h"
#include "stack.bpf.h"

#define VERIFY_EVERY 8	   /* samples; a check costs some 130 ns */
#define STACKS_MAX   16384 /* set by user space from rate, processors and drain interval */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct kb_walk);
} walks SEC(".maps");

#define COUNTS_MAP(name)                                                                           \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(max_entries, STACKS_MAX);                                                   \
		__type(key, struct kb_stack_key);                                                  \
		__type(value, kb_u64);                                                             \
	} name SEC(".maps")

COUNTS_MAP(counts_even);
COUNTS_MAP(counts_odd);

/* Tick mode: when this CPU last took a sample. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, kb_u64);
} last_tick SEC(".maps");

/*
 * The two calls must stay apart: of one call with either map the verifier does not know which map
 * it is, and calls the map's operation through a pointer instead of calling it by itself.
 */
static __always_inline kb_u64 *count_of(const struct kb_stack_key *key, kb_u32 odd)
{
	kb_u64 *count;

	if (odd) {
		count = bpf_map_lookup_elem(&counts_odd, key);
		KB_OPAQUE(count);
	} else {
		count = bpf_map_lookup_elem(&counts_even, key);
	}
	return count;
}

/* A function of its own, for its stack: the deepest chain of calls leaves the caller 96 bytes. */
static __noinline int send_moment(struct kb_walk *walk, struct kb_proc *proc, kb_u32 tid)
{
	struct kb_data_moment record = { .tid = tid, .count = 1 };

	if (!walk || !proc)
		return 0;
	record.proc = proc->id;
	record.hash = walk->head.hash;
	record.flags = walk->state;
	record.time = bpf_ktime_get_ns();
	return kb_send_moment(&record);
}

static __always_inline void moment(struct kb_walk *walk, struct kb_proc *proc, kb_u32 tid)
{
	if (config.want & KB_WANT_MOMENTS)
		send_moment(walk, proc, tid);
}

/* First sample with this key in this generation. */
static __noinline int count_new(struct kb_walk *walk, struct kb_proc *proc,
				const struct kb_layout *layout, kb_u32 tid)
{
	kb_u32 generation = control.generation, odd = generation & 1;
	struct kb_stack_key key = { .tid = tid };
	kb_u64 one = 1, *count;
	kb_u32 *new_stacks;
	int reason;
	long err;

	if (!walk || !proc || !layout)
		return 0;
	key.hash = walk->head.hash;
	key.proc = proc->id;
	kb_send_thread(proc, tid);
	reason = kb_send_stack(walk, proc, layout, generation);
	if (reason != KB_L_GOOD) {
		kb_count(reason, 1);
		if (reason == KB_L_RING_FULL)
			kb_request_drain();
		return 0;
	}
	if (odd)
		err = bpf_map_update_elem(&counts_odd, &key, &one, BPF_NOEXIST);
	else
		err = bpf_map_update_elem(&counts_even, &key, &one, BPF_NOEXIST);
	if (err) {
		/* Another CPU may have been first with the same key. */
		count = count_of(&key, odd);
		if (count) {
			__sync_fetch_and_add(count, 1);
			moment(walk, proc, tid);
		} else {
			kb_count(KB_L_STACKS_FULL, 1);
			kb_request_drain();
		}
		return 0;
	}
	moment(walk, proc, tid);
	new_stacks = (kb_u32 *)&control.new_stacks[odd];
	__sync_fetch_and_add(new_stacks, 1);
	if (*new_stacks > config.stacks_high ||
	    bpf_ringbuf_query(&data, BPF_RB_AVAIL_DATA) > config.ring_high)
		kb_request_drain();
	return 0;
}

/* Is a thread in this state what the run is about? */
static __always_inline int is_of_mode(kb_u32 state)
{
	if (config.mode == KB_MODE_IS_GIL)
		return (state & KB_STATE_GIL) != 0;
	if (config.mode == KB_MODE_IS_EXCEPTION)
		return (state & KB_STATE_EXCEPTION) != 0;
	return 1;
}

static __always_inline void count_states(kb_u32 state)
{
	if (state & KB_STATE_GIL)
		kb_count(KB_L_STATE_GIL, 1);
	if (state & KB_STATE_EXCEPTION)
		kb_count(KB_L_STATE_EXCEPTION, 1);
}

static __always_inline int sample_process(struct kb_proc *proc, struct task_struct *task,
					  kb_u32 tid)
{
	struct kb_layout *layout;
	struct kb_stack_key key;
	struct kb_walk *walk;
	kb_u32 zero = 0, state = 0;
	kb_u64 *count;
	int status;

	if (config.want & KB_WANT_CALLS && kb_in_probe(proc)) {
		kb_count(KB_L_SET_ASIDE, 1);
		return 0;
	}
	layout = bpf_map_lookup_elem(&layouts, &proc->layout);
	walk = bpf_map_lookup_elem(&walks, &zero);
	if (!layout || !walk ||
	    ((config.mode == KB_MODE_IS_WALL || config.want & KB_WANT_CALLS) && kb_is_walking())) {
		kb_count(KB_LEDGER_ATTEMPTED, 1);
		kb_count(KB_L_NO_SCRATCH, 1);
		return 0;
	}
	status = kb_find_thread(walk, proc, layout, KB_THREAD_POINTER(task), tid);
	/* A thread without a thread state is in none of the states. */
	if (kb_state_wanted() && status != KB_WALK_NOT_PYTHON_THREAD)
		state = kb_thread_state(walk, proc, layout);
	if (status != KB_WALK_TSTATE_UNREADABLE && !is_of_mode(state)) {
		kb_count(KB_L_OTHER_STATE, 1);
		return 0;
	}
	walk->state = state;
	kb_count(KB_LEDGER_ATTEMPTED, 1);
	if (config.want & KB_WANT_STATES)
		count_states(state);
	if (config.want & KB_WANT_TASKS)
		kb_tasks_find(walk, proc, layout);
	if (status == KB_WALK_OK)
		status = kb_walk_frames(walk, layout, kb_stack_seed(proc));
	if (status == KB_WALK_FRAME_UNREADABLE && kb_find_caller(walk, layout))
		status = kb_walk_frames(walk, layout, kb_stack_seed(proc));
	status = kb_native_complete(walk, proc, status);
	if (status > KB_WALK_TRUNCATED) {
		kb_count(kb_failure(status), 1);
		return 0;
	}
	kb_walk_tail(walk, proc, layout, state);
	/* Not from there: programs may be eight calls deep, and this is deep. */
	if (config.want & KB_WANT_TASKS && walk->tstate_at)
		kb_tasks_append(walk, proc, layout);
	walk->head.flags = status == KB_WALK_TRUNCATED ? KB_STACK_TRUNCATED : 0;
	/* A known stack may have had a code object replaced: look at one of its frames now and
	 * then. */
	if (walk->head.hash % VERIFY_EVERY == walk->checks++ % VERIFY_EVERY &&
	    !kb_verify_frame(walk, proc, layout))
		return count_new(walk, proc, layout, tid);
	key.hash = walk->head.hash;
	key.proc = proc->id;
	key.tid = tid;
	count = count_of(&key, control.generation & 1);
	if (count) {
		__sync_fetch_and_add(count, 1);
		moment(walk, proc, tid);
		return 0;
	}
	return count_new(walk, proc, layout, tid);
}

static __always_inline int take_sample(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	kb_u32 tgid = task->tgid, tid = task->pid;
	struct kb_proc *proc;

	if (config.filter == KB_FILTER_CGROUP && !kb_filter_passes(tgid))
		return 0;
	if (!tgid || (config.tid && tid != config.tid))
		return 0;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (proc && proc->state == KB_PROC_PYTHON &&
	    kb_same_start(proc->start_time, task->group_leader->start_boottime))
		return sample_process(proc, task, tid);
	if (proc && proc->state == KB_PROC_UNSUPPORTED) {
		kb_count(KB_LEDGER_ATTEMPTED, 1);
		kb_count(KB_L_UNSUPPORTED, 1);
		return 0;
	}
	if (kb_filter_passes(tgid))
		kb_ask(tgid);
	return 0;
}

SEC("perf_event")
int on_clock(void *ctx)
{
	return take_sample();
}

/* The empty program beside it in benchmarks: what the interrupt and the dispatch cost without us.
 */
SEC("perf_event")
int on_clock_empty(void *ctx)
{
	return 0;
}

#ifdef KB_TICK_SECTION
/*
 * Timer interrupts come for many timers; only those about a tick apart count, so
 * that a process with timers of its own is not sampled more often than others.
 */
static __always_inline int tick_due(void)
{
	kb_u64 now = bpf_ktime_get_ns(), *last;
	kb_u32 zero = 0;

	last = bpf_map_lookup_elem(&last_tick, &zero);
	if (!last || now - *last < config.tick_min_ns)
		return 0;
	*last = now;
	return 1;
}

SEC(KB_TICK_SECTION)
int on_tick(void *ctx)
{
	return tick_due() ? take_sample() : 0;
}
#endif

char LICENSE[] SEC("license") = "Dual BSD/GPL";
