// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/array.h"
#include "base/error.h"
#include "kernel/breakpoints.h"
#include "kernel/programs_object.h"

#define EVENTS_MAX 65536 /* one for each place and thread that ran when it was found */

struct kb_breakpoints {
	struct kb_programs *programs;
	int *events;
	uint32_t n, capacity;
	const struct kb_call_edge *edges;
	const struct kb_chosen_times *times;
};

#define EDGES_BYTES ((size_t)KB_CHOSEN_EDGES_MAX * sizeof(struct kb_call_edge))
#define TIMES_BYTES ((size_t)(KB_CHOSEN_NUMBERS_MAX + 1) * sizeof(struct kb_chosen_times))

static struct kb_chosen_control *control_of(const struct kb_breakpoints *breakpoints)
{
	return (struct kb_chosen_control *)&breakpoints->programs->bpf->bss->chosen_control;
}

static const void *map_table(const struct bpf_map *map, size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	return table == MAP_FAILED ? NULL : table;
}

struct kb_error *kb_breakpoints__create(struct kb_programs *programs,
					struct kb_breakpoints **result)
{
	struct kb_breakpoints *breakpoints = calloc(1, sizeof(*breakpoints));

	if (!breakpoints)
		return kb_error__no_memory();
	breakpoints->programs = programs;
	breakpoints->edges = map_table(programs->bpf->maps.chosen_edges, EDGES_BYTES);
	breakpoints->times = map_table(programs->bpf->maps.chosen_times, TIMES_BYTES);
	if (!breakpoints->edges || !breakpoints->times) {
		kb_breakpoints__destroy(breakpoints);
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot map the tables of counts");
	}
	*result = breakpoints;
	return NULL;
}

static void close_events(struct kb_breakpoints *breakpoints)
{
	for (uint32_t i = 0; i < breakpoints->n; i++)
		close(breakpoints->events[i]);
	breakpoints->n = 0;
}

void kb_breakpoints__destroy(struct kb_breakpoints *breakpoints)
{
	if (!breakpoints)
		return;
	close_events(breakpoints);
	free(breakpoints->events);
	if (breakpoints->edges)
		munmap((void *)breakpoints->edges, EDGES_BYTES);
	if (breakpoints->times)
		munmap((void *)breakpoints->times, TIMES_BYTES);
	free(breakpoints);
}

void kb_breakpoints__remove(struct kb_breakpoints *breakpoints)
{
	close_events(breakpoints);
	kb_programs__await_running();
}

struct kb_error *kb_breakpoints__add_image(struct kb_breakpoints *breakpoints, uint32_t image,
					   const struct kb_chosen_image *info)
{
	if (bpf_map_update_elem(bpf_map__fd(breakpoints->programs->bpf->maps.chosen_images), &image,
				info, BPF_ANY))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot store an image");
	return NULL;
}

/* Tells the place before that there is another. */
static bool mark_more(int map, struct kb_chosen_key key)
{
	struct kb_chosen_place place;

	key.turn--;
	if (bpf_map_lookup_elem(map, &key, &place))
		return false;
	place.more = 1;
	return !bpf_map_update_elem(map, &key, &place, BPF_ANY);
}

struct kb_error *kb_breakpoints__add_place(struct kb_breakpoints *breakpoints, pid_t pid,
					   uint64_t address, const struct kb_chosen_place *place,
					   bool *shared)
{
	int map = bpf_map__fd(breakpoints->programs->bpf->maps.chosen_places);
	struct kb_chosen_key key = { .address = address, .tgid = pid };
	struct kb_chosen_place there;

	while (key.turn < KB_CHOSEN_MAX && !bpf_map_lookup_elem(map, &key, &there) &&
	       there.code != place->code)
		key.turn++;
	*shared = key.turn > 0;
	if (key.turn == KB_CHOSEN_MAX || bpf_map_update_elem(map, &key, place, BPF_ANY) ||
	    (key.turn && !mark_more(map, key)))
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot store the place of a breakpoint");
	return NULL;
}

