// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "kernel/call_programs.h"
#include "kernel/programs_object.h"
#include "system/maps.h"

struct kb_call_programs {
	struct kb_programs *programs;
	struct kb_uprobes *probes; /* NULL: none */
	int statistics;		   /* the kernel keeps them as long as it is open; -1 */
	const struct kb_call_edge *edges;
};

#define EDGES_BYTES ((size_t)KB_CALL_EDGES_MAX * sizeof(struct kb_call_edge))

static struct kb_call_control *control_of(const struct kb_call_programs *calls)
{
	return (struct kb_call_control *)&calls->programs->bpf->bss->call_control;
}

struct kb_error *kb_call_programs__create(struct kb_programs *programs,
					  struct kb_call_programs **result)
{
	struct kb_call_programs *calls = calloc(1, sizeof(*calls));
	struct kb_collect_bpf *bpf = programs->bpf;
	void *edges;

	if (!calls)
		return kb_error__no_memory();
	calls->programs = programs;
	calls->statistics = -1;
	edges = mmap(NULL, EDGES_BYTES, PROT_READ, MAP_SHARED, bpf_map__fd(bpf->maps.call_edges),
		     0);
	if (edges == MAP_FAILED) {
		free(calls);
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot map the table of calls");
	}
	calls->edges = edges;
	control_of(calls)->epoch = 1;
	bpf->links.on_call_exit = bpf_program__attach(bpf->progs.on_call_exit);
	bpf->links.on_call_exec = bpf_program__attach(bpf->progs.on_call_exec);
	if (!bpf->links.on_call_exit || !bpf->links.on_call_exec) {
		struct kb_error *err =
			kb_error__from_errno(errno, KB_STATUS_UNSUPPORTED,
					     "cannot attach the BPF programs of threads' ends");

		kb_call_programs__destroy(calls);
		return err;
	}
	*result = calls;
	return NULL;
}

void kb_call_programs__destroy(struct kb_call_programs *calls)
{
	if (!calls)
		return;
	kb_uprobes__destroy(calls->probes);
	if (calls->statistics >= 0)
		close(calls->statistics);
	munmap((void *)calls->edges, EDGES_BYTES);
	free(calls);
}

struct kb_error *kb_call_programs__add_image(struct kb_call_programs *calls, uint32_t image,
					     const struct kb_call_image *info)
{
	if (bpf_map_update_elem(bpf_map__fd(calls->programs->bpf->maps.call_images), &image, info,
				BPF_ANY))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot store an image");
	return NULL;
}

struct kb_error *kb_call_programs__set_aside(struct kb_call_programs *calls, uint32_t image,
					     uint64_t address)
{
	struct kb_call_place place = { .address = address, .image = image };
	uint32_t one = 1;

	if (bpf_map_update_elem(bpf_map__fd(calls->programs->bpf->maps.call_places), &place, &one,
				BPF_ANY))
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot store the places of probes");
	return NULL;
}

struct kb_error *kb_call_programs__attach(struct kb_call_programs *calls, const char *path,
					  const uint64_t *offsets, const uint64_t *cookies,
					  uint32_t n, pid_t pid)
{
	struct kb_uprobe_opts opts = { .pid = pid };

	if (!calls->probes)
		KB_TRY(kb_uprobes__create(&calls->probes));
	return kb_uprobes__attach_opts(calls->probes, calls->programs->bpf->progs.on_call, path,
				       offsets, cookies, n, &opts);
}

void kb_call_programs__detach(struct kb_call_programs *calls)
{
	if (!calls->probes)
		return;
	kb_uprobes__destroy(calls->probes);
	calls->probes = NULL;
	kb_programs__await_running();
}

struct kb_error *kb_call_programs__attach_clock(struct kb_call_programs *calls)
{
	struct kb_collect_bpf *bpf = calls->programs->bpf;

	bpf->links.on_call_switch = bpf_program__attach(bpf->progs.on_call_switch);
	if (!bpf->links.on_call_switch)
		return kb_error__from_errno(errno, KB_STATUS_UNSUPPORTED,
					    "cannot attach the BPF program on_call_switch");
	return NULL;
}

