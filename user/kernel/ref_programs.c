// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include "base/error.h"
#include "kernel/programs_object.h"
#include "kernel/ref_programs.h"

#define COUNTS_MAX                                                                                 \
	(1u << 18) /* types at stacks; a large program has some 20,000; 40 bytes each              \
		    */
#define BATCH 4096 /* counts read by one call */

struct kb_error *kb_ref_programs__configure(struct kb_programs *p,
					    const struct kb_programs_opts *opts)
{
	struct kb_collect_bpf *bpf = p->bpf;

	if (bpf_map__set_max_entries(bpf->maps.memory_stack_ids, opts->memory_stacks_max) ||
	    bpf_map__set_max_entries(bpf->maps.memory_stacks, opts->memory_stacks_max) ||
	    bpf_map__set_max_entries(bpf->maps.ref_counts, COUNTS_MAX) ||
	    bpf_map__set_max_entries(bpf->maps.ref_objects, opts->ref_objects_max))
		return kb_failed("cannot size the BPF maps");
	return NULL;
}

struct kb_error *kb_ref_programs__add_image(struct kb_programs *p, uint32_t image,
					    const struct kb_ref_image *info)
{
	if (bpf_map_update_elem(bpf_map__fd(p->bpf->maps.ref_images), &image, info, BPF_ANY))
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot store what types look like");
	return NULL;
}

struct kb_error *kb_ref_programs__attach(struct kb_programs *p, struct kb_uprobes *uprobes,
					 pid_t pid, const char *path, const uint64_t *offsets,
					 const uint64_t *cookies, uint32_t n)
{
	struct kb_uprobe_opts opts = { .pid = pid };

	return kb_uprobes__attach_opts(uprobes, p->bpf->progs.on_reference, path, offsets, cookies,
				       n, &opts);
}

void kb_ref_programs__count(struct kb_programs *p, bool on)
{
	p->bpf->bss->ref_control.on = on;
}

struct kb_error *kb_ref_programs__each_count(struct kb_programs *p, kb_ref_count_fn fn,
					     void *context)
{
	struct kb_ref_key *keys = calloc(BATCH, sizeof(*keys));
	struct kb_ref_count *counts = calloc(BATCH, sizeof(*counts));
	int fd = bpf_map__fd(p->bpf->maps.ref_counts), status = keys && counts ? 0 : -1;
	uint32_t batch = 0, n, *in = NULL;

	errno = status ? ENOMEM : 0;
	while (!status) {
		n = BATCH;
		status = bpf_map_lookup_batch(fd, in, &batch, keys, counts, &n, NULL);
		if (status && errno != ENOENT)
			break;
		for (uint32_t i = 0; i < n; i++)
			fn(&keys[i], &counts[i], context);
		in = &batch;
	}
	free(keys);
	free(counts);
	return errno == ENOENT ? NULL
			       : kb_error__from_errno(errno, KB_STATUS_FAILED,
						      "cannot read the table of objects");
}

void kb_ref_programs__each_process(struct kb_programs *p, kb_ref_process_fn fn, void *context)
{
	int fd = bpf_map__fd(p->bpf->maps.ref_processes);
	struct kb_ref_process process;
	uint32_t *after = NULL, key, next;

	/* Nothing is ever taken out of it, so that the walk ends. */
	while (!bpf_map_get_next_key(fd, after, &next)) {
		key = next;
		after = &key;
		if (!bpf_map_lookup_elem(fd, &key, &process))
			fn(key, &process, context);
	}
}

uint32_t kb_ref_programs__n_types(const struct kb_programs *p)
{
	uint32_t n = p->bpf->bss->ref_control.n_types;
	uint32_t max = bpf_map__max_entries(p->bpf->maps.ref_types) - 1;

	return n < max ? n : max;
}

bool kb_ref_programs__type(const struct kb_programs *p, uint32_t number, struct kb_ref_type *type)
{
	return !bpf_map_lookup_elem(bpf_map__fd(p->bpf->maps.ref_types), &number, type);
}
