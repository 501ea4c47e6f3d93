// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Probes that load programs of a few instructions. What a program of ours needs
 * is tried from a program of the same type, because kernels allow helpers by
 * type. Nothing is attached but to this process or to an event that never runs.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/error.h"
#include "kernel/probes.h"
#include "kernel/uprobe.h"
#include "system/maps.h"

#define PROBE_PERIOD_NS	 10000000
#define PROBE_RING_BYTES (8u << 20) /* as large as the largest of the sampler's maps */

#define INSN(op, dst, src, offset, value)                                                          \
	((struct bpf_insn){ .code = (op),                                                          \
			    .dst_reg = (dst),                                                      \
			    .src_reg = (src),                                                      \
			    .off = (offset),                                                       \
			    .imm = (value) })
#define MOV_IMM(dst, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value)
#define MOV_REG(dst, src)   INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define ADD_IMM(dst, value) INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value)
#define CALL_KFUNC(id)	    INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, id)
#define EXIT()		    INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static const struct bpf_insn nothing[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K },
					   { .code = BPF_JMP | BPF_EXIT } };

static struct btf *kernel_types; /* parsed once, some 10 ms */

static struct btf *vmlinux(void)
{
	if (!kernel_types) {
		kernel_types = btf__load_vmlinux_btf();
		if (libbpf_get_error(kernel_types))
			kernel_types = NULL;
	}
	return kernel_types;
}

void kb_probe__end(void)
{
	btf__free(kernel_types);
	kernel_types = NULL;
}

static int load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t bytes,
		struct bpf_prog_load_opts *opts)
{
	return bpf_prog_load(type, "kb_probe", "Dual BSD/GPL", insns, bytes / sizeof(*insns), opts);
}

/* Closes what a probe has opened and says whether it could. */
static bool opened(int fd, const char *what, char *detail, size_t size)
{
	if (fd < 0) {
		snprintf(detail, size, "%s: %s", what, strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

bool kb_probe__btf(struct kb_probe_arg arg, char *detail, size_t size)
{
	struct btf *types = vmlinux();

	if (types)
		snprintf(detail, size, "%u types", btf__type_cnt(types) - 1);
	else
		snprintf(detail, size, "/sys/kernel/btf/vmlinux: %s", strerror(errno));
	return types;
}

bool kb_probe__program(struct kb_probe_arg arg, char *detail, size_t size)
{
	return opened(load(arg.number, nothing, sizeof(nothing), NULL), "loading", detail, size);
}

/* libbpf looks for the verifier's complaint, which does not come when nothing may be loaded at all.
 */
static bool have_helper(enum bpf_prog_type type, int helper, char *detail, size_t size)
{
	return opened(load(type, nothing, sizeof(nothing), NULL), "loading", detail, size) &&
	       libbpf_probe_bpf_helper(type, helper, NULL) == 1;
}

bool kb_probe__perf_helper(struct kb_probe_arg arg, char *detail, size_t size)
{
	return have_helper(BPF_PROG_TYPE_PERF_EVENT, arg.number, detail, size);
}

bool kb_probe__uprobe_helper(struct kb_probe_arg arg, char *detail, size_t size)
{
	return have_helper(BPF_PROG_TYPE_KPROBE, arg.number, detail, size);
}

bool kb_probe__map(struct kb_probe_arg arg, char *detail, size_t size)
{
	return libbpf_probe_bpf_map_type(arg.number, NULL) == 1;
}

/* The verifier finds the tracepoint by the BTF id of its typedef btf_trace_NAME
 * (include/trace/bpf_probe.h). */
bool kb_probe__tracepoint(struct kb_probe_arg arg, char *detail, size_t size)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP);
	char type_name[96];
	int id;

	snprintf(type_name, sizeof(type_name), "btf_trace_%s", arg.name);
	id = vmlinux() ? btf__find_by_name_kind(vmlinux(), type_name, BTF_KIND_TYPEDEF) : -ENOENT;
	if (id < 0) {
		snprintf(detail, size, "not among the kernel's types");
		return false;
	}
	opts.attach_btf_id = id;
	return opened(load(BPF_PROG_TYPE_TRACING, nothing, sizeof(nothing), &opts), "loading",
		      detail, size);
}

static int kernel_function(const char *name)
{
	return vmlinux() ? btf__find_by_name_kind(vmlinux(), name, BTF_KIND_FUNC) : -ENOENT;
}

bool kb_probe__kernel_function(struct kb_probe_arg arg, char *detail, size_t size)
{
	if (kernel_function(arg.name) >= 0)
		return true;
	snprintf(detail, size, "not among the kernel's functions");
	return false;
}

/* Makes an iterator on the stack and destroys it. */
bool kb_probe__iter_num(struct kb_probe_arg arg, char *detail, size_t size)
{
	int make = kernel_function("bpf_iter_num_new");
	int destroy = kernel_function("bpf_iter_num_destroy");
	struct bpf_insn insns[] = {
		MOV_REG(BPF_REG_1, BPF_REG_10),
		ADD_IMM(BPF_REG_1, -8),
		MOV_IMM(BPF_REG_2, 0),
		MOV_IMM(BPF_REG_3, 1),
		CALL_KFUNC(make),
		MOV_REG(BPF_REG_1, BPF_REG_10),
		ADD_IMM(BPF_REG_1, -8),
		CALL_KFUNC(destroy),
		MOV_IMM(BPF_REG_0, 0),
		EXIT(),
	};

	if (make < 0 || destroy < 0) {
		snprintf(detail, size, "not among the kernel's functions");
		return false;
	}
	return opened(load(BPF_PROG_TYPE_PERF_EVENT, insns, sizeof(insns), NULL), "loading", detail,
		      size);
}

static int open_event(struct perf_event_attr *attr, pid_t pid, int cpu)
{
	attr->size = sizeof(*attr);
	return syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* A program on a clock that is never started. */
bool kb_probe__clock_program(struct kb_probe_arg arg, char *detail, size_t size)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.config = PERF_COUNT_SW_CPU_CLOCK,
					.sample_period = PROBE_PERIOD_NS,
					.disabled = 1 };
	int program = load(BPF_PROG_TYPE_PERF_EVENT, nothing, sizeof(nothing), NULL);
	int event = open_event(&attr, -1, 0);
	bool ok = program >= 0 && event >= 0 && !ioctl(event, PERF_EVENT_IOC_SET_BPF, program);

	if (!ok)
		snprintf(detail, size, "%s: %s", program < 0 ? "loading" : "attaching",
			 strerror(errno));
	if (event >= 0)
		close(event);
	if (program >= 0)
		close(program);
	return ok;
}

