// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Waits, to the nanosecond: the modes `wall` and `gil-wait`.
 *
 * When a thread of a target leaves a CPU, its stack is taken in its own context, as for
 * a sample, and kept by thread; when it runs again, the time between is added to what
 * that stack has. A wait ends in a later generation than it began, so user space keeps the stacks
 * of waits for good, and each is sent once. Sums are kept as counts are: in two tables, one of
 * which is filled while the other is drained.
 *
 * Cost. Every switch of the machine pays for two lookups, one of a target's thread for its
 * accounting, and the walk is bounded for each CPU to a share of its time (walk_budget):
 * threads that switch a hundred thousand times a second would else pay for that many
 * walks. Waits that are not walked keep their exact time; their stack is a marker.
 *
 * The GIL. take_gil() (Python/ceval_gil.c, 3.6 to 3.15) waits for a condition in the GIL's
 * struct, 5 ms (sys.getswitchinterval()) at a time, and glibc's conditions and mutexes are futexes
 * within themselves. So a thread that leaves the CPU in futex(FUTEX_WAIT) on an address in
 * that struct waits for the GIL: no probe is needed. The holder is whom the GIL names then; it
 * runs while its frames are read from here, so these are checked like all and what makes
 * no stack is counted. Each step of a long wait asks anew.
 */
#include "common/call_places.bpf.h"
#include "common/process.bpf.h"
#include "native/unwind.bpf.h"
#include "python/state.bpf.h"
#include "python/tail.bpf.h"
#include "python/tasks.bpf.h"
#include "python/walk.bpf.h"
#include "shared/wait.h"
#include "stack.bpf.h"

#define WAIT_STACKS_MAX 16384 /* stacks that need not be sent again; forgotten ones are */
#define VERIFY_EVERY	8     /* walks; a check costs some 130 ns */

/*
 * Walking may take 1/32 of a CPU's time (3 %), which is 20,000 walks a second at 1.5 µs; what a
 * CPU did not use is good for a burst of a millisecond.
 */
#define BUDGET_SHARE 32
#define BUDGET_BURST 1000000

#define TASK_DEAD 0x80 /* include/linux/sched.h */

#define FUTEX_WAIT	  0 /* include/uapi/linux/futex.h */
#define FUTEX_WAIT_BITSET 9
#define FUTEX_COMMANDS	  0x7f /* without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME */

#define HOLDER_FRAMES_MAX (KB_TAIL_MAX - 2)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_WAITING_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_wait);
} waiting SEC(".maps");

#define SUMS_MAP(name)                                                                             \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(max_entries, 1); /* as the tables of counts */                              \
		__type(key, struct kb_stack_key);                                                  \
		__type(value, struct kb_wait_sum);                                                 \
	} name SEC(".maps")

SUMS_MAP(waits_even);
SUMS_MAP(waits_odd);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WAIT_STACKS_MAX);
	__type(key, struct kb_wait_stack_key);
	__type(value, kb_u32);
} wait_stacks SEC(".maps");

/* The waiter's and the holder's scratch. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, kb_u32);
	__type(value, struct kb_walk);
} wait_walks SEC(".maps");

struct budget {
	kb_s64 left; /* ns */
	kb_u64 time; /* of the last account */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct budget);
} walk_budget SEC(".maps");

/* ---------------------------------------------------------------- back on a CPU */

static __always_inline void send_moment(const struct kb_wait *wait, kb_u32 tid, kb_u64 ns)
{
	struct kb_data_moment moment = {
		.proc = wait->proc,
		.hash = wait->hash,
		.time = wait->since,
		.count = ns,
		.tid = tid,
		.flags = wait->state | KB_STATE_OFF_CPU,
	};

	kb_send_moment(&moment);
}

