/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_UPROBE_H
#define KB_KERNEL_UPROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"

struct bpf_program;

/*
 * Uprobes at file offsets, machine-wide, with a cookie each. One uprobe_multi
 * link takes all of a file's (Linux 6.6, commit 89ae89f53d20: milliseconds to
 * attach and detach); older kernels get a perf event for each.
 */
#define KB_BPF_TRACE_UPROBE_MULTI                                                                  \
	48 /* enum bpf_attach_type, append only; Debian 12's header ends before it */

/* Probed once. A program must be loaded with the attach type above to be used so. */
bool kb_uprobe__have_multi(void);
/* Can programs on uprobes wait for memory that is not there (Linux 6.0, commit 64ad7556c75e)?
 * Probed once. */
bool kb_uprobe__can_sleep(void);

struct kb_uprobes;
struct kb_error *kb_uprobes__create(struct kb_uprobes **uprobes);
void kb_uprobes__destroy(struct kb_uprobes *uprobes);
struct kb_error *kb_uprobes__attach(struct kb_uprobes *uprobes, struct bpf_program *program,
				    const char *path, const uint64_t *offsets,
				    const uint64_t *cookies, uint32_t n);

/* Which of a file's probes, and for whom. */
struct kb_uprobe_opts {
	pid_t pid; /* a process, by its id or that of a child that is held before its execution; 0:
		      all of the machine. Others pay nothing, forked children are not included */
	bool at_return; /* where the function returns to; offsets stay those of its entry */
	/* NULL, or for each offset the file offset of a counter that the kernel raises in every
	 * process while the probe is there: USDT semaphores. */
	const uint64_t *semaphores;
};
struct kb_error *kb_uprobes__attach_opts(struct kb_uprobes *uprobes, struct bpf_program *program,
					 const char *path, const uint64_t *offsets,
					 const uint64_t *cookies, uint32_t n,
					 const struct kb_uprobe_opts *opts);

#endif
