// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "kernel/memory_programs.h"
#include "kernel/programs_object.h"

#define BATCH	   4096 /* blocks read by one call */
#define PROBES_MAX 64	/* functions of one file */

struct kb_memory_probes {
	struct kb_uprobes *uprobes;
};

static volatile struct kb_memory_control *control(struct kb_programs *p)
{
	return &p->bpf->bss->memory_control;
}

struct kb_error *kb_memory_programs__configure(struct kb_programs *p,
					       const struct kb_programs_opts *opts)
{
	struct kb_collect_bpf *bpf = p->bpf;

	if (bpf_map__set_max_entries(bpf->maps.memory_blocks, opts->blocks_max) ||
	    bpf_map__set_max_entries(bpf->maps.memory_stack_ids, opts->memory_stacks_max) ||
	    bpf_map__set_max_entries(bpf->maps.memory_stacks, opts->memory_stacks_max))
		return kb_failed("cannot size the BPF maps");
	return NULL;
}

static bool frees(const struct kb_memory_probe *probe)
{
	kb_u32 op = KB_COOKIE_OP(probe->cookie);

	return op == KB_OP_FREE || op == KB_OP_MUNMAP;
}

/* Those that free, or those that allocate. */
static uint32_t choose(const struct kb_memory_probe *functions, uint32_t n, bool freeing,
		       uint64_t *offsets, uint64_t *cookies)
{
	uint32_t chosen = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (frees(&functions[i]) != freeing)
			continue;
		offsets[chosen] = functions[i].offset;
		cookies[chosen++] = functions[i].cookie;
	}
	return chosen;
}

struct kb_error *kb_memory_programs__attach(struct kb_programs *p, pid_t pid, const char *path,
					    const struct kb_memory_probe *functions, uint32_t n,
					    struct kb_memory_probes **probes)
{
	struct kb_uprobe_opts at_entry = { .pid = pid },
			      at_return = { .pid = pid, .at_return = true };
	uint64_t offsets[PROBES_MAX], cookies[PROBES_MAX];
	struct kb_uprobes *uprobes;
	uint32_t chosen;

	if (n > PROBES_MAX)
		return kb_failed("too many functions to probe in %s", path);
	if (!*probes) {
		*probes = calloc(1, sizeof(**probes));
		if (!*probes)
			return kb_error__no_memory();
		KB_TRY(kb_uprobes__create(&(*probes)->uprobes));
	}
	uprobes = (*probes)->uprobes;
	/* Returns before entries: a call that is seen beginning is seen ending. */
	chosen = choose(functions, n, false, offsets, cookies);
	KB_TRY(kb_uprobes__attach_opts(uprobes, p->bpf->progs.on_allocated, path, offsets, cookies,
				       chosen, &at_return));
	KB_TRY(kb_uprobes__attach_opts(uprobes, p->bpf->progs.on_allocate, path, offsets, cookies,
				       chosen, &at_entry));
	chosen = choose(functions, n, true, offsets, cookies);
	return kb_uprobes__attach_opts(uprobes, p->bpf->progs.on_free, path, offsets, cookies,
				       chosen, &at_entry);
}

void kb_memory_probes__destroy(struct kb_memory_probes *probes)
{
	if (!probes)
		return;
	kb_uprobes__destroy(probes->uprobes);
	free(probes);
}

void kb_memory_programs__set_text(struct kb_programs *p, uint32_t proc,
				  const struct kb_memory_text *text)
{
	/* Without room calls are not told apart: all are the interpreter's. */
	bpf_map_update_elem(bpf_map__fd(p->bpf->maps.memory_texts), &proc, text, BPF_ANY);
}

void kb_memory_programs__clear(struct kb_programs *p)
{
	kb_u32 window = control(p)->window + 1;

	/* As wide as in a block; 0 is no window. */
	control(p)->window = window & 0xffff ? window : window + 1;
}

void kb_memory_programs__reset_peak(struct kb_programs *p)
{
	control(p)->peak_epoch++;
}

void kb_memory_programs__reattached(struct kb_programs *p)
{
	control(p)->attached++;
}

/* What bpf/memory.bpf.c does when it meets the process next. */
static void bring_up_to_date(struct kb_programs *p, struct kb_memory_process *process)
{
	if (process->peak_epoch == control(p)->peak_epoch)
		return;
	for (int i = 0; i < KB_GROUP_IDS; i++) {
		process->sums[i].peak = process->sums[i].current;
		process->sums[i].peak_blocks = process->sums[i].blocks;
		process->sums[i].peak_at++;
	}
}

