// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Holds a thread that is about to die, so that user space can read values of its variables.
 *
 * Nothing can wait where a signal is made or delivered: interrupts are off there. Work for the task
 * itself can (bpf_task_work_schedule_signal_impl, Linux 6.18): it runs before the signal is taken
 * out of the queue, with interrupts on, and turns round until user space has seized the thread with
 * ptrace, or the time is over. Then the signal goes its way, stops once more for who has seized the
 * thread, and ends the process as it would have. When user space is killed meanwhile, the kernel
 * lets the thread go.
 */
#include "faults.bpf.h"

struct bpf_map {
	__u32 id;
} KB_CORE;

/* The verifier knows it by its name and size; Debian 12's header is older. */
struct bpf_task_work {
	__u64 opaque;
} __attribute__((aligned(8)));

extern int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *work,
					      void *map,
					      int (*callback)(struct bpf_map *, void *, void *),
					      void *aux) __ksym __weak;

#define HOLDS_MAX 64	    /* at the same time; others are not held */
#define SPINS_MAX (1 << 23) /* bpf_loop's own limit: more than KB_FAULTS_HOLD_MS takes */
#define NS_PER_MS 1000000ULL

struct hold {
	struct bpf_task_work work;
	kb_u32 tgid, tid;
	kb_s32 signal;
	kb_u32 place; /* in hold_released */
	kb_u32 serial;
	kb_u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HOLDS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, kb_u32);
	__type(value, struct hold);
} holds SEC(".maps");

/* The serial number of the hold that may end, by its place; user space writes it. */
volatile kb_u32 hold_released[KB_FAULT_HOLDS];
static volatile kb_u32 hold_serial;

struct waiting {
	kb_u64 until;
	kb_u32 place, serial;
};

static long spin(kb_u64 index, struct waiting *w)
{
	return hold_released[w->place & (KB_FAULT_HOLDS - 1)] == w->serial ||
	       bpf_ktime_get_ns() > w->until;
}

/* In the thread, before it takes its signal. */
static int hold_thread(struct bpf_map *map, void *key, void *value)
{
	struct hold *hold = value;
	struct kb_notice notice = { .kind = KB_NOTICE_HELD,
				    .tgid = hold->tgid,
				    .proc = hold->tid,
				    .code = hold->signal,
				    .start_time = hold->serial,
				    .reserved = hold->place };
	struct waiting w = { .place = hold->place, .serial = hold->serial };

	/* Looked into, or the compiler leaves the struct's members out of the types, and the
	 * function above is taken for another than the kernel's. */
	if (!map->id)
		return 0;
	w.until = bpf_ktime_get_ns() + fault_config.hold_ms * NS_PER_MS;
	kb_notify(&notice);
	bpf_loop(SPINS_MAX, spin, &w, 0);
	return 0;
}

static __always_inline int schedule(struct task_struct *task, kb_u32 tgid, kb_u32 tid, int signal)
{
	struct hold fresh = { .tgid = tgid, .tid = tid, .signal = signal }, *hold;

	fresh.serial = __sync_fetch_and_add(&hold_serial, 1) + 1;
	fresh.place = fresh.serial & (KB_FAULT_HOLDS - 1);
	/* One that is there is of a thread that had the id before, or of a signal that it got over.
	 */
	bpf_map_delete_elem(&holds, &tid);
	if (bpf_map_update_elem(&holds, &tid, &fresh, BPF_NOEXIST))
		return 0;
	hold = bpf_map_lookup_elem(&holds, &tid);
	if (hold && KB_HAVE_KFUNC(bpf_task_work_schedule_signal_impl))
		bpf_task_work_schedule_signal_impl(task, &hold->work, &holds, hold_thread, NULL);
	return 0;
}

/* Only what a thread does to itself: a fault, abort(). Who is killed by others may be in the midst
 * of anything. */
SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal_hold, int signal, struct kernel_siginfo *info, struct task_struct *task,
	     int group, int result)
{
	kb_u64 id = bpf_get_current_pid_tgid();
	kb_u32 tgid = id >> 32, tid = id;
	struct kb_proc *proc;

	if (task->pid != tid || !kb_fault_is_in(fault_config.fatal, signal) || signal == KB_SIGKILL)
		return 0;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (!proc || proc->state != KB_PROC_PYTHON || proc->dying ||
	    kb_fault_has_handler(task, signal))
		return 0;
	return schedule(task, tgid, tid, signal);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
