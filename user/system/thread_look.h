/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_THREAD_LOOK_H
#define KB_SYSTEM_THREAD_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Whether a thread has slept all the time between two looks, so that what was
 * read of its memory meanwhile is of one instant. Nobody is stopped for that:
 * any kind of stop would make a blocked epoll_wait() return EINTR.
 *
 * A look asks /proc/PID/task/TID/syscall, for which the kernel makes sure that the
 * thread is off the CPU (task_current_syscall() in lib/syscall.c), and between that
 * counts the thread's context switches, which grow when it gives up the CPU
 * again. Off the CPU at both looks and no switch counted: it did not run.
 */
struct kb_thread_look {
	char state;				 /* S, D, R, T …, 0: no such thread */
	bool asleep;				 /* off the CPU and waiting for something */
	uint64_t switches;			 /* voluntary and others */
	uint64_t program_counter, stack_pointer; /* of user space; 0 when not told */
	char name[16];				 /* the kernel's name of it */
};

void kb_thread_look__take(pid_t pid, pid_t tid, struct kb_thread_look *look);
bool kb_thread_look__slept(const struct kb_thread_look *before, const struct kb_thread_look *after);

#endif
