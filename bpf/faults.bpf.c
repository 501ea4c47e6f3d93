// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Processes that die of a signal tell their Python stacks themselves, with nothing installed in
 * them.
 *
 * When a signal is delivered whose action is the default one, the thread is still whole: it stands
 * where it was, its memory is readable as far as it is resident, and the program here runs in it,
 * before the kernel begins to take the process down. A moment later there is nothing left, so
 * everything that a report needs is sent from here: who and why, and for each thread state its
 * frames with the names and lines of their code objects. Other threads are read where they are:
 * those that run meanwhile on another CPU may give a stack that they never had, as faulthandler's
 * may.
 *
 * The first thread of a process that gets here sends all; its other threads get SIGKILL, and the
 * number that ends the process is signal->group_exit_code for them (kernel/signal.c,
 * get_signal() and complete_signal()).
 *
 * A process with a handler of its own, such as faulthandler's, is left to it. Handlers of that kind
 * put back the default action and raise the signal again; what the first delivery knew, the fault's
 * address and where in the code it was, is remembered until then.
 *
 * All runs with interrupts off, so every loop is bounded: threads, frames, and the names
 * of those frames only that will be shown.
 */
#define KB_DEFINE_FAULT_MAPS
#include "faults.bpf.h"
#include "python/code.bpf.h"
#include "python/state.bpf.h"
#include "python/walk.bpf.h"

#define SIGNAL_GROUP_EXIT 0x4	/* include/linux/sched/signal.h */
#define SIGNAL_UNKILLABLE 0x40	/* the first process of a PID namespace */
#define FIRST_FAULTS_MAX  4096	/* threads in a handler; the least recent is forgotten */
#define TASKS_MAX	  1024	/* of a process; those beyond have no names */
#define STEPS_MAX	  4096	/* thread states and interpreters that are looked at; 80 ns each */
#define FRAMES_IN_ALL	  65536 /* walked for one death: some 2 ms at the most */

KB_SETTING struct kb_fault_config fault_config = {};

/* What a signal was when it was delivered to a handler first. */
struct first_fault {
	kb_s32 signal, code;
	kb_u64 address;
	kb_u32 access, flags;
	kb_u64 registers[KB_REGISTERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FIRST_FAULTS_MAX);
	__type(key, kb_u64); /* process and thread */
	__type(value, struct first_fault);
} first_faults SEC(".maps");

struct fault_scratch {
	struct kb_proc proc; /* the process, under the id of its death */
	struct kb_data_fault record;
	struct first_fault first;
	struct kb_walk walk;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct fault_scratch);
} fault_scratch SEC(".maps");

/* ---- what happened */

/* The signals whose siginfo has an address, if the kernel made them for something that the thread
 * did. */
static __always_inline int has_address(kb_s32 signal, kb_s32 code)
{
	/* SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV; SI_KERNEL (0x80) has none. */
	return code > 0 && code < 0x80 &&
	       (1u << signal & (1u << 4 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 11));
}

static __always_inline void describe_fault(struct first_fault *fault, struct task_struct *task,
					   kb_s32 signal, struct kernel_siginfo *info)
{
	kb_u8 byte;

	__builtin_memset(fault, 0, sizeof(*fault));
	fault->signal = signal;
	fault->access = KB_ACCESS_UNKNOWN;
	/* Other values than addresses stand for "nobody" and "the kernel". */
	if ((kb_u64)info > KB_SEND_SIG_PRIV)
		fault->code = BPF_CORE_READ(info, si_code);
	if (has_address(signal, fault->code)) {
		fault->address = (kb_u64)BPF_CORE_READ(info, _sifields._sigfault._addr);
		fault->access = KB_FAULT_ACCESS(task);
		if (kb_read_user(&byte, 1, fault->address))
			fault->flags |= KB_FAULT_UNREADABLE;
	}
#ifdef KB_COPY_REGISTERS
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	KB_COPY_REGISTERS(fault->registers, regs);
#endif
}

static __always_inline void describe_sender(struct kb_data_fault *record)
{
	struct kb_fault_sender *sender = bpf_map_lookup_elem(&senders, &record->tgid);

	if (sender && sender->signal == record->signal) {
		record->sender = sender->tgid;
		__builtin_memcpy(record->sender_comm, sender->comm, sizeof(record->sender_comm));
		if (!sender->tgid)
			record->flags |= KB_FAULT_FROM_KERNEL;
	}
}

