/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FAULTS_BPF_H
#define KB_FAULTS_BPF_H

#include "common/process.bpf.h"
#include "shared/faults.h"

/* What the programs about signals share: faults.bpf.c defines it. */
#ifdef KB_DEFINE_FAULT_MAPS
#define KB_FAULT_MAP
#else
#define KB_FAULT_MAP extern
#endif

/* Instead of a siginfo: from the kernel; 0: from a process (include/linux/signal.h). */
#define KB_SEND_SIG_PRIV 1

#define KB_FAULT_SENDERS_MAX 4096

/* Who sent a process the signal that may end it. */
struct kb_fault_sender {
	kb_s32 signal;
	kb_u32 tgid; /* 0: the kernel */
	char comm[KB_COMM_MAX];
};

KB_FAULT_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KB_FAULT_SENDERS_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_fault_sender);
} senders SEC(".maps");

extern KB_SETTING struct kb_fault_config fault_config;

static __always_inline int kb_fault_is_in(kb_u64 set, kb_s32 signal)
{
	return signal > 0 && signal <= KB_SIGNALS && set >> (signal - 1) & 1;
}

/*
 * Does the process do anything about a signal, if it is to ignore it? The size of an element is the
 * kernel's, not that of our excerpt.
 */
static __always_inline int kb_fault_has_handler(struct task_struct *task, int signal)
{
	struct sighand_struct *handlers = BPF_CORE_READ(task, sighand);
	struct k_sigaction *action = (void *)handlers + bpf_core_field_offset(handlers->action) +
				     (kb_u64)(signal - 1) * bpf_core_type_size(struct k_sigaction);

	return BPF_CORE_READ(action, sa.sa_handler) != 0;
}

#endif
