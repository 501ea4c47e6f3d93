/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_VMLINUX_KERNEL_H
#define KB_VMLINUX_KERNEL_H

/*
 * The kernel's types as far as our programs touch them. CO-RE relocates every
 * access against the running kernel's BTF by struct and field name, so neither
 * the order of the fields nor what is left out matters, and building needs no
 * BTF. What differs between processors is in vmlinux/arch_*.h.
 */
#include <linux/types.h>
#include <linux/bpf.h>

#define KB_CORE __attribute__((preserve_access_index))

struct super_block {
	__u32 s_dev;
} KB_CORE;

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
} KB_CORE;

struct file {
	struct inode *f_inode;
} KB_CORE;

struct linux_binprm {
	struct file *file;
} KB_CORE;

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not exited */
} KB_CORE;

struct upid {
	int nr;
} KB_CORE;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} KB_CORE;

struct mm_struct {
	struct file *exe_file;
} KB_CORE;

#if defined(__TARGET_ARCH_x86)
#include "arch_x86.h"
#elif defined(__TARGET_ARCH_arm64)
#include "arch_arm64.h"
#else
#error "no vmlinux/arch_*.h for this processor"
#endif

struct task_struct {
	struct mm_struct *mm;
	int pid;
	int tgid;
	unsigned int __state;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	char comm[16];
	struct signal_struct *signal;
	struct thread_struct thread;
} KB_CORE;

#endif