struct path {
	struct kb_data_fault *record;
	struct kernfs_node *node;
};

static long path_step(kb_u64 index, struct path *path)
{
	struct kernfs_node *node = path->node, *parent;
	kb_u32 n = path->record->n_cgroups;
	const char *name;

	if (bpf_core_field_exists(node->__parent))
		parent = BPF_CORE_READ(node, __parent);
	else
		parent = BPF_CORE_READ((struct kernfs_node___before_6_15 *)node, parent);
	/* The root has no name that people see. */
	if (!parent)
		return 1;
	name = BPF_CORE_READ(node, name);
	if (n < KB_FAULT_CGROUPS_MAX)
		bpf_probe_read_kernel_str(path->record->cgroups[n], KB_FAULT_CGROUP_NAME, name);
	path->record->n_cgroups = n + 1;
	path->node = parent;
	return 0;
}

static __always_inline void describe_command(struct kb_data_fault *record, struct task_struct *task)
{
	kb_u64 start = BPF_CORE_READ(task, mm, arg_start), end = BPF_CORE_READ(task, mm, arg_end);
	kb_u64 bytes = end - start;

	record->command_bytes = 0;
	if (!start || end < start)
		return;
	if (bytes > KB_FAULT_COMMAND_MAX) {
		bytes = KB_FAULT_COMMAND_MAX;
		record->flags |= KB_FAULT_COMMAND_CUT;
	}
	KB_OPAQUE(bytes);
	if (bytes <= KB_FAULT_COMMAND_MAX && !kb_read_user(record->command, bytes, start))
		record->command_bytes = bytes;
}

/* A function of its own, and so is what follows: together they would need too much stack. */
static __noinline int describe(struct fault_scratch *s, kb_s32 signal, struct kernel_siginfo *info)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct kb_data_fault *record = &s->record;
	kb_u64 id = bpf_get_current_pid_tgid();
	struct first_fault *first = bpf_map_lookup_elem(&first_faults, &id);
	struct path path = { .record = record };

	record->kind = KB_DATA_FAULT;
	record->proc = s->proc.id;
	record->time = bpf_ktime_get_ns();
	record->tgid = id >> 32;
	record->tid = id;
	record->ns_tid = kb_namespace_id(task);
	record->ns_tgid = kb_namespace_id(BPF_CORE_READ(task, group_leader));
	record->parent_tgid = BPF_CORE_READ(task, real_parent, tgid);
	record->signal = signal;
	record->uid = bpf_get_current_uid_gid();
	record->cgroup = bpf_get_current_cgroup_id();
	record->tstate = record->sender = record->n_cgroups = 0;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	BPF_CORE_READ_STR_INTO(&record->leader_comm, task, group_leader, comm);
	describe_fault(&s->first, task, signal, info);
	record->flags = s->first.flags;
	record->code = s->first.code;
	if (first && first->signal == signal && s->first.code <= 0) {
		__builtin_memcpy(&s->first, first, sizeof(s->first));
		record->flags = first->flags | KB_FAULT_AGAIN;
		record->code = first->code;
	}
	record->address = s->first.address;
	record->access = s->first.access;
	__builtin_memcpy(record->registers, s->first.registers, sizeof(record->registers));
	if (BPF_CORE_READ(task, signal, oom_mm))
		record->flags |= KB_FAULT_OOM;
	__builtin_memset(record->sender_comm, 0, sizeof(record->sender_comm));
	if (record->code <= 0)
		describe_sender(record);
	describe_command(record, task);
	path.node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	bpf_loop(32, path_step, &path, 0);
	return 0;
}

/* ---- threads */

/*
 * Before Linux 6.7 (commit ab5cfac139ab) the verifier looks at a callback of bpf_loop as if it were
 * called once, and drops what cannot happen then: what a callback decides by must not be known to
 * begin with.
 */
static volatile kb_u32 unknown_zero;

