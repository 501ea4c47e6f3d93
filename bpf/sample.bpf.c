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
#include "common/process.bpf.h"
#include "python/code.bpf.h"
#include "python/state.bpf.h"
#include "python/walk.bpf.h"

#define THREADS_MAX  16384
#define VERIFY_EVERY 8	/* samples; a check costs some 130 ns */
#define EPOCH_SHIFT  24 /* process ids count up from 1: the high bits of the seed are free */
#define ASK_AGAIN_NS                                                                               \
	100000000ULL /* in case a notice was lost; user space's answer sets its own time */
#define NOT_PYTHON_RECHECK_NS 1000000000ULL /* such a program may still load libpython later */
#define STACKS_MAX	      16384 /* set by user space from rate, processors and drain interval */

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

/* Threads whose record was sent: the process id they were sent for. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, THREADS_MAX);
	__type(key, kb_u32);
	__type(value, kb_u32);
} threads SEC(".maps");

/* Tick mode: when this CPU last took a sample. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, kb_u64);
} last_tick SEC(".maps");

/* A process that user space has not told about: ask, and ask again as long as that is worth it. */
static __noinline int ask(kb_u32 tgid)
{
	struct task_struct *task = bpf_get_current_task_btf();
	kb_u64 now = bpf_ktime_get_ns();
	struct kb_notice notice = { .kind = KB_NOTICE_UNKNOWN, .tgid = tgid };
	struct kb_proc *proc = bpf_map_lookup_elem(&procs, &tgid), fresh = {};

	if (!task->mm) /* a kernel thread */
		return 0;
	notice.start_time = task->group_leader->start_boottime;
	if (!proc || !kb_same_start(proc->start_time, notice.start_time)) {
		fresh.start_time = notice.start_time;
		fresh.state = KB_PROC_PENDING;
		if (kb_exe_known(task->mm->exe_file) == KB_EXE_NOT_PYTHON) {
			fresh.state = KB_PROC_NOT_PYTHON;
			fresh.next_check = now + NOT_PYTHON_RECHECK_NS;
		}
		bpf_map_update_elem(&procs, &tgid, &fresh, BPF_ANY);
		proc = bpf_map_lookup_elem(&procs, &tgid);
		if (!proc) {
			kb_count(KB_L_NOT_IDENTIFIED, 1);
			return 0;
		}
	}
	/* Whether these were samples of a target is known with the answer, or when it loads an
	 * interpreter. */
	__sync_fetch_and_add(&proc->pending, 1);
	if (now < proc->next_check)
		return 0;
	proc->next_check = now + ASK_AGAIN_NS;
	proc->checks++;
	kb_notify(&notice);
	return 0;
}

static __always_inline void request_drain(void)
{
	struct kb_notice notice = { .kind = KB_NOTICE_DATA };

	if (__sync_lock_test_and_set(&control.drain_requested, 1))
		return;
	kb_notify(&notice);
}

