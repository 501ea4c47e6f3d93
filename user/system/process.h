/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_PROCESS_H
#define KB_SYSTEM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"

/* What /proc says of a process. */
struct kb_process_stat {
	pid_t pid;
	pid_t parent;
	char state; /* R, S, D, Z … */
	char comm[16];
	uint64_t start_ns; /* since boot, rounded down to a clock tick (10 ms) */
};

/* False when there is no such process (any more). */
bool kb_process__stat(pid_t pid, struct kb_process_stat *stat);

/* What a process has in memory, bytes, and its page faults since it began; false when it is gone.
 */
struct kb_process_memory {
	uint64_t rss, rss_peak;
	uint64_t minor_faults, major_faults;
};
bool kb_process__memory(pid_t pid, struct kb_process_memory *memory);

/* The PID in the process's own PID namespace, or pid itself where /proc does not say. */
pid_t kb_process__ns_pid(pid_t pid);

/* The command line with blanks between the arguments, cut to size; "" when it is gone or a kernel
 * thread. */
void kb_process__command(pid_t pid, char *text, size_t size);

/* Even root may be kept from a process by a security module or a sandbox. */
bool kb_process__may_not_be_read(pid_t pid);

/* Has it the same user, capabilities and confinement as we? Then running what it runs gives nobody
 * more rights than he had. */
bool kb_process__same_rights(pid_t pid);

/* A growing list of ids; free(ids). */
struct kb_pids {
	pid_t *ids;
	size_t n;
};
#define KB_PIDS_MAX (1u << 22) /* PID_MAX_LIMIT of 64-bit kernels */

/* Every process of the machine. */
struct kb_error *kb_process__all(struct kb_pids *pids);
/* The threads of a process; none when it is gone. */
struct kb_error *kb_process__threads(pid_t pid, struct kb_pids *pids);
/* The given processes and all their descendants. */
struct kb_error *kb_process__with_descendants(const pid_t *roots, size_t n, struct kb_pids *pids);
struct kb_error *kb_pids__add(struct kb_pids *pids, pid_t pid);
struct kb_error *kb_pids__copy(const struct kb_pids *from, struct kb_pids *to);
bool kb_pids__contains(const struct kb_pids *pids, pid_t pid);
void kb_pids__free(struct kb_pids *pids);

#endif