/* Nobody else has this key: a thread runs on one CPU. */
static __always_inline void add_wait(const struct kb_wait *wait, kb_u32 tid, kb_u64 ns)
{
	struct kb_stack_key key = { .hash = wait->hash, .proc = wait->proc, .tid = tid };
	struct kb_wait_sum *sum, first = { .ns = ns, .n = 1 };
	kb_u32 odd = control.generation & 1;
	kb_u32 *new_stacks;
	long err;

	sum = odd ? bpf_map_lookup_elem(&waits_odd, &key) : bpf_map_lookup_elem(&waits_even, &key);
	if (sum) {
		sum->ns += ns;
		sum->n++;
		return;
	}
	if (odd)
		err = bpf_map_update_elem(&waits_odd, &key, &first, BPF_NOEXIST);
	else
		err = bpf_map_update_elem(&waits_even, &key, &first, BPF_NOEXIST);
	if (err) {
		kb_count(KB_L_STACKS_FULL, 1);
		kb_count(KB_L_LOST_WAIT_NS, ns);
	}
	new_stacks = (kb_u32 *)&control.new_stacks[odd];
	__sync_fetch_and_add(new_stacks, 1);
	if (err || *new_stacks > config.stacks_high ||
	    bpf_ringbuf_query(&data, BPF_RB_AVAIL_DATA) > config.ring_high)
		kb_request_drain();
}

/* A function of its own: what it keeps on the stack must not add to what taking a stack needs. */
static __noinline int end_wait(kb_u32 tid, kb_u64 now)
{
	struct kb_wait *wait = bpf_map_lookup_elem(&waiting, &tid);
	kb_u64 ns;

	if (!wait || !wait->since)
		return 0;
	ns = now - wait->since;
	if ((kb_s64)ns < (kb_s64)config.wait_min_ns) {
		kb_count(KB_L_SHORT_WAITS, 1);
	} else {
		kb_count(KB_LEDGER_ATTEMPTED, 1);
		if (wait->reason == KB_L_GOOD) {
			add_wait(wait, tid, ns);
			if (config.want & KB_WANT_MOMENTS)
				send_moment(wait, tid, ns);
		} else {
			kb_count(wait->reason, 1);
			if (wait->reason != KB_L_NOT_PYTHON_THREAD && wait->reason != KB_L_NO_FRAME)
				kb_count(KB_L_LOST_WAIT_NS, ns);
		}
	}
	wait->since = 0;
	return 0;
}

/* ---------------------------------------------------------------- off the CPU */

/* What may be spent, after what has come in since the last time. */
static __always_inline kb_s64 take_budget(struct budget *budget, kb_u64 now)
{
	kb_s64 left = budget->left + (now - budget->time) / BUDGET_SHARE;

	budget->time = now;
	if (left > BUDGET_BURST)
		left = BUDGET_BURST;
	budget->left = left;
	return left;
}

/* The address that the current thread waits for in futex(), 0: it does something else. */
static __always_inline kb_u64 futex_waited_for(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	kb_u64 command;

	if (KB_SYSCALL_NUMBER(regs) != KB_SYSCALL_FUTEX)
		return 0;
	command = KB_SYSCALL_SECOND(regs) & FUTEX_COMMANDS;
	if (command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET)
		return 0;
	return KB_SYSCALL_FIRST(regs);
}

struct appending {
	struct kb_walk *walk;
	const struct kb_walk *from;
};

static long append_step(kb_u64 index, struct appending *appending)
{
	KB_OPAQUE(index);
	if (index >= KB_FRAMES_MAX)
		return 1;
	kb_walk_append(appending->walk, appending->from->words[index]);
	return 0;
}

/* Appends the frames of the thread state that holds the GIL. Without any where they are not known.
 */
static __noinline int append_holder(struct kb_walk *walk, const struct kb_layout *layout,
				    kb_u64 tstate)
{
	struct appending appending = { .walk = walk };
	struct kb_walk *holder;
	kb_u32 one = 1;
	kb_u64 n = 0;

	holder = bpf_map_lookup_elem(&wait_walks, &one);
	if (!walk || !layout || !holder)
		return 0;
	if (kb_find_frame_of(holder, layout, tstate) == KB_WALK_OK &&
	    kb_walk_frames(holder, layout, 0) == KB_WALK_OK)
		n = holder->n_frames;
	/* Beside a native stack there may be less room. */
	if (!n || n > HOLDER_FRAMES_MAX || n + 1 > KB_WORDS_MAX - walk->head.n_words) {
		kb_count(KB_L_HOLDER_UNKNOWN, 1);
		n = 0;
	}
	kb_walk_append(walk, KB_WORD(KB_WORD_HOLDER, n));
	appending.from = holder;
	bpf_loop(n, append_step, &appending, 0);
	return n;
}