void kb_breakpoints__remove_place(struct kb_breakpoints *breakpoints, pid_t pid, uint64_t address)
{
	int map = bpf_map__fd(breakpoints->programs->bpf->maps.chosen_places);
	struct kb_chosen_key key = { .address = address, .tgid = pid };

	for (; key.turn < KB_CHOSEN_MAX; key.turn++)
		bpf_map_delete_elem(map, &key);
}

/* ---------------------------------------------------------------- events */

static struct kb_error *cannot_open(pid_t tid)
{
	switch (errno) {
	case EACCES:
	case EPERM:
		return kb_unsupported("cannot open breakpoints: needs root or CAP_PERFMON");
	case ENOSPC:
		return kb_unsupported("all hardware breakpoints of thread %d are in use, by a "
				      "debugger or another keelback",
				      tid);
	case ENOENT:
	case EOPNOTSUPP:
	case EINVAL:
	case ENODEV:
		return kb_unsupported("no hardware breakpoints on this processor, or in this "
				      "virtual machine");
	case EMFILE:
	case ENFILE:
		return kb_failed("too many open files: raise the limit with 'ulimit -n'");
	}
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open a breakpoint");
}

static struct kb_error *start(struct kb_breakpoints *breakpoints, int fd)
{
	int *events = kb_array__grow(breakpoints->events, &breakpoints->capacity,
				     breakpoints->n + 1, sizeof(*events), EVENTS_MAX);

	if (!events) {
		close(fd);
		return kb_failed("more than %d threads with breakpoints", EVENTS_MAX);
	}
	breakpoints->events = events;
	events[breakpoints->n++] = fd;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF,
		  bpf_program__fd(breakpoints->programs->bpf->progs.on_breakpoint)) ||
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot start a breakpoint");
	return NULL;
}

struct kb_error *kb_breakpoints__watch(struct kb_breakpoints *breakpoints, pid_t tid,
				       uint64_t address, bool processes)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_BREAKPOINT,
		/* x86 watches reads only together with writes. */
		.bp_type = HW_BREAKPOINT_RW,
		.bp_addr = address,
		.bp_len = HW_BREAKPOINT_LEN_1,
		.sample_period = 1,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.inherit = 1,
		/* Threads only, and not for another program: Linux 5.13, commits 2b26f0aa0046 and
		 * 2e498d0a74e5. */
		.inherit_thread = !processes,
		.remove_on_exec = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0 && errno == ESRCH)
		return NULL;
	return fd < 0 ? cannot_open(tid) : start(breakpoints, fd);
}

/* ---------------------------------------------------------------- what is counted */

const struct kb_call_edge *kb_breakpoints__edges(const struct kb_breakpoints *breakpoints,
						 uint32_t *n)
{
	uint32_t used = __atomic_load_n(&control_of(breakpoints)->n_edges, __ATOMIC_RELAXED);

	*n = used < KB_CHOSEN_EDGES_MAX ? used + 1 : KB_CHOSEN_EDGES_MAX;
	return breakpoints->edges;
}

const struct kb_chosen_times *kb_breakpoints__times(const struct kb_breakpoints *breakpoints)
{
	return breakpoints->times;
}

/* ---------------------------------------------------------------- what a trap costs */

#define TRAPS 1000 /* 20 ms; the quickest one counts */

uint64_t kb_breakpoints__measure_trap(struct kb_breakpoints *breakpoints)
{
	static volatile uint8_t watched;
	struct kb_chosen_control *control = control_of(breakpoints);
	uint32_t before = breakpoints->n;
	struct kb_error *err;

	err = kb_breakpoints__watch(breakpoints, gettid(), (uintptr_t)&watched, false);
	for (int i = 0; i < TRAPS && !err; i++)
		(void)watched;
	while (breakpoints->n > before)
		close(breakpoints->events[--breakpoints->n]);
	control->trap_ns = err ? 0 : control->least_ns;
	kb_error__destroy(err);
	return control->trap_ns;
}
