/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COMMON_ENV_BPF_H
#define KB_COMMON_ENV_BPF_H

/*
 * The one place that knows whether the programs are built for the kernel or, for
 * tests without root, as ordinary C over recorded memory (tests/host_bpf/env.h).
 */
#ifdef __bpf__
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

/*
 * Hides a value from the compiler, so that a mask or check after it is not
 * optimized away: the verifier needs to see it on the value that is used.
 */
#define KB_OPAQUE(x) asm volatile("" : "+r"(x))

/* Set before loading and constant from then on, so that the verifier drops what is off. */
#define KB_SETTING const volatile

#define kb_read_user(dst, size, address) bpf_probe_read_user(dst, size, (const void *)(address))

/* The registers with which the current thread entered the kernel last. */
#define kb_user_registers() ((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()))
#define kb_kernel_stack(buffer, size)                                                              \
	bpf_get_task_stack(bpf_get_current_task_btf(), buffer, size, 0)
#define kb_start_time() (bpf_get_current_task_btf()->group_leader->start_boottime)

/* Maps in maps: an inner one, and its elements. */
#define kb_inner_map(outer, key)   bpf_map_lookup_elem(outer, key)
#define kb_inner_element(map, key) bpf_map_lookup_elem(map, key)

/*
 * The verifier knows it by this name and size (include/uapi/linux/bpf.h, Linux 6.4); Debian 12's
 * header is older. Weak: a kernel without them loads what does not call them.
 */
struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym __weak;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym __weak;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym __weak;

/*
 * Does the kernel have this function? Decided while loading: the loader puts in 0 or the function's
 * address, and the verifier drops the branch that is not taken (Linux 6.4, commit 58aa2afbb1e6).
 */
#define KB_HAVE_KFUNC(function) (!!(function))
#else
#include "host_bpf/env.h"
#endif

/* Says which way is common, so that what the other needs does not cost registers there. */
#define KB_RARELY(condition) __builtin_expect(!!(condition), 0)

#include "shared/types.h"

#endif
