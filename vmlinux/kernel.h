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

struct list_head {
	struct list_head *next;
} KB_CORE;

struct signal_struct {
	atomic_t live; /* threads that have not exited */
	struct list_head thread_head;
	int group_exit_code;
	unsigned int flags;
	struct mm_struct *oom_mm; /* the OOM killer has chosen the process */
} KB_CORE;

/* What came with a signal. */
union __sifields {
	struct {
		int _pid;
		__u32 _uid;
	} _kill;
	struct {
		void *_addr;
	} _sigfault;
} KB_CORE;

struct kernel_siginfo {
	int si_code;
	union __sifields _sifields;
} KB_CORE;

struct sigaction {
	void *sa_handler;
} KB_CORE;

struct k_sigaction {
	struct sigaction sa;
} KB_CORE;

struct sighand_struct {
	struct k_sigaction action[64];
} KB_CORE;

/* The parent has another name since Linux 6.15 (commit 633488947ef6). */
struct kernfs_node {
	struct kernfs_node *__parent;
	const char *name;
} KB_CORE;
struct kernfs_node___before_6_15 {
	struct kernfs_node *parent;
} KB_CORE;

struct cgroup {
	struct kernfs_node *kn;
} KB_CORE;

struct css_set {
	struct cgroup *dfl_cgrp;
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
	unsigned long arg_start, arg_end; /* the command line's strings */
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
	struct sighand_struct *sighand;
	struct css_set *cgroups;
	struct list_head thread_node; /* in signal->thread_head */
	struct thread_struct thread;
} KB_CORE;

#endif
