// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The registers of threads that sleep, without stopping them: the kernel saved them when the
 * thread entered it. An iterator over all tasks, read like a file, writes them for one
 * process (iter/task: Linux 5.8, commit eaaacd23910f; bpf_task_pt_regs: Linux 5.15, commit
 * dd6e10fbd9fb). Of a thread that runs meanwhile they are worth nothing.
 */
#include "common/env.bpf.h"
#include "shared/registers.h"

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} KB_CORE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} KB_CORE;

/* The process that is asked about: set before each reading. */
kb_u32 wanted_tgid;

SEC("iter/task")
int write_registers(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct kb_registers record = {};

	if (!task || task->tgid != wanted_tgid)
		return 0;
	record.tgid = task->tgid;
	record.tid = task->pid;
#ifdef KB_COPY_REGISTERS
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	KB_COPY_REGISTERS(record.values, regs);
#endif
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
