// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Signals on their way to observed processes, in the context of who sends them: who that is, for a
 * report of what the signal does, and a notice where any such signal is to be told of. Signals that
 * the process ignores are seen here and nowhere else.
 */
#include "faults.bpf.h"

static __always_inline void note_sender(kb_u32 tgid, kb_s32 signal, struct kernel_siginfo *info)
{
	struct kb_fault_sender sender = { .signal = signal };

	/* Positive codes are the kernel's, for faults. */
	if ((kb_u64)info > KB_SEND_SIG_PRIV && BPF_CORE_READ(info, si_code) > 0)
		return;
	if ((kb_u64)info != KB_SEND_SIG_PRIV) {
		sender.tgid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(sender.comm, sizeof(sender.comm));
	}
	bpf_map_update_elem(&senders, &tgid, &sender, BPF_ANY);
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal_generate, int signal, struct kernel_siginfo *info, struct task_struct *task,
	     int group, int result)
{
	struct kb_notice notice = { .kind = KB_NOTICE_SIGNAL };
	kb_u32 tgid = task->tgid;
	struct kb_proc *proc;

	if (!kb_fault_is_in(fault_config.fatal | fault_config.watched, signal) &&
	    !(fault_config.want_oom && signal == KB_SIGKILL))
		return 0;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (!proc || proc->state != KB_PROC_PYTHON)
		return 0;
	note_sender(tgid, signal, info);
	/* What ends the process is told of by the thread that dies, when it still has its stacks.
	 */
	if (!kb_fault_is_in(fault_config.watched, signal) ||
	    (kb_fault_is_in(fault_config.fatal, signal) && !kb_fault_has_handler(task, signal)))
		return 0;
	notice.tgid = tgid;
	notice.start_time = proc->start_time;
	notice.proc = bpf_get_current_pid_tgid() >> 32;
	notice.code = signal;
	kb_notify(&notice);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