struct kb_error *kb_memory_programs__each_process(struct kb_programs *p, kb_memory_process_fn fn,
						  void *context)
{
	int fd = bpf_map__fd(p->bpf->maps.memory_processes);
	struct kb_memory_process process;
	uint32_t *after = NULL, key, next;

	while (!bpf_map_get_next_key(fd, after, &next)) {
		key = next;
		after = &key;
		if (bpf_map_lookup_elem(fd, &key, &process) || process.window != control(p)->window)
			continue;
		bring_up_to_date(p, &process);
		fn(key, &process, context);
	}
	return NULL;
}

struct kb_error *kb_memory_programs__each_stack(struct kb_programs *p, kb_memory_stack_fn fn,
						void *context)
{
	int fd = bpf_map__fd(p->bpf->maps.memory_stacks);
	uint32_t n = control(p)->n_stacks, max = bpf_map__max_entries(p->bpf->maps.memory_stacks);

	for (uint32_t id = 1; id <= n && id < max; id++) {
		struct kb_memory_stack stack;

		if (bpf_map_lookup_elem(fd, &id, &stack))
			return kb_error__from_errno(errno, KB_STATUS_FAILED,
						    "cannot read the table of allocating stacks");
		if (stack.window == control(p)->window)
			fn(id, &stack, context);
	}
	return NULL;
}

struct kb_error *kb_memory_programs__some_blocks(struct kb_programs *p,
						 struct kb_memory_blocks_cursor *cursor,
						 uint32_t max, kb_memory_block_fn fn, void *context)
{
	struct kb_block_key *keys = calloc(BATCH, sizeof(*keys));
	struct kb_block *blocks = calloc(BATCH, sizeof(*blocks));
	int fd = bpf_map__fd(p->bpf->maps.memory_blocks), status = keys && blocks ? 0 : -1;
	uint32_t n;

	errno = status ? ENOMEM : 0;
	for (uint32_t had = 0; !status && had < max; had += n) {
		n = BATCH;
		status = bpf_map_lookup_batch(fd, cursor->begun ? &cursor->at : NULL, &cursor->at,
					      keys, blocks, &n, NULL);
		if (status && errno != ENOENT)
			break;
		for (uint32_t i = 0; i < n; i++)
			if (blocks[i].window == (kb_u16)control(p)->window)
				fn(&keys[i], &blocks[i], context);
		cursor->begun = !status;
	}
	free(keys);
	free(blocks);
	return !status || errno == ENOENT
		       ? NULL
		       : kb_error__from_errno(errno, KB_STATUS_FAILED,
					      "cannot read the table of live blocks");
}

struct kb_error *kb_memory_programs__each_block(struct kb_programs *p, kb_memory_block_fn fn,
						void *context)
{
	struct kb_memory_blocks_cursor cursor = {};

	return kb_memory_programs__some_blocks(p, &cursor, UINT32_MAX, fn, context);
}

struct kb_error *kb_memory_programs__drop(struct kb_programs *p,
					  const struct kb_memory_drop *blocks, size_t n,
					  uint64_t *dropped)
{
	struct kb_memory_drops *drops = calloc(1, sizeof(*drops));
	int map = bpf_map__fd(p->bpf->maps.memory_drops),
	    program = bpf_program__fd(p->bpf->progs.on_drop_blocks), status = drops ? 0 : -1;
	kb_u32 zero = 0;

	*dropped = 0;
	errno = status ? ENOMEM : 0;
	for (size_t done = 0; done < n && !status; done += drops->n) {
		LIBBPF_OPTS(bpf_test_run_opts, run);

		drops->n = n - done < KB_MEMORY_DROPS ? n - done : KB_MEMORY_DROPS;
		memcpy(drops->blocks, blocks + done, drops->n * sizeof(*blocks));
		status = bpf_map_update_elem(map, &zero, drops, BPF_ANY);
		if (!status)
			status = bpf_prog_test_run_opts(program, &run);
		if (!status)
			*dropped += run.retval;
	}
	free(drops);
	return status ? kb_error__from_errno(errno, KB_STATUS_FAILED,
					     "cannot take blocks out of the table of live blocks")
		      : NULL;
}