struct sending {
	struct fault_scratch *s;
	const struct kb_layout *layout;
	kb_u64 interp; /* the next one */
	kb_u64 tstate; /* the next one in the present interpreter */
	kb_u64 interp_id;
	kb_u32 frames; /* walked so far */
	kb_u32 n;      /* threads */
	kb_u32 lost;   /* records that did not fit */
	kb_u32 left_out;
	kb_u32 current_flags;
};

static long name_code(kb_u64 index, struct sending *sending)
{
	struct fault_scratch *s = sending->s;
	kb_u64 word;

	KB_OPAQUE(index);
	if (index >= KB_WORDS_MAX)
		return 1;
	word = s->walk.words[index];
	if (!KB_WORD_IS(word) &&
	    kb_code_seen(&s->proc, sending->layout, KB_FRAME_CODE(word)) == KB_CODE_RING_FULL)
		sending->lost++;
	return 0;
}

/* The stack of the thread state whose bytes are in the scratch. */
static __always_inline int send_thread(struct sending *sending, kb_u64 tstate)
{
	struct kb_data_fault_thread *head;
	const struct kb_layout *layout = sending->layout;
	struct fault_scratch *s = sending->s;
	struct kb_walk *walk = &s->walk;
	kb_u64 n = 0, size;
	kb_u32 flags = 0, native = 0;
	kb_u64 ident = kb_tstate_field(walk, layout->tstate_thread_id);
	int status;

	if (layout->tstate_native_thread_id != KB_NO_OFFSET)
		native = kb_tstate_field(walk, layout->tstate_native_thread_id);
	status = kb_find_frame_of(walk, layout, tstate);
	if (status == KB_WALK_OK) {
		status = kb_walk_frames(walk, layout, 0);
		if (status == KB_WALK_FRAME_UNREADABLE && kb_find_caller(walk, layout))
			status = kb_walk_frames(walk, layout, 0);
		n = walk->n_frames;
	}
	sending->frames += n;
	if (tstate == s->record.tstate)
		flags = KB_FAULT_THREAD_CURRENT | sending->current_flags;
	if (status == KB_WALK_TRUNCATED || n > fault_config.frames)
		flags |= KB_FAULT_THREAD_CUT;
	else if (status == KB_WALK_TSTATE_UNREADABLE || status == KB_WALK_FRAME_UNREADABLE)
		flags |= KB_FAULT_THREAD_BROKEN;
	if (n > fault_config.frames)
		n = fault_config.frames;
	bpf_loop(n, name_code, sending, 0);
	head = (struct kb_data_fault_thread *)&walk->head;
	head->kind = KB_DATA_FAULT_THREAD;
	head->proc = s->proc.id;
	head->ident = ident;
	head->interpreter = sending->interp_id;
	head->flags = flags;
	head->native_id = native;
	KB_OPAQUE(n);
	if (n > KB_FRAMES_MAX)
		n = KB_FRAMES_MAX;
	head->n_words = n;
	size = sizeof(walk->head) + n * 8;
	if (bpf_ringbuf_output(&data, walk, size, BPF_RB_NO_WAKEUP))
		sending->lost++;
	return 0;
}

/* To the next interpreter's list, or to the next thread state in it. */
static long thread_step(kb_u64 index, struct sending *sending)
{
	const struct kb_layout *layout = sending->layout;
	struct kb_walk *walk = &sending->s->walk;
	kb_u64 interp = sending->interp, tstate = sending->tstate, next;

	if (!tstate) {
		if (!interp)
			return 1;
		sending->interp_id = 0;
		if (layout->interp_id != KB_NO_OFFSET)
			kb_read_user(&sending->interp_id, 8, interp + layout->interp_id);
		return kb_read_user(&sending->tstate, 8, interp + layout->interp_threads_head) ||
		       kb_read_user(&sending->interp, 8, interp + layout->interp_next);
	}
	if (kb_read_user(walk->tstate, KB_TSTATE_SPAN, tstate)) {
		sending->lost++;
		return 1;
	}
	next = kb_tstate_field(walk, layout->tstate_next);
	/* The one that it is about is shown in any case. */
	if ((sending->n++ < KB_FAULT_THREADS_MAX && sending->frames < FRAMES_IN_ALL) ||
	    tstate == sending->s->record.tstate)
		send_thread(sending, tstate);
	else
		sending->left_out++;
	sending->tstate = next;
	return 0;
}

struct tasks {
	struct list_head *at, *end;
	struct sending *sending;
};