/* Where the probe's breakpoint goes. Never called. */
static __attribute__((noinline, used)) void probe_site(void)
{
	asm volatile("");
}

/* The file and the offset in it that an address of this process was loaded from. */
static bool file_offset(const void *address, char *path, size_t path_size, uint64_t *offset)
{
	uint64_t at = (uintptr_t)address;
	struct kb_maps maps;
	struct kb_error *err = kb_maps__read(getpid(), &maps);
	bool found = false;

	if (err) {
		kb_error__destroy(err);
		return false;
	}
	for (size_t i = 0; i < maps.count && !found; i++) {
		const struct kb_map *map = &maps.entries[i];

		if (at < map->start || at >= map->end)
			continue;
		found = true;
		*offset = at - map->start + map->offset;
		snprintf(path, path_size, "%s", map->path);
	}
	kb_maps__free(&maps);
	return found;
}

/* The uprobe PMU's type is dynamic. */
static int uprobe_pmu(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &type) != 1)
		type = -1;
	fclose(file);
	return type;
}

bool kb_probe__uprobe(struct kb_probe_arg arg, char *detail, size_t size)
{
	struct perf_event_attr attr = { .disabled = 1 };
	int type = uprobe_pmu();
	uint64_t offset = 0;
	char path[512];

	if (type < 0) {
		snprintf(detail, size, "no /sys/bus/event_source/devices/uprobe");
		return false;
	}
	if (!file_offset((const void *)probe_site, path, sizeof(path), &offset))
		return false;
	attr.type = type;
	attr.config1 = (uintptr_t)path; /* uprobe_path */
	attr.config2 = offset;		/* probe_offset */
	return opened(open_event(&attr, getpid(), -1), "perf_event_open", detail, size);
}

bool kb_probe__uprobe_sleepable(struct kb_probe_arg arg, char *detail, size_t size)
{
	return kb_uprobe__can_sleep();
}

bool kb_probe__uprobe_multi(struct kb_probe_arg arg, char *detail, size_t size)
{
	return kb_uprobe__have_multi();
}

/* Up to Linux 5.10 maps count against RLIMIT_MEMLOCK, which libbpf raises when it has to and may.
 */
bool kb_probe__locked_memory(struct kb_probe_arg arg, char *detail, size_t size)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (opened(bpf_map_create(BPF_MAP_TYPE_RINGBUF, "kb_probe", 0, 0, PROBE_RING_BYTES, NULL),
		   "ring buffer of 8 MiB", detail, size))
		return true;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
		size_t used = strlen(detail);

		snprintf(detail + used, size - used, " (RLIMIT_MEMLOCK is %lu kB)",
			 (unsigned long)limit.rlim_cur / 1024);
	}
	return false;
}

bool kb_probe__jit(struct kb_probe_arg arg, char *detail, size_t size)
{
	FILE *file = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
	int value = 0;

	if (!file)
		return false;
	if (fscanf(file, "%d", &value) != 1)
		value = 0;
	fclose(file);
	snprintf(detail, size, "net.core.bpf_jit_enable is %d", value);
	return value > 0;
}

bool kb_probe__statistics(struct kb_probe_arg arg, char *detail, size_t size)
{
	return opened(bpf_enable_stats(BPF_STATS_RUN_TIME), "BPF_ENABLE_STATS", detail, size);
}