void kb_call_programs__open(struct kb_call_programs *calls, bool open)
{
	struct kb_call_control *control = control_of(calls);

	if (open)
		__atomic_fetch_add(&control->epoch, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&control->closed, !open, __ATOMIC_RELEASE);
}

void kb_call_programs__cost(struct kb_call_programs *calls, bool measure, struct kb_call_cost *cost)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	if (measure && calls->statistics < 0)
		calls->statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	*cost = (struct kb_call_cost){};
	if (!bpf_obj_get_info_by_fd(bpf_program__fd(calls->programs->bpf->progs.on_call), &info,
				    &size)) {
		cost->runs = info.run_cnt;
		cost->ns = info.run_time_ns;
	}
	if (!measure && calls->statistics >= 0) {
		close(calls->statistics);
		calls->statistics = -1;
	}
}

const struct kb_call_edge *kb_call_programs__edges(const struct kb_call_programs *calls,
						   uint32_t *n)
{
	uint32_t used = __atomic_load_n(&control_of(calls)->n_edges, __ATOMIC_RELAXED);

	*n = used < KB_CALL_EDGES_MAX ? used + 1 : KB_CALL_EDGES_MAX;
	return calls->edges;
}

/* ---------------------------------------------------------------- what a trap costs */

#define TRAPS	    4000 /* 2 ms */
#define TRAP_ROUNDS 5	 /* the quickest counts: what else happens only adds */

/* A probe like most of ours: on an instruction that the kernel emulates. */
void kb_trap_target(void);
#if defined(__x86_64__)
__asm__(".text\n.globl kb_trap_target\n.hidden kb_trap_target\n.type kb_trap_target, @function\n"
	"kb_trap_target:\n\tnop\n\tret\n.size kb_trap_target, .-kb_trap_target\n");
#else
__attribute__((noinline)) void kb_trap_target(void)
{
	__asm__ volatile("nop");
}
#endif

static uint64_t time_calls(void)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < TRAP_ROUNDS; round++) {
		uint64_t began = kb_now(CLOCK_MONOTONIC), took;

		for (int i = 0; i < TRAPS; i++)
			kb_trap_target();
		took = kb_now(CLOCK_MONOTONIC) - began;
		if (took < best)
			best = took;
	}
	return best / TRAPS;
}

/* Where in its file an address of this process lies. */
static bool own_offset(uint64_t address, char *path, size_t size, uint64_t *offset)
{
	struct kb_maps maps;
	bool found = false;

	if (kb_maps__read(getpid(), &maps))
		return false;
	for (size_t i = 0; i < maps.count && !found; i++) {
		const struct kb_map *map = &maps.entries[i];

		found = address >= map->start && address < map->end;
		if (found) {
			*offset = address - map->start + map->offset;
			snprintf(path, size, "/proc/self/map_files/%lx-%lx",
				 (unsigned long)map->start, (unsigned long)map->end);
		}
	}
	kb_maps__free(&maps);
	return found;
}

uint64_t kb_call_programs__measure_trap(struct kb_call_programs *calls)
{
	struct kb_uprobe_opts opts = { .pid = getpid() };
	struct kb_uprobes *probes = NULL;
	uint64_t offset, cookie = 0, bare, probed = 0;
	struct kb_error *err;
	char path[64];

	if (!own_offset((uintptr_t)kb_trap_target, path, sizeof(path), &offset))
		return 0;
	bare = time_calls();
	err = kb_uprobes__create(&probes);
	if (!err)
		err = kb_uprobes__attach_opts(probes, calls->programs->bpf->progs.on_call_empty,
					      path, &offset, &cookie, 1, &opts);
	if (!err)
		probed = time_calls();
	kb_error__destroy(err);
	kb_uprobes__destroy(probes);
	if (probed <= bare)
		return 0;
	control_of(calls)->trap_ns = probed - bare;
	return probed - bare;
}