static long task_step(kb_u64 index, struct tasks *tasks)
{
	struct kb_data_fault_task record = { .kind = KB_DATA_FAULT_TASK,
					     .proc = tasks->sending->s->proc.id };
	struct list_head *at = tasks->at;
	struct task_struct *task;

	if (!at || at == tasks->end)
		return 1;
	task = (void *)at - bpf_core_field_offset(struct task_struct, thread_node);
	record.tid = BPF_CORE_READ(task, pid);
	record.ns_tid = kb_namespace_id(task);
	record.thread_pointer = KB_PTHREAD_SELF(KB_READ_THREAD_POINTER(task));
	BPF_CORE_READ_STR_INTO(&record.comm, task, comm);
	if (bpf_ringbuf_output(&data, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		tasks->sending->lost++;
	tasks->at = BPF_CORE_READ(at, next);
	return 0;
}

static __noinline int send_tasks(struct sending *sending)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tasks tasks = { .sending = sending };
	struct list_head *end;

	end = (void *)BPF_CORE_READ(task, signal) +
	      bpf_core_field_offset(struct signal_struct, thread_head);
	tasks.end = end;
	tasks.at = BPF_CORE_READ(end, next);
	bpf_loop(TASKS_MAX, task_step, &tasks, 0);
	return 0;
}

/* The pages from the one that the stack pointer is in, as far as they are in memory. */
static __noinline int send_stack(struct fault_scratch *s)
{
	kb_u64 at = s->record.registers[7] & ~(kb_u64)(KB_FAULT_PAGE - 1);
	struct kb_data_fault_stack *stack;
	kb_u32 n = 0;

	stack = bpf_ringbuf_reserve(&data, sizeof(*stack), 0);
	if (!stack)
		return -1;
	stack->kind = KB_DATA_FAULT_STACK;
	stack->proc = s->proc.id;
	stack->address = at;
	stack->reserved = 0;
#pragma unroll
	for (int i = 0; i < KB_FAULT_PAGES; i++) {
		if (n == i && !kb_read_user(stack->pages[i], KB_FAULT_PAGE, at + i * KB_FAULT_PAGE))
			n++;
	}
	stack->n_pages = n;
	bpf_ringbuf_submit(stack, BPF_RB_NO_WAKEUP);
	return 0;
}

/* ---- a process that dies */

/*
 * A function of its own: the way down to the names of code objects needs all of the stack that
 * there is (512 bytes, in pieces of 32 for each function before Linux 6.2).
 */
static __noinline int tell(const struct sending *sending)
{
	const struct kb_data_fault *record = &sending->s->record;
	struct kb_notice notice = { .kind = KB_NOTICE_FAULT,
				    .tgid = record->tgid,
				    .proc = record->proc,
				    .start_time = bpf_ktime_get_ns() - record->time,
				    .code = (kb_u64)sending->lost << 32 | sending->left_out };

	kb_notify(&notice);
	return KB_L_GOOD;
}

static __noinline int send_all(struct fault_scratch *s, const struct kb_layout *layout)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sending sending = { .s = s,
				   .layout = layout,
				   .tstate = unknown_zero,
				   .interp_id = unknown_zero,
				   .frames = unknown_zero,
				   .n = unknown_zero,
				   .lost = unknown_zero,
				   .left_out = unknown_zero };
	struct kb_walk *walk = &s->walk;
	int status;

	status = kb_find_thread(walk, &s->proc, layout, KB_THREAD_POINTER(task), s->record.tid);
	if (status == KB_WALK_NOT_PYTHON_THREAD)
		s->record.flags |= KB_FAULT_NOT_PYTHON;
	else
		s->record.tstate = walk->tstate_at;
	if (status == KB_WALK_OK && kb_thread_state(walk, &s->proc, layout) & KB_STATE_GC)
		sending.current_flags = KB_FAULT_THREAD_GC;
	if (bpf_ringbuf_output(&data, &s->record, sizeof(s->record), BPF_RB_NO_WAKEUP))
		return KB_L_RING_FULL;
	if (fault_config.want_stack && send_stack(s))
		sending.lost++;
	send_tasks(&sending);
	if (kb_read_user(&sending.interp, 8, s->proc.interp_head))
		sending.lost++;
	else
		bpf_loop(STEPS_MAX, thread_step, &sending, 0);
	return tell(&sending);
}