/* Who holds the GIL now? Its thread state, 0: nobody. */
static __always_inline kb_u64 holder_of(const struct kb_proc *proc, kb_u64 gil)
{
	kb_u64 words[2] = {};

	/* 3.6: locked is a variable apart, and last_holder is nobody's business unless it is. */
	if (proc->gil_holder && proc->gil_holder != gil + KB_GIL_LAST_HOLDER) {
		kb_read_user(words, 8, proc->gil_holder);
		return words[0];
	}
	kb_read_user(words, sizeof(words), gil + KB_GIL_LAST_HOLDER);
	return (kb_s32)words[1] > 0 ? words[0] : 0;
}

/* The stack of the thread that leaves the CPU, into the scratch. Returns enum kb_walk_status. */
static __always_inline int take_stack(struct kb_walk *walk, struct kb_proc *proc,
				      const struct kb_layout *layout, int found)
{
	int status = found;

	if (config.want & KB_WANT_TASKS)
		kb_tasks_find(walk, proc, layout);
	if (status == KB_WALK_OK)
		status = kb_walk_frames(walk, layout, kb_stack_seed(proc));
	if (status == KB_WALK_FRAME_UNREADABLE && kb_find_caller(walk, layout))
		status = kb_walk_frames(walk, layout, kb_stack_seed(proc));
	return kb_native_complete(walk, proc, status);
}

/* Makes sure that user space has the stack. Returns the ledger's reason. */
static __noinline int show_stack(struct kb_walk *walk, struct kb_proc *proc,
				 const struct kb_layout *layout)
{
	struct kb_wait_stack_key key = {};
	kb_u32 one = 1;
	int reason;

	if (!walk || !proc || !layout)
		return KB_L_NO_SCRATCH;
	key.hash = walk->head.hash;
	key.proc = proc->id;
	if (bpf_map_lookup_elem(&wait_stacks, &key))
		return KB_L_GOOD;
	reason = kb_send_stack(walk, proc, layout, control.generation);
	if (reason == KB_L_GOOD)
		bpf_map_update_elem(&wait_stacks, &key, &one, BPF_ANY);
	else if (reason == KB_L_RING_FULL)
		kb_request_drain();
	return reason;
}

/* The waiter's stack with the holder's behind it, and without where that one is no stack. */
static __always_inline int show_with_holder(struct kb_walk *walk, struct kb_proc *proc,
					    const struct kb_layout *layout, kb_u64 gil)
{
	kb_u64 holder = holder_of(proc, gil), hash = walk->head.hash;
	kb_u32 n = walk->head.n_words;
	int reason;

	if (!holder || holder == walk->tstate_at)
		return show_stack(walk, proc, layout);
	if (!append_holder(walk, layout, holder))
		return show_stack(walk, proc, layout);
	reason = show_stack(walk, proc, layout);
	if (reason != KB_L_BAD_FRAME)
		return reason;
	kb_count(KB_L_HOLDER_UNKNOWN, 1);
	walk->head.hash = hash;
	walk->head.n_words = n;
	kb_walk_append(walk, KB_WORD(KB_WORD_HOLDER, 0));
	return show_stack(walk, proc, layout);
}

/*
 * Fills in what the wait is counted under; its stack only if walking is allowed. False: it is none
 * of the waits that this run is about.
 */
static __noinline int describe_wait(struct kb_wait *wait, struct kb_proc *proc, kb_u64 futex,
				    int walking)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct kb_layout *layout;
	kb_u32 zero = 0, tid = bpf_get_current_pid_tgid();
	struct kb_walk *walk;
	kb_u64 gil = 0;
	int status = KB_WALK_NOT_PYTHON_THREAD;

	if (!wait || !proc)
		return 0;
	wait->reason = KB_L_NO_SCRATCH;
	layout = bpf_map_lookup_elem(&layouts, &proc->layout);
	walk = bpf_map_lookup_elem(&wait_walks, &zero);
	if (!layout || !walk)
		return 1;
	if (walking || config.mode == KB_MODE_IS_GIL_WAIT)
		status = kb_find_thread(walk, proc, layout, KB_THREAD_POINTER(task), tid);
	if (config.mode == KB_MODE_IS_GIL_WAIT) {
		if (status == KB_WALK_NOT_PYTHON_THREAD)
			return 0;
		gil = kb_gil_of(walk, proc, layout);
		if (!gil || futex - gil >= layout->gil_bytes)
			return 0;
	}
	if (!walking) {
		kb_count(KB_L_WAITS_NOT_WALKED, 1);
		wait->reason = KB_L_GOOD;
		return 1;
	}
	if (kb_state_wanted() && status != KB_WALK_NOT_PYTHON_THREAD)
		wait->state = kb_thread_state(walk, proc, layout);
	status = take_stack(walk, proc, layout, status);
	if (status > KB_WALK_TRUNCATED) {
		wait->reason = kb_failure(status);
		return 1;
	}
	kb_walk_tail(walk, proc, layout, wait->state);
	/* Not from there: programs may be eight calls deep, and this is deep. */
	if (config.want & KB_WANT_TASKS && walk->tstate_at)
		kb_tasks_append(walk, proc, layout);
	walk->head.flags = KB_STACK_WAIT | (status == KB_WALK_TRUNCATED ? KB_STACK_TRUNCATED : 0);
	if (walk->head.hash % VERIFY_EVERY == walk->checks++ % VERIFY_EVERY)
		kb_verify_frame(walk, proc, layout);
	if (config.mode == KB_MODE_IS_GIL_WAIT)
		wait->reason = show_with_holder(walk, proc, layout, gil);
	else
		wait->reason = show_stack(walk, proc, layout);
	wait->hash = walk->head.hash;
	return 1;
}

