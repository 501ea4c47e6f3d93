/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_FAULTS_H
#define KB_SHARED_FAULTS_H

#include "events.h"
#include "registers.h"
#include "types.h"

/*
 * What is sent of a process that dies. All records of one death have one id, which is taken from
 * the ids of processes: code objects are sent under it anew, so that user space can forget
 * everything when the death is told, and needs to know nothing before. In this order:
 *
 *   KB_DATA_FAULT         what happened, to whom
 *   KB_DATA_FAULT_STACK   with native stacks: the top of the C stack
 *   KB_DATA_FAULT_TASK    each thread as the kernel has it
 *   KB_DATA_CODE, _LINES  code objects, before the first thread that has them
 *   KB_DATA_FAULT_THREAD  each thread state: struct kb_data_stack and its frames
 *
 * and in the other ring KB_NOTICE_FAULT, when all of it is there.
 */
#define KB_FAULT_COMMAND_MAX 1024 /* bytes of the command line */
#define KB_FAULT_CGROUPS_MAX 8	  /* levels of the cgroup's path; Kubernetes has 4 or 5 */
#define KB_FAULT_CGROUP_NAME 128  /* cri-containerd-<64 digits>.scope has 85 */
#define KB_FAULT_PAGE	     4096
#define KB_FAULT_PAGES	     9	 /* 32 kB from wherever in its page the stack pointer is */
#define KB_FAULT_THREADS_MAX 256 /* faulthandler ends at 100 */
#define KB_SIGNALS	     64
#define KB_SIGKILL	     9
#define KB_FAULT_HOLDS	     64 /* threads that are held at the same time; a power of two */

enum kb_fault_access {
	KB_ACCESS_UNKNOWN = 0,
	KB_ACCESS_READ = 1,
	KB_ACCESS_WRITE = 2,
	KB_ACCESS_EXECUTE = 3,
};

/* Constant for a run, as struct kb_config. Bit N - 1 stands for signal N. */
struct kb_fault_config {
	kb_u64 fatal;	/* reported when they end a process */
	kb_u64 watched; /* told of whenever they are sent */
	kb_u32 frames;	/* of a thread, at most */
	kb_u32 want_stack;
	kb_u32 want_oom; /* SIGKILL, if it is the OOM killer's */
	kb_u32 hold_ms;	 /* 0: a thread that dies is not held */
};
KB_ASSERT_SIZE(struct kb_fault_config, 32);

#define KB_FAULT_OOM	     1u
#define KB_FAULT_AGAIN	     2u	 /* a handler had it first: address and registers are of then */
#define KB_FAULT_FROM_KERNEL 4u	 /* no process sent it */
#define KB_FAULT_UNREADABLE  8u	 /* nothing can be read at the fault's address */
#define KB_FAULT_NOT_PYTHON  16u /* the thread has no thread state */
#define KB_FAULT_COMMAND_CUT 32u

struct kb_data_fault {
	kb_u32 kind;
	kb_u32 proc; /* of this death: all other records have it */
	kb_u64 time; /* CLOCK_MONOTONIC, ns */
	kb_u64 start_time;
	kb_u64 runtime_code_type; /* PyCode_Type in the process: tells whether the parent has it,
				     too */
	kb_u32 tgid, tid;
	kb_u32 ns_tgid, ns_tid;
	kb_u32 parent_tgid;
	kb_u32 image;
	kb_u32 layout;
	kb_u32 process; /* id under which the process was known */
	kb_s32 signal;
	kb_s32 code;	/* si_code */
	kb_u64 address; /* si_addr, where the code says that there is one */
	kb_u32 flags;	/* KB_FAULT_* */
	kb_u32 access;	/* enum kb_fault_access */
	kb_u32 sender;	/* host PID, 0: not known, or the kernel */
	kb_u32 uid;
	kb_u64 cgroup;
	kb_u64 tstate;		       /* of the thread that dies, 0: it has none */
	char comm[KB_COMM_MAX];	       /* of the thread */
	char leader_comm[KB_COMM_MAX]; /* of the process */
	char sender_comm[KB_COMM_MAX];
	kb_u64 registers[KB_REGISTERS];
	kb_u32 command_bytes;
	kb_u32 n_cgroups; /* of the names below, from the innermost on; more: the path is longer */
	char command[KB_FAULT_COMMAND_MAX]; /* strings, each with its end */
	char cgroups[KB_FAULT_CGROUPS_MAX][KB_FAULT_CGROUP_NAME];
};
KB_ASSERT_SIZE(struct kb_data_fault, 2352);

/* Whole pages from the one that the stack pointer is in. */
struct kb_data_fault_stack {
	kb_u32 kind;
	kb_u32 proc;
	kb_u64 address;
	kb_u32 n_pages; /* that could be read */
	kb_u32 reserved;
	kb_u8 pages[KB_FAULT_PAGES][KB_FAULT_PAGE];
};
KB_ASSERT_SIZE(struct kb_data_fault_stack, 24 + KB_FAULT_PAGES * KB_FAULT_PAGE);

struct kb_data_fault_task {
	kb_u32 kind;
	kb_u32 proc;
	kb_u32 tid, ns_tid;
	kb_u64 thread_pointer;
	char comm[KB_COMM_MAX];
};
KB_ASSERT_SIZE(struct kb_data_fault_task, 40);

/*
 * KB_DATA_FAULT_THREAD is a struct kb_data_stack with other meanings, because the walk leaves its
 * words behind one.
 */
#define KB_FAULT_THREAD_CURRENT 1u /* of the thread that dies */
#define KB_FAULT_THREAD_GC	2u /* a collection is running in it */
#define KB_FAULT_THREAD_CUT	4u /* there are more frames */
#define KB_FAULT_THREAD_BROKEN	8u /* the others could not be read */
struct kb_data_fault_thread {
	kb_u32 kind;
	kb_u32 proc;
	kb_u64 ident;	    /* PyThreadState.thread_id */
	kb_u32 interpreter; /* its place in the list: 0 is the newest */
	kb_u32 flags;	    /* KB_FAULT_THREAD_* */
	kb_u32 n_words;
	kb_u32 native_id; /* in its PID namespace, 3.11+; else 0 */
			  /* kb_u64 words[n_words] */
};
KB_ASSERT_SIZE(struct kb_data_fault_thread, sizeof(struct kb_data_stack));

/* In a KB_NOTICE_FAULT: what of the death did not fit the ring, and how long it took. */
#define KB_FAULT_LOST(code)	((kb_u32)((code) >> 32))
#define KB_FAULT_LEFT_OUT(code) ((kb_u32)(code)) /* threads beyond the limit */

#endif
