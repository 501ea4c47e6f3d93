// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Keeps the table of processes true while they fork, execute and exit.
 *
 * User space identifies what runs when observation starts, and each new image
 * once. From then on a process needs no user space to be observed from its first
 * frame: a child is a copy of its parent, execution forgets what was known, and a
 * uprobe on the image's initialization functions, whose cookie is the image,
 * derives the load bias from the instruction pointer and sets the process up.
 */
#include "common/process.bpf.h"
#include "native/unwind.bpf.h"

#define SIGSTOP 19

/*
 * Makes proc known under a new id and tells user space about it, in this order: the record must
 * lie in the ring before any sample of the process. Without room in the ring the
 * process stays unknown and samples ask for it later.
 */
static __always_inline int publish(struct task_struct *task, struct kb_proc *proc)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct kb_data_proc record = {
		.kind = KB_DATA_PROC,
		.start_time = proc->start_time,
		.tgid = BPF_CORE_READ(task, tgid),
		.parent_tgid = BPF_CORE_READ(task, real_parent, tgid),
		.ns_tgid = kb_namespace_id(leader),
		.image = proc->image,
		.cgroup = bpf_get_current_cgroup_id(),
	};
	struct kb_proc *old;

	record.forked_from = proc->id;
	proc->id = __sync_fetch_and_add(&control.next_proc, 1);
	record.proc = proc->id;
	BPF_CORE_READ_STR_INTO(&record.comm, task, comm);
	if (bpf_ringbuf_output(&data, &record, sizeof(record), BPF_RB_NO_WAKEUP)) {
		kb_count(KB_L_LOST_EVENTS, 1);
		return -1;
	}
	if (config.want & KB_WANT_PROCESSES) {
		struct kb_notice notice = { .kind = KB_NOTICE_PROCESS, .tgid = record.tgid };

		notice.start_time = proc->start_time;
		kb_notify(&notice);
	}
	old = bpf_map_lookup_elem(&procs, &record.tgid);
	if (old && old->pending)
		kb_count(KB_L_NOT_IDENTIFIED, old->pending);
	/* User space may identify it at the same time: whoever is second is too late. */
	return bpf_map_update_elem(&procs, &record.tgid, proc, old ? BPF_ANY : BPF_NOEXIST);
}

/* Drops a process. Samples that were waiting for its identification are failures now. */
static __always_inline void forget(kb_u32 tgid)
{
	struct kb_proc *proc = bpf_map_lookup_elem(&procs, &tgid);

	if (!proc)
		return;
	if (proc->state == KB_PROC_PENDING && proc->pending)
		kb_count(KB_L_NOT_IDENTIFIED, proc->pending);
	bpf_map_delete_elem(&procs, &tgid);
}

#define BIRTHS_MAX 16384

/* While user space opens sampling events one by one: which thread was started by which, and when.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BIRTHS_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_birth);
} births SEC(".maps");

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	kb_u32 parent_tgid = parent->tgid, tgid = child->tgid, tid = child->pid, one = 1;
	struct kb_proc copy, *proc;

	if (control.watch_births) {
		struct kb_birth birth = { .time = bpf_ktime_get_ns(), .parent = parent->pid };

		bpf_map_update_elem(&births, &tid, &birth, BPF_ANY);
	}
	if (tgid == parent_tgid || !kb_filter_passes(parent_tgid))
		return 0;
	if (config.filter == KB_FILTER_PIDS) {
		if (!config.children)
			return 0;
		bpf_map_update_elem(&followed, &tgid, &one, BPF_ANY);
	}
	proc = bpf_map_lookup_elem(&procs, &parent_tgid);
	if (!proc || proc->state != KB_PROC_PYTHON)
		return 0;
	__builtin_memcpy(&copy, proc, sizeof(copy));
	copy.start_time = child->start_boottime;
	copy.pending = 0;
	copy.dying = 0;
	publish(child, &copy);
	if (config.want & KB_WANT_NATIVE)
		kb_native_forked(proc->id, copy.id);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	kb_u32 tgid = task->tgid;
	struct kb_notice notice = { .kind = KB_NOTICE_EXEC, .tgid = tgid };

	forget(tgid);
	if (!kb_filter_passes(tgid))
		return 0;
	if (kb_exe_known(bprm->file))
		return 0;
	notice.start_time = task->group_leader->start_boottime;
	notice.exe_inode = bprm->file->f_inode->i_ino;
	notice.exe_device = bprm->file->f_inode->i_sb->s_dev;
	/* Before its first instruction. User space lets it go on when it has read the notice. */
	if (!kb_notify(&notice) && tgid == control.hold_tgid && !bpf_send_signal(SIGSTOP))
		__sync_fetch_and_add(&control.holds, 1);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	kb_u32 tgid = task->tgid;
	struct kb_notice notice = { .kind = KB_NOTICE_EXIT, .tgid = tgid };

	if (task->signal->live.counter > 0)
		return 0;
	forget(tgid);
	if (config.filter != KB_FILTER_PIDS || bpf_map_delete_elem(&followed, &tgid))
		return 0;
	notice.start_time = task->group_leader->start_boottime;
	kb_notify(&notice);
	return 0;
}

/* The cookie is the image's index in its low half and which of its functions in its high half. */
SEC("uprobe")
int on_interpreter_init(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	kb_u32 tgid = bpf_get_current_pid_tgid() >> 32;
	kb_u64 cookie = bpf_get_attach_cookie(ctx), bias;
	kb_u32 index = (kb_u32)cookie, function = (cookie >> 32) & (KB_IMAGE_INIT_MAX - 1);
	struct kb_proc proc = {}, *old;
	struct kb_image *image;

	if (!kb_filter_passes(tgid))
		return 0;
	image = bpf_map_lookup_elem(&images, &index);
	if (!image)
		return 0;
	proc.start_time = task->group_leader->start_boottime;
	old = bpf_map_lookup_elem(&procs, &tgid);
	if (old && old->state == KB_PROC_PYTHON && kb_same_start(old->start_time, proc.start_time))
		return 0;
	bias = KB_INSTRUCTION_POINTER(ctx) - image->init[function];
	kb_proc__set_image(&proc, image, index, bias);
	publish(task, &proc);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