/* The thread's name, once. */
static __always_inline void send_thread(struct kb_proc *proc, kb_u32 tid)
{
	struct kb_data_thread record = { .kind = KB_DATA_THREAD, .proc = proc->id, .tid = tid };
	kb_u32 *sent = bpf_map_lookup_elem(&threads, &tid), id = proc->id;

	if (sent && *sent == id)
		return;
	record.ns_tid = kb_namespace_id(bpf_get_current_task_btf());
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	if (!bpf_ringbuf_output(&data, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		bpf_map_update_elem(&threads, &tid, &id, BPF_ANY);
}

struct naming {
	struct kb_walk *walk;
	struct kb_proc *proc;
	const struct kb_layout *layout;
	kb_u32 skip; /* words of a section that are no frames */
	int status;  /* the ledger's reason, or KB_L_GOOD */
};

/* One frame's code object. What is no frame has none: the marks, and sections but for the holder's
 * stack. */
static long name_step(kb_u64 index, struct naming *naming)
{
	kb_u64 word;
	int seen;

	KB_OPAQUE(index);
	if (index >= KB_WORDS_MAX)
		return 1;
	if (naming->skip) {
		naming->skip--;
		return 0;
	}
	word = naming->walk->words[index];
	if (KB_WORD_IS(word)) {
		if (KB_WORD_COUNTS(KB_WORD_KIND(word)) && KB_WORD_KIND(word) != KB_WORD_HOLDER)
			naming->skip = KB_WORD_VALUE(word);
		return 0;
	}
	seen = kb_code_seen(naming->proc, naming->layout, KB_FRAME_CODE(word));
	if (seen == KB_CODE_OK)
		return 0;
	naming->status = seen == KB_CODE_NOT_CODE ? KB_L_BAD_FRAME : KB_L_RING_FULL;
	return 1;
}

/* Sends the stack in the scratch with all that it refers to. Returns the ledger's reason, or
 * KB_L_GOOD. */
static __always_inline int send_stack(struct kb_walk *walk, struct kb_proc *proc,
				      const struct kb_layout *layout, kb_u32 generation)
{
	struct naming naming = {
		.walk = walk, .proc = proc, .layout = layout, .status = KB_L_GOOD
	};
	kb_u64 n = walk->head.n_words, size;

	bpf_loop(n, name_step, &naming, 0);
	if (naming.status != KB_L_GOOD)
		return naming.status;
	walk->head.kind = KB_DATA_STACK;
	walk->head.proc = proc->id;
	walk->head.generation = generation;
	KB_OPAQUE(n);
	if (n > KB_WORDS_MAX)
		n = KB_WORDS_MAX;
	size = sizeof(walk->head) + n * 8;
	if (bpf_ringbuf_output(&data, walk, size, BPF_RB_NO_WAKEUP))
		return KB_L_RING_FULL;
	return KB_L_GOOD;
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
	send_thread(proc, tid);
	reason = send_stack(walk, proc, layout, generation);
	if (reason != KB_L_GOOD) {
		kb_count(reason, 1);
		if (reason == KB_L_RING_FULL)
			request_drain();
		return 0;
	}
	if (odd)
		err = bpf_map_update_elem(&counts_odd, &key, &one, BPF_NOEXIST);
	else
		err = bpf_map_update_elem(&counts_even, &key, &one, BPF_NOEXIST);
	if (err) {
		/* Another CPU may have been first with the same key. */
		count = odd ? bpf_map_lookup_elem(&counts_odd, &key)
			    : bpf_map_lookup_elem(&counts_even, &key);
		if (count) {
			__sync_fetch_and_add(count, 1);
		} else {
			kb_count(KB_L_STACKS_FULL, 1);
			request_drain();
		}
		return 0;
	}
	new_stacks = (kb_u32 *)&control.new_stacks[odd];
	__sync_fetch_and_add(new_stacks, 1);
	if (*new_stacks > config.stacks_high ||
	    bpf_ringbuf_query(&data, BPF_RB_AVAIL_DATA) > config.ring_high)
		request_drain();
	return 0;
}

static __always_inline void count_failure(int status)
{
	switch (status) {
	case KB_WALK_NOT_PYTHON_THREAD:
		kb_count(KB_L_NOT_PYTHON_THREAD, 1);
		break;
	case KB_WALK_TSTATE_UNREADABLE:
		kb_count(KB_L_TSTATE_UNREADABLE, 1);
		break;
	case KB_WALK_NO_FRAME:
		kb_count(KB_L_NO_FRAME, 1);
		break;
	default:
		kb_count(KB_L_FRAME_UNREADABLE, 1);
	}
}

/*
 * Compares one frame's code object with what was sent for it. When another one
 * lies there, the process's epoch moves on, which gives all its stacks new
 * hashes, so that they are sent again with the code objects of now.
 */
static __noinline int verify_frame(struct kb_walk *walk, struct kb_proc *proc,
				   const struct kb_layout *layout)
{
	kb_u64 index, word;

	if (!walk || !proc || !layout || !walk->n_frames)
		return 1;
	index = walk->checks % walk->n_frames;
	KB_OPAQUE(index);
	word = walk->words[index & (KB_FRAMES_MAX - 1)];
	if (KB_WORD_IS(word) || kb_code_unchanged(proc, layout, KB_FRAME_CODE(word)))
		return 1;
	__sync_fetch_and_add(&proc->epoch, 1);
	/* This stack was hashed in the old epoch. */
	walk->head.hash = ~walk->head.hash ^ (kb_u64)proc->epoch << EPOCH_SHIFT;
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

static __always_inline int sample_process(struct kb_proc *proc, kb_u32 tid)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct kb_layout *layout;
	struct kb_stack_key key;
	struct kb_walk *walk;
	kb_u32 zero = 0, state = 0;
	kb_u64 *count;
	int status;

	layout = bpf_map_lookup_elem(&layouts, &proc->layout);
	walk = bpf_map_lookup_elem(&walks, &zero);
	if (!layout || !walk) {
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
	kb_count(KB_LEDGER_ATTEMPTED, 1);
	if (status == KB_WALK_OK)
		status = kb_walk_frames(walk, layout, proc->id ^ proc->epoch << EPOCH_SHIFT);
	if (status == KB_WALK_FRAME_UNREADABLE && kb_find_caller(walk, layout))
		status = kb_walk_frames(walk, layout, proc->id ^ proc->epoch << EPOCH_SHIFT);
	if (status > KB_WALK_TRUNCATED) {
		count_failure(status);
		return 0;
	}
	walk->head.flags = status == KB_WALK_TRUNCATED ? KB_STACK_TRUNCATED : 0;
	/* A known stack may have had a code object replaced: look at one of its frames now and
	 * then. */
	if (walk->head.hash % VERIFY_EVERY == walk->checks++ % VERIFY_EVERY &&
	    !verify_frame(walk, proc, layout))
		return count_new(walk, proc, layout, tid);
	key.hash = walk->head.hash;
	key.proc = proc->id;
	key.tid = tid;
	count = control.generation & 1 ? bpf_map_lookup_elem(&counts_odd, &key)
				       : bpf_map_lookup_elem(&counts_even, &key);
	if (count) {
		__sync_fetch_and_add(count, 1);
		return 0;
	}
	return count_new(walk, proc, layout, tid);
}

static __always_inline int take_sample(void)
{
	kb_u64 id = bpf_get_current_pid_tgid();
	kb_u32 tgid = id >> 32, tid = id;
	struct task_struct *task;
	struct kb_proc *proc;

	if (config.filter == KB_FILTER_CGROUP && !kb_filter_passes(tgid))
		return 0;
	if (!tgid || (config.tid && tid != config.tid))
		return 0;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	task = bpf_get_current_task_btf();
	if (proc && proc->state == KB_PROC_PYTHON &&
	    kb_same_start(proc->start_time, task->group_leader->start_boottime))
		return sample_process(proc, tid);
	if (proc && proc->state == KB_PROC_UNSUPPORTED) {
		kb_count(KB_LEDGER_ATTEMPTED, 1);
		kb_count(KB_L_UNSUPPORTED, 1);
		return 0;
	}
	if (kb_filter_passes(tgid))
		ask(tgid);
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
