// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "kernel/probes.h"
#include "system/cgroup.h"
#include "system/maps.h"
#include "system/memory.h"

/* The initial PID namespace's inode, PROC_PID_INIT_INO in include/linux/proc_ns.h since Linux 3.8.
 */
#define PID_NAMESPACE_INIT 0xEFFFFFFCu

/* Samples per second that the probes ask for; the events never run. */
#define PROBE_RATE 100

/* The first line of a file without its newline; false when it cannot be read. */
static bool read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool ok;

	if (!file)
		return false;
	ok = fgets(line, size, file) != NULL;
	fclose(file);
	if (ok)
		line[strcspn(line, "\n")] = 0;
	return ok;
}

static void describe_setting(const char *name, const char *path, char *detail, size_t size)
{
	char value[32];

	if (read_line(path, value, sizeof(value)))
		snprintf(detail, size, "%s is %s", name, value);
}

/* Was carved out of CAP_SYS_ADMIN, which still contains it. */
static bool in_sys_admin(int capability)
{
	return capability == CAP_BPF || capability == CAP_PERFMON ||
	       capability == CAP_CHECKPOINT_RESTORE;
}

static bool effective(const struct __user_cap_data_struct *data, int capability)
{
	return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

bool kb_probe__capability(struct kb_probe_arg arg, char *detail, size_t size)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	/* The sysctls that decide what is possible without the capability. */
	if (arg.number == CAP_BPF)
		describe_setting("kernel.unprivileged_bpf_disabled",
				 "/proc/sys/kernel/unprivileged_bpf_disabled", detail, size);
	if (arg.number == CAP_PERFMON)
		describe_setting("kernel.perf_event_paranoid",
				 "/proc/sys/kernel/perf_event_paranoid", detail, size);
	if (syscall(SYS_capget, &header, data))
		return false;
	return effective(data, arg.number) ||
	       (in_sys_admin(arg.number) && effective(data, CAP_SYS_ADMIN));
}

bool kb_probe__pid_namespace(struct kb_probe_arg arg, char *detail, size_t size)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st)) {
		snprintf(detail, size, "/proc/self/ns/pid: %s", strerror(errno));
		return false;
	}
	if (st.st_ino == PID_NAMESPACE_INIT)
		return true;
	snprintf(detail, size, "this is the namespace pid:[%lu]", (unsigned long)st.st_ino);
	return false;
}

bool kb_probe__lockdown(struct kb_probe_arg arg, char *detail, size_t size)
{
	char line[128];

	/* Without the module there is no file and nothing is locked down. */
	if (!read_line("/sys/kernel/security/lockdown", line, sizeof(line)))
		return true;
	snprintf(detail, size, "lockdown: %s", line);
	return !strstr(line, "[confidentiality]");
}

bool kb_probe__cgroup2(struct kb_probe_arg arg, char *detail, size_t size)
{
	char path[256];
	struct kb_error *err = kb_cgroup__mount(path, sizeof(path));

	snprintf(detail, size, "%s%s", err ? "" : "at ", err ? kb_error__text(err) : path);
	kb_error__destroy(err);
	return !err;
}

/* This process's first mapping with a file. */
static bool first_mapping(uint64_t *start, uint64_t *end, char *detail, size_t size)
{
	struct kb_maps maps;
	struct kb_error *err = kb_maps__read(getpid(), &maps);
	bool found = false;

	if (err) {
		snprintf(detail, size, "%s", kb_error__text(err));
		kb_error__destroy(err);
		return false;
	}
	for (size_t i = 0; i < maps.count && !found; i++) {
		found = maps.entries[i].inode != 0;
		*start = maps.entries[i].start;
		*end = maps.entries[i].end;
	}
	kb_maps__free(&maps);
	return found;
}

bool kb_probe__map_files(struct kb_probe_arg arg, char *detail, size_t size)
{
	uint64_t start, end;
	char path[96];
	int fd;

	if (!first_mapping(&start, &end, detail, size))
		return false;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start, end);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(detail, size, "%s: %s", path, strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

/* Makes itself as hard to look at as another user's process, says so, and waits to be killed. */
static void __attribute__((noreturn)) be_protected(int ready)
{
	ssize_t written;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	written = write(ready, "", 1);
	if (written == 1)
		pause();
	_exit(1);
}

/* Needs CAP_SYS_PTRACE or no protection at all; what security modules forbid shows, too. */
bool kb_probe__remote_memory(struct kb_probe_arg arg, char *detail, size_t size)
{
	int ready[2];
	char byte;
	bool ok = false;
	pid_t child;

	if (pipe2(ready, O_CLOEXEC))
		return false;
	child = fork();
	if (child == 0)
		be_protected(ready[1]);
	close(ready[1]);
	if (child > 0) {
		ok = read(ready[0], &byte, 1) == 1 &&
		     kb_memory__read(child, (uintptr_t)&arg, &byte, 1);
		if (!ok)
			snprintf(detail, size, "process_vm_readv: %s", strerror(errno));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	close(ready[0]);
	return ok;
}

bool kb_probe__membarrier(struct kb_probe_arg arg, char *detail, size_t size)
{
	/* Refused on nohz_full machines, however new they are. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		return true;
	snprintf(detail, size, "membarrier: %s", strerror(errno));
	return false;
}

static bool open_clock(int type, unsigned long config, char *detail, size_t size)
{
	struct perf_event_attr attr = {
		.type = type,
		.size = sizeof(attr),
		.config = config,
		.freq = 1,
		.sample_freq = PROBE_RATE,
		.disabled = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0) {
		snprintf(detail, size, "perf_event_open: %s", strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

bool kb_probe__cpu_clock(struct kb_probe_arg arg, char *detail, size_t size)
{
	return open_clock(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, detail, size);
}

bool kb_probe__cycles(struct kb_probe_arg arg, char *detail, size_t size)
{
	if (open_clock(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, detail, size))
		return true;
	if (errno == ENOENT || errno == EOPNOTSUPP || errno == ENODEV)
		snprintf(detail, size, "no performance counters here, as in most virtual machines");
	return false;
}
