/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_PROBES_H
#define KB_KERNEL_PROBES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Probes of the feature table. Each tries the thing itself, leaves nothing
 * behind, and may write a line of detail for people. What `number` and `name`
 * mean is said beside the declaration.
 */
#define KB_PROBE_DETAIL_MAX 160

struct kb_probe_arg {
	int number;
	const char *name;
};
typedef bool (*kb_probe_fn)(struct kb_probe_arg arg, char *detail, size_t size);

/* probe_system.c: no BPF involved */
bool kb_probe__capability(struct kb_probe_arg arg, char *detail, size_t size); /* number: CAP_* */
bool kb_probe__pid_namespace(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__lockdown(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__cgroup2(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__map_files(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__remote_memory(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__membarrier(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__cpu_clock(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__cycles(struct kb_probe_arg arg, char *detail, size_t size);

/* probe_bpf.c */
bool kb_probe__btf(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__program(struct kb_probe_arg arg, char *detail,
		       size_t size); /* number: BPF_PROG_TYPE_* */
/* Calls helper BPF_FUNC_* `number` from a program of the type that keelback calls it from. */
bool kb_probe__perf_helper(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__uprobe_helper(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__map(struct kb_probe_arg arg, char *detail, size_t size); /* number: BPF_MAP_TYPE_* */
bool kb_probe__tracepoint(struct kb_probe_arg arg, char *detail,
			  size_t size); /* name: of a BTF tracepoint */
bool kb_probe__kernel_function(struct kb_probe_arg arg, char *detail,
			       size_t size); /* name: of one that BPF may call */
bool kb_probe__iter_num(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__clock_program(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__uprobe(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__uprobe_multi(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__uprobe_sleepable(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__locked_memory(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__jit(struct kb_probe_arg arg, char *detail, size_t size);
bool kb_probe__statistics(struct kb_probe_arg arg, char *detail, size_t size);
/* registers.c */
bool kb_probe__registers(struct kb_probe_arg arg, char *detail, size_t size);
/* Frees what the BPF probes keep between each other. */
void kb_probe__end(void);

#endif
