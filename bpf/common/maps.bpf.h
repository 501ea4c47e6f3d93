/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COMMON_MAPS_BPF_H
#define KB_COMMON_MAPS_BPF_H

#include "common/env.bpf.h"
#include "shared/config.h"
#include "shared/events.h"
#include "shared/layout.h"
#include "shared/ledger.h"
#include "shared/process.h"
#include "shared/tasks.h"

/*
 * Maps and variables that several program files use: defined in maps.bpf.c,
 * which sets KB_DEFINE_MAPS, and joined by the static linker. Sizes that depend
 * on the run are set by user space before loading.
 */
#ifdef KB_DEFINE_MAPS
#define KB_MAP
#else
#define KB_MAP extern
#endif

#define KB_PROCS_MAX	4096 /* processes that were seen on a CPU and are alive; 0.9 MB */
#define KB_FOLLOWED_MAX 4096
#define KB_EXES_MAX	4096 /* executables of the machine, least recently used ones are forgotten */

KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_PROCS_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_proc);
} procs SEC(".maps");

/* Thread groups to observe under KB_FILTER_PIDS, Python or not (a shell that will start one). */
KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_FOLLOWED_MAX);
	__type(key, kb_u32);
	__type(value, kb_u32);
} followed SEC(".maps");

KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_IMAGES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_layout);
} layouts SEC(".maps");

KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_IMAGES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_image);
} images SEC(".maps");

/* Executables that user space has looked at: no notice when they are executed again. */
KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KB_EXES_MAX);
	__type(key, struct kb_exe_key);
	__type(value, kb_u32);
} known_exes SEC(".maps");

KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} data SEC(".maps");

KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} notices SEC(".maps");

/* The failures of the ledger, and the attempts in the slot after them. */
#define KB_LEDGER_ATTEMPTED KB_L_COUNT
KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KB_L_COUNT + 1);
	__type(key, kb_u32);
	__type(value, kb_u64);
} ledger SEC(".maps");

/*
 * The scratch for code objects is in use on this CPU: by the stack of a wait, which an interrupt
 * that nothing holds off (a hardware counter's) comes into, or by a probe's program, which samples
 * interrupt, and which other threads do where the kernel can be preempted (kernel/trace/uprobes:
 * such programs stay on their CPU, and that is all).
 */
KB_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, kb_u32);
} walking SEC(".maps");

extern KB_SETTING struct kb_config config;
extern volatile struct kb_control control;

static __always_inline void kb_count(kb_u32 reason, kb_u64 n)
{
	kb_u64 *counter = bpf_map_lookup_elem(&ledger, &reason);

	/* At once: a thread may be preempted in a probe's program, and another one count. */
	if (counter)
		__sync_fetch_and_add(counter, n);
}

/* False: it is somebody else's. */
static __always_inline int kb_take_walking(void)
{
	kb_u32 zero = 0, *flag = bpf_map_lookup_elem(&walking, &zero);

	return flag && !__sync_lock_test_and_set(flag, 1);
}

static __always_inline void kb_end_walking(void)
{
	kb_u32 zero = 0, *flag = bpf_map_lookup_elem(&walking, &zero);

	if (flag)
		*(volatile kb_u32 *)flag = 0;
}

static __always_inline int kb_is_walking(void)
{
	kb_u32 zero = 0, *flag = bpf_map_lookup_elem(&walking, &zero);

	return flag && *(volatile kb_u32 *)flag;
}

/* Wakes user space. Lost notices are counted; samples ask again later. */
static __always_inline long kb_notify(struct kb_notice *notice)
{
	long err = bpf_ringbuf_output(&notices, notice, sizeof(*notice), BPF_RB_FORCE_WAKEUP);

	if (err)
		kb_count(KB_L_LOST_EVENTS, 1);
	return err;
}

#endif