/* The process of the thread that leaves the CPU, if it is a target that is known. */
static __always_inline struct kb_proc *target_of(struct task_struct *task, kb_u32 tgid, kb_u64 now)
{
	struct kb_proc *proc;

	if (config.filter == KB_FILTER_CGROUP && !kb_filter_passes(tgid))
		return NULL;
	if (config.tid && task->pid != config.tid)
		return NULL;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (proc && proc->state == KB_PROC_PYTHON &&
	    kb_same_start(proc->start_time, task->group_leader->start_boottime))
		return proc;
	/* Samples ask as well, but a process that only waits has none. */
	if ((!proc || (proc->state != KB_PROC_UNSUPPORTED && now >= proc->next_check)) &&
	    kb_filter_passes(tgid))
		kb_ask(tgid);
	return NULL;
}

static __always_inline void begin_wait(struct task_struct *task, kb_u64 now, int preempted)
{
	kb_u32 tid = task->pid, tgid = task->tgid, zero = 0;
	struct kb_wait wait = { .since = now, .hash = KB_WAIT_NOT_WALKED };
	struct kb_proc *proc = target_of(task, tgid, now);
	struct budget *budget;
	struct kb_wait *known;
	kb_u64 futex = 0;
	int walks, wanted;

	if (!proc)
		return;
	/* It would not have been here without our probe. */
	if (config.want & KB_WANT_CALLS && preempted && kb_in_probe(proc)) {
		kb_count(KB_L_SET_ASIDE, 1);
		return;
	}
	if (config.mode == KB_MODE_IS_GIL_WAIT) {
		futex = futex_waited_for(task);
		if (!futex)
			return;
	}
	budget = bpf_map_lookup_elem(&walk_budget, &zero);
	if (!budget)
		return;
	wait.proc = proc->id;
	walks = take_budget(budget, now) > 0 && kb_take_walking();
	wanted = describe_wait(&wait, proc, futex, walks);
	if (walks)
		kb_end_walking();
	budget->left -= bpf_ktime_get_ns() - now;
	if (!wanted)
		return;
	known = bpf_map_lookup_elem(&waiting, &tid);
	if (known && known->proc == wait.proc) {
		*known = wait;
		return;
	}
	kb_send_thread(proc, tid);
	if (bpf_map_update_elem(&waiting, &tid, &wait, BPF_ANY))
		kb_count(KB_L_WAITS_NOT_KEPT, 1);
}

/* What costs no lookup: is it no kernel thread, nor another than the only process? */
static __always_inline int may_be_target(struct task_struct *task)
{
	return task->mm && (!config.only_tgid || task->tgid == config.only_tgid);
}

static __always_inline void forget(struct task_struct *task)
{
	kb_u32 tid = task->pid;

	bpf_map_delete_elem(&waiting, &tid);
}

/* Runs with the run queue locked and interrupts off, before prev's registers are exchanged for
 * next's: prev is the current thread. */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, _Bool preempted, struct task_struct *prev, struct task_struct *next)
{
	kb_u64 now = bpf_ktime_get_ns();

	if (may_be_target(next))
		end_wait(next->pid, now);
	if (prev->__state & TASK_DEAD)
		forget(prev);
	else if (may_be_target(prev))
		begin_wait(prev, now, preempted);
	return 0;
}