static __always_inline int report(struct kb_proc *proc, kb_s32 signal, struct kernel_siginfo *info)
{
	struct kb_layout *layout = bpf_map_lookup_elem(&layouts, &proc->layout);
	kb_u32 zero = 0;
	struct fault_scratch *s = bpf_map_lookup_elem(&fault_scratch, &zero);
	int reason;

	kb_count(KB_LEDGER_ATTEMPTED, 1);
	if (!s || !layout) {
		kb_count(KB_L_NO_SCRATCH, 1);
		return 0;
	}
	__builtin_memcpy(&s->proc, proc, sizeof(s->proc));
	s->proc.id = __sync_fetch_and_add(&control.next_proc, 1);
	describe(s, signal, info);
	s->record.start_time = proc->start_time;
	s->record.runtime_code_type = proc->code_type;
	s->record.image = proc->image;
	s->record.layout = proc->layout;
	s->record.process = proc->id;
	reason = send_all(s, layout);
	if (reason != KB_L_GOOD)
		kb_count(reason, 1);
	return 0;
}

/* The signal that ends the process, whichever the thread gets; 0: it ends by itself. */
static __always_inline kb_s32 signal_of_death(struct task_struct *task, kb_s32 signal)
{
	if (signal != KB_SIGKILL)
		return signal;
	/* Without a group exit it is execve() that ends the other threads. */
	if (!(BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT))
		return 0;
	return BPF_CORE_READ(task, signal, group_exit_code) & 0x7f;
}

static __always_inline int is_wanted(struct task_struct *task, kb_s32 signal)
{
	if (kb_fault_is_in(fault_config.fatal, signal))
		return 1;
	return fault_config.want_oom && signal == KB_SIGKILL && BPF_CORE_READ(task, signal, oom_mm);
}

/*
 * Not identified, and not known for no Python: it may be one that has just started. A loss, if it
 * is.
 */
static __always_inline int count_unknown(struct kb_proc *proc, struct task_struct *task,
					 kb_u32 tgid)
{
	if (proc && proc->state == KB_PROC_UNSUPPORTED) {
		kb_count(KB_LEDGER_ATTEMPTED, 1);
		kb_count(KB_L_UNSUPPORTED, 1);
	} else if (kb_filter_passes(tgid) &&
		   kb_exe_known(BPF_CORE_READ(task, mm, exe_file)) != KB_EXE_NOT_PYTHON) {
		kb_count(KB_LEDGER_ATTEMPTED, 1);
		kb_count(KB_L_NOT_IDENTIFIED, 1);
	}
	return 0;
}

/* Not on the stack, of which the walk that comes later needs most. */
static __always_inline int remember(struct task_struct *task, kb_s32 signal,
				    struct kernel_siginfo *info)
{
	kb_u64 id = bpf_get_current_pid_tgid();
	struct fault_scratch *s;
	kb_u32 zero = 0;

	s = bpf_map_lookup_elem(&fault_scratch, &zero);
	if (!s)
		return 0;
	describe_fault(&s->first, task, signal, info);
	if (s->first.code > 0)
		bpf_map_update_elem(&first_faults, &id, &s->first, BPF_ANY);
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(on_signal_deliver, int signal, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct task_struct *task = bpf_get_current_task_btf();
	kb_u32 tgid = bpf_get_current_pid_tgid() >> 32;
	kb_s32 death = signal_of_death(task, signal);
	struct kb_proc *proc;

	if (!is_wanted(task, death))
		return 0;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (!proc || proc->state != KB_PROC_PYTHON ||
	    !kb_same_start(proc->start_time, BPF_CORE_READ(task, group_leader, start_boottime)))
		return count_unknown(proc, task, tgid);
	if (BPF_CORE_READ(action, sa.sa_handler))
		return remember(task, death, info);
	/* Such a process gets over a default action, but for SIGKILL from outside. */
	if (signal != KB_SIGKILL && BPF_CORE_READ(task, signal, flags) & SIGNAL_UNKILLABLE)
		return 0;
	if (__sync_val_compare_and_swap(&proc->dying, 0, 1))
		return 0;
	return report(proc, death, info);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
