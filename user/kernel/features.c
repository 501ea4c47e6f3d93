// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdio.h>
#include "kernel/features.h"
#include "kernel/load.h"
#include "kernel/probes.h"

struct row {
	struct kb_feature feature;
	kb_probe_fn probe;
	struct kb_probe_arg arg;
};

#define NOTHING "keelback does not work"

#define REQUIRED(id, what, since, fn, ...)                                                         \
	{                                                                                          \
		{ .name = (id),                                                                    \
		  .text = (what),                                                                  \
		  .origin = (since),                                                               \
		  .without = NOTHING,                                                              \
		  .required = true },                                                              \
			(fn),                                                                      \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define OPTIONAL(id, what, since, lost, fn, ...)                                                   \
	{                                                                                          \
		{ .name = (id), .text = (what), .origin = (since), .without = (lost) }, (fn),      \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static struct row table[] = {
	/* What this process may do. */
	REQUIRED("cap_bpf", "CAP_BPF: load BPF programs", "Linux 5.8, commit a17b53c4a4b5",
		 kb_probe__capability, CAP_BPF),
	REQUIRED("cap_perfmon", "CAP_PERFMON: observe with perf events and BPF",
		 "Linux 5.8, commit 980737282232", kb_probe__capability, CAP_PERFMON),
	OPTIONAL("cap_sys_ptrace", "CAP_SYS_PTRACE: look at other users' processes", "Linux 2.2",
		 "only processes of this user can be identified", kb_probe__capability,
		 CAP_SYS_PTRACE),
	OPTIONAL("cap_checkpoint_restore",
		 "CAP_CHECKPOINT_RESTORE: open the files that other processes have mapped",
		 "Linux 5.9, commit 124ea650d307",
		 "interpreters are opened by their path, which fails after an upgrade",
		 kb_probe__capability, CAP_CHECKPOINT_RESTORE),
	OPTIONAL("cap_dac_read_search", "CAP_DAC_READ_SEARCH: read files whoever they belong to",
		 "Linux 2.2", "interpreters in other users' directories are not found",
		 kb_probe__capability, CAP_DAC_READ_SEARCH),
	OPTIONAL("cap_syslog", "CAP_SYSLOG: read the kernel's symbols", "Linux 2.6.37",
		 "`--kernel` shows addresses", kb_probe__capability, CAP_SYSLOG),
	OPTIONAL(
		"cap_sys_resource", "CAP_SYS_RESOURCE: raise limits of this process", "Linux 2.2",
		"kernels before 5.11 may refuse the maps, and many threads may exceed the limit of "
		"open files",
		kb_probe__capability, CAP_SYS_RESOURCE),
	REQUIRED("pid_namespace", "the machine's own PID namespace", "Linux 3.8",
		 kb_probe__pid_namespace),
	REQUIRED("lockdown", "no lockdown for confidentiality", "Linux 5.4, commit 9d1f8be5cf42",
		 kb_probe__lockdown),

	/* BPF. */
	REQUIRED("btf", "types of the running kernel", "Linux 5.4, CONFIG_DEBUG_INFO_BTF",
		 kb_probe__btf),
	REQUIRED("prog_perf_event", "BPF programs for perf events",
		 "Linux 4.9, commit 0515e5999a46", kb_probe__program, BPF_PROG_TYPE_PERF_EVENT),
	REQUIRED("prog_uprobe", "BPF programs for uprobes", "Linux 4.1, commit 2541517c32be",
		 kb_probe__program, BPF_PROG_TYPE_KPROBE),
	REQUIRED("tp_fork", "tracepoint sched_process_fork with types", "Linux 5.5",
		 kb_probe__tracepoint, .name = "sched_process_fork"),
	REQUIRED("tp_exec", "tracepoint sched_process_exec with types", "Linux 5.5",
		 kb_probe__tracepoint, .name = "sched_process_exec"),
	REQUIRED("tp_exit", "tracepoint sched_process_exit with types", "Linux 5.5",
		 kb_probe__tracepoint, .name = "sched_process_exit"),
	OPTIONAL("tp_tick", "tracepoint local_timer_entry with types", "Linux 5.5, x86 only",
		 "no `--rate tick`: give a rate in Hz", kb_probe__tracepoint,
		 .name = "local_timer_entry"),
	OPTIONAL("tp_switch", "tracepoint sched_switch with types", "Linux 5.5",
		 "no `--mode wall` and `gil-wait`", kb_probe__tracepoint, .name = "sched_switch"),
	OPTIONAL("tp_signal", "tracepoint signal_deliver with types", "Linux 5.5",
		 "no `keelback faults`", kb_probe__tracepoint, .name = "signal_deliver"),
	OPTIONAL("task_work", "work for a task from BPF, bpf_task_work_schedule_signal",
		 "Linux 6.18", "no `faults --locals` of what dies", kb_probe__kernel_function,
		 .name = "bpf_task_work_schedule_signal_impl"),
	OPTIONAL("task_pt_regs", "helper bpf_task_pt_regs", "Linux 5.15, commit dd6e10fbd9fb",
		 "no `--mode gil-wait`, no `--native`", kb_probe__perf_helper,
		 BPF_FUNC_task_pt_regs),
	OPTIONAL("task_stack", "helper bpf_get_task_stack", "Linux 5.9, commit fa28dcb82a38",
		 "no `--kernel`", kb_probe__perf_helper, BPF_FUNC_get_task_stack),
	OPTIONAL("task_iterator", "registers of sleeping threads, by an iterator over tasks",
		 "Linux 5.15, commit dd6e10fbd9fb", "no `dump --native`", kb_probe__registers),
	REQUIRED("ringbuf", "BPF ring buffer", "Linux 5.8, commit 457f44363a88", kb_probe__map,
		 BPF_MAP_TYPE_RINGBUF),
	REQUIRED("map_in_map", "BPF maps in maps", "Linux 4.12, commit 56f668dfe00d", kb_probe__map,
		 BPF_MAP_TYPE_ARRAY_OF_MAPS),
	REQUIRED("lru_hash", "BPF hash table that forgets", "Linux 4.10, commit 29ba732acbee",
		 kb_probe__map, BPF_MAP_TYPE_LRU_HASH),
	REQUIRED("probe_read_user", "helper bpf_probe_read_user", "Linux 5.5, commit 6ae08ae3dea2",
		 kb_probe__perf_helper, BPF_FUNC_probe_read_user),
	REQUIRED("current_task_btf", "helper bpf_get_current_task_btf",
		 "Linux 5.11, commit 3ca1032ab7ab", kb_probe__perf_helper,
		 BPF_FUNC_get_current_task_btf),
	REQUIRED("loop", "helper bpf_loop", "Linux 5.17, commit e6f2dd0f8067",
		 kb_probe__perf_helper, BPF_FUNC_loop),
	OPTIONAL(
		"iter_num", "numbers iterator bpf_iter_num", "Linux 6.4, commit 6018e1f407cc",
		"stacks are walked by bpf_loop, which costs about a nanosecond more for each frame",
		kb_probe__iter_num),
	REQUIRED("attach_cookie", "helper bpf_get_attach_cookie", "Linux 5.15, commit 7adfc6c9b315",
		 kb_probe__uprobe_helper, BPF_FUNC_get_attach_cookie),
	REQUIRED("cgroup_helper", "helper bpf_get_current_ancestor_cgroup_id",
		 "Linux 5.7, commit b4490c5c4e02", kb_probe__perf_helper,
		 BPF_FUNC_get_current_ancestor_cgroup_id),
	REQUIRED("locked_memory", "memory for BPF maps", "Linux 5.11 counts it to the cgroup",
		 kb_probe__locked_memory),
	OPTIONAL("jit", "BPF programs compiled to machine code", "Linux 3.16",
		 "programs are interpreted, or refused when they call kernel functions",
		 kb_probe__jit),
	OPTIONAL("statistics", "run time of BPF programs", "Linux 5.8, commit d46edd671a14",
		 "keelback cannot tell its own cost in the kernel", kb_probe__statistics),

	/* Where programs are attached. */
	REQUIRED("cpu_clock", "perf's cpu-clock", "Linux 2.6.31", kb_probe__cpu_clock),
	REQUIRED("clock_program", "a BPF program on perf's cpu-clock",
		 "Linux 4.9, commit 0515e5999a46", kb_probe__clock_program),
	OPTIONAL("cycles", "hardware cycle counter", "Linux 2.6.31, and a PMU",
		 "samples are taken by perf's cpu-clock", kb_probe__cycles),
	REQUIRED("uprobe", "uprobes as perf events", "Linux 4.17, commit 33ea4b24277b",
		 kb_probe__uprobe),
	OPTIONAL("uprobe_multi", "many uprobes at once", "Linux 6.6, commit 89ae89f53d20",
		 "one perf event for each uprobe: slower to attach and detach",
		 kb_probe__uprobe_multi),
	OPTIONAL("uprobe_sleepable", "BPF programs on uprobes that may wait for memory",
		 "Linux 6.0, commit 64ad7556c75e",
		 "`audit` cannot read arguments in pages that are not in memory",
		 kb_probe__uprobe_sleepable),

	/* How processes are looked at. */
	OPTIONAL("cgroup2", "cgroup v2", "Linux 4.5", "no `--container`, no `--cgroup`",
		 kb_probe__cgroup2),
	OPTIONAL("map_files", "/proc/PID/map_files", "Linux 4.3, commit bdb4d100afe9",
		 "interpreters are opened by their path, which fails after an upgrade",
		 kb_probe__map_files),
	OPTIONAL("remote_memory", "memory of protected processes, by process_vm_readv", "Linux 3.2",
		 "only processes of this user can be identified", kb_probe__remote_memory),
	OPTIONAL("membarrier", "waiting for running BPF programs, by membarrier",
		 "Linux 4.3, commit 5b25b13ab08f", "a fixed wait of 50 ms at each drain instead",
		 kb_probe__membarrier),
};

#define N_ROWS (sizeof(table) / sizeof(table[0]))

static struct kb_feature features[N_ROWS];
static char details[N_ROWS][KB_PROBE_DETAIL_MAX];

const struct kb_feature *kb_features__probe(size_t *count)
{
	static bool probed;

	*count = N_ROWS;
	if (probed)
		return features;
	kb_load__prepare();
	for (size_t i = 0; i < N_ROWS; i++) {
		features[i] = table[i].feature;
		features[i].available =
			table[i].probe(table[i].arg, details[i], sizeof(details[i]));
		features[i].detail = details[i];
	}
	kb_probe__end();
	probed = true;
	return features;
}
