// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/error.h"
#include "base/log.h"
#include "kernel/audit_programs.h"
#include "kernel/load.h"
#include "kernel/memory_programs.h"
#include "kernel/ref_programs.h"
#include "kernel/programs_object.h"

#define DRAIN_BATCH 4096 /* keys taken from the table of counts by one call */

/* What only some runs have: a new capability is a row for each of its programs and maps. */
static const struct {
	const char *name;
	uint32_t runs; /* KB_RUN_*: those that need it */
} optional_programs[] = {
	{ "on_clock", KB_RUN_CLOCK },
	{ "on_clock_empty", KB_RUN_CLOCK },
	{ "on_tick", KB_RUN_TICK },
	{ "on_switch", KB_RUN_WAITS },
	{ "on_call", KB_RUN_CALLS },
	{ "on_call_empty", KB_RUN_CALLS },
	{ "on_call_exit", KB_RUN_CALLS },
	{ "on_call_exec", KB_RUN_CALLS },
	{ "on_call_switch", KB_RUN_CALL_CLOCK },
	{ "on_signal_deliver", KB_RUN_FAULTS },
	{ "on_signal_generate", KB_RUN_FAULTS },
	{ "on_signal_hold", KB_RUN_HOLD },
	{ "on_breakpoint", KB_RUN_CHOSEN },
	{ "on_allocate", KB_RUN_MEMORY },
	{ "on_allocated", KB_RUN_MEMORY },
	{ "on_free", KB_RUN_MEMORY },
	{ "on_drop_blocks", KB_RUN_MEMORY },
	{ "on_audit", KB_RUN_AUDIT },
	{ "on_reference", KB_RUN_REFS },
};
static const struct {
	const char *name;
	uint32_t runs;
} optional_maps[] = {
	{ "waiting", KB_RUN_WAITS },
	{ "waits_even", KB_RUN_WAITS },
	{ "waits_odd", KB_RUN_WAITS },
	{ "wait_stacks", KB_RUN_WAITS },
	{ "wait_walks", KB_RUN_WAITS },
	{ "walk_budget", KB_RUN_WAITS },
	{ "counts_even", KB_RUN_CLOCK | KB_RUN_TICK },
	{ "counts_odd", KB_RUN_CLOCK | KB_RUN_TICK },
	{ "last_tick", KB_RUN_TICK },
	{ "call_images", KB_RUN_CALLS },
	{ "call_chunks", KB_RUN_CALLS },
	{ "free_call_chunks", KB_RUN_CALLS },
	{ "free_call_slots", KB_RUN_CALLS },
	{ "call_edges", KB_RUN_CALLS },
	{ "call_levels", KB_RUN_CALLS },
	{ "call_edge_numbers", KB_RUN_CALLS },
	{ "call_functions", KB_RUN_CALLS },
	{ "call_level_numbers", KB_RUN_CALLS },
	{ "call_scratches", KB_RUN_CALLS },
	{ "call_threads", KB_RUN_CALLS },
	{ "call_places", KB_RUN_CALLS },
	{ "first_faults", KB_RUN_FAULTS },
	{ "senders", KB_RUN_FAULTS },
	{ "fault_scratch", KB_RUN_FAULTS },
	{ "holds", KB_RUN_HOLD },
	{ "chosen_places", KB_RUN_CHOSEN },
	{ "chosen_images", KB_RUN_CHOSEN },
	{ "chosen_walks", KB_RUN_CHOSEN },
	{ "chosen_edges", KB_RUN_CHOSEN },
	{ "chosen_edge_numbers", KB_RUN_CHOSEN },
	{ "chosen_functions", KB_RUN_CHOSEN },
	{ "chosen_times", KB_RUN_CHOSEN },
	{ "chosen_live", KB_RUN_CHOSEN },
	{ "chosen_threads", KB_RUN_CHOSEN },
	{ "memory_blocks", KB_RUN_MEMORY },
	{ "memory_stack_ids", KB_RUN_MEMORY | KB_RUN_REFS },
	{ "memory_stacks", KB_RUN_MEMORY | KB_RUN_REFS },
	{ "memory_processes", KB_RUN_MEMORY },
	{ "memory_calls", KB_RUN_MEMORY },
	{ "memory_texts", KB_RUN_MEMORY },
	{ "memory_drops", KB_RUN_MEMORY },
	{ "memory_slots", KB_RUN_MEMORY | KB_RUN_REFS },
	{ "memory_naming", KB_RUN_MEMORY | KB_RUN_REFS },
	{ "audit_layouts", KB_RUN_AUDIT },
	{ "audit_rules", KB_RUN_AUDIT },
	{ "audit_slots", KB_RUN_AUDIT },
	{ "audit_counts", KB_RUN_AUDIT },
	{ "audit_nested", KB_RUN_AUDIT },
	{ "audit_stacks", KB_RUN_AUDIT },
	{ "audit_walks", KB_RUN_AUDIT },
	{ "ref_images", KB_RUN_REFS },
	{ "ref_type_ids", KB_RUN_REFS },
	{ "ref_types", KB_RUN_REFS },
	{ "ref_counts", KB_RUN_REFS },
	{ "ref_objects", KB_RUN_REFS },
	{ "ref_processes", KB_RUN_REFS },
};

static int on_notice(void *context, void *record, size_t size)
{
	struct kb_programs *p = context;

	if (size >= sizeof(struct kb_notice))
		p->notice_fn(record, p->context);
	return 0;
}

static int on_record(void *context, void *record, size_t size)
{
	struct kb_programs *p = context;

	p->record_fn(record, size, p->context);
	return 0;
}

/* Programs that are attached to uprobes. */
static const char *const probes[] = {
	"on_interpreter_init", "on_call", "on_call_empty", "on_allocate",
	"on_allocated",	       "on_free", "on_audit",	   "on_reference"
};

#define ROWS(table) (sizeof(table) / sizeof(*(table)))

/* Leaves out the programs and maps that this run does not need. */
static struct kb_error *choose_parts(struct bpf_object *object, uint32_t runs)
{
	for (size_t i = 0; i < ROWS(optional_programs); i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(object, optional_programs[i].name);

		if (program)
			bpf_program__set_autoload(program, (optional_programs[i].runs & runs) != 0);
	}
	for (size_t i = 0; i < ROWS(optional_maps); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, optional_maps[i].name);

		if (map && !(optional_maps[i].runs & runs) && bpf_map__set_autocreate(map, false))
			return kb_failed("cannot leave the BPF map %s out", optional_maps[i].name);
	}
	return NULL;
}

/*
 * What reads these maps are global functions, which kernels before 6.8 verify although nothing
 * calls them: without tasks the maps are there all the same, and empty.
 */
static struct kb_error *configure_tasks(struct kb_collect_bpf *bpf, uint32_t want)
{
	if (!(want & KB_WANT_TASKS) && (bpf_map__set_max_entries(bpf->maps.task_layouts, 1) ||
					bpf_map__set_max_entries(bpf->maps.task_dicts, 1) ||
					bpf_map__set_max_entries(bpf->maps.task_names, 1)))
		return kb_failed("cannot size the BPF maps of tasks");
	return NULL;
}

static struct kb_error *configure(struct kb_programs *p, const struct kb_programs_opts *opts)
{
	struct kb_collect_bpf *bpf = p->bpf;

	bpf->rodata->config = opts->config;
	bpf->rodata->fault_config = opts->faults;
	bpf->bss->control.next_proc = 1;
	p->runs = opts->runs;
	if (opts->runs & KB_RUN_TICK && !bpf_object__find_program_by_name(bpf->obj, "on_tick"))
		return kb_unsupported("no tick sampling on this processor: use --rate HZ");
	KB_TRY(choose_parts(bpf->obj, opts->runs));
	KB_TRY(configure_tasks(bpf, opts->config.want));
	if (bpf_map__set_max_entries(bpf->maps.counts_even, opts->counts_max) ||
	    bpf_map__set_max_entries(bpf->maps.counts_odd, opts->counts_max) ||
	    bpf_map__set_max_entries(bpf->maps.waits_even, opts->counts_max) ||
	    bpf_map__set_max_entries(bpf->maps.waits_odd, opts->counts_max) ||
	    bpf_map__set_max_entries(bpf->maps.data, opts->data_bytes))
		return kb_failed("cannot size the BPF maps");
	if (opts->runs & KB_RUN_AUDIT)
		kb_audit_programs__configure(p, opts->audit);
	if (kb_uprobe__have_multi())
		for (size_t i = 0; i < ROWS(probes); i++)
			bpf_program__set_expected_attach_type(
				bpf_object__find_program_by_name(bpf->obj, probes[i]),
				KB_BPF_TRACE_UPROBE_MULTI);
	if (opts->runs & KB_RUN_REFS)
		KB_TRY(kb_ref_programs__configure(p, opts));
	return opts->runs & KB_RUN_MEMORY ? kb_memory_programs__configure(p, opts) : NULL;
}

static struct kb_error *open_rings(struct kb_programs *p)
{
	bool waits = p->runs & KB_RUN_WAITS;
	int cpus = libbpf_num_possible_cpus();

	p->data = ring_buffer__new(bpf_map__fd(p->bpf->maps.data), on_record, p, NULL);
	p->notices = ring_buffer__new(bpf_map__fd(p->bpf->maps.notices), on_notice, p, NULL);
	if (!p->data || !p->notices)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot map the BPF rings");
	p->cpu_values = calloc(cpus > 0 ? cpus : 1, sizeof(*p->cpu_values));
	p->keys = calloc(DRAIN_BATCH, sizeof(*p->keys));
	p->counts = calloc(DRAIN_BATCH, sizeof(*p->counts));
	if (waits) {
		p->sums = calloc(DRAIN_BATCH, sizeof(*p->sums));
		p->tids = calloc(DRAIN_BATCH, sizeof(*p->tids));
		p->waiting = calloc(DRAIN_BATCH, sizeof(*p->waiting));
	}
	if (!p->cpu_values || !p->keys || !p->counts ||
	    (waits && (!p->sums || !p->tids || !p->waiting)))
		return kb_error__no_memory();
	return kb_uprobes__create(&p->uprobes);
}

struct kb_error *kb_programs__create(const struct kb_programs_opts *opts,
				     struct kb_programs **programs)
{
	struct kb_programs *p = calloc(1, sizeof(*p));
	struct kb_error *err;
	int status;

	if (!p)
		return kb_error__no_memory();
	kb_load__prepare();
	p->bpf = kb_collect_bpf__open();
	err = p->bpf ? configure(p, opts) : kb_load__failed(errno, "sampling");
	if (!err) {
		status = kb_collect_bpf__load(p->bpf);
		err = status ? kb_load__failed(-status, "sampling") : open_rings(p);
	}
	if (err) {
		kb_programs__destroy(p);
		return err;
	}
	*programs = p;
	return NULL;
}

void kb_programs__destroy(struct kb_programs *p)
{
	if (!p)
		return;
	kb_uprobes__destroy(p->uprobes);
	kb_audit_programs__detach(p);
	bpf_link__destroy(p->tick);
	bpf_link__destroy(p->on_switch);
	ring_buffer__free(p->data);
	ring_buffer__free(p->notices);
	kb_collect_bpf__destroy(p->bpf);
	free(p->cpu_values);
	free(p->keys);
	free(p->counts);
	free(p->sums);
	free(p->tids);
	free(p->waiting);
	free(p);
}

static struct kb_error *attach(struct bpf_program *program, struct bpf_link **link)
{
	struct bpf_link *made = bpf_program__attach(program);

	if (!made)
		return kb_error__from_errno(errno, KB_STATUS_UNSUPPORTED,
					    "cannot attach the BPF program %s",
					    bpf_program__name(program));
	*link = made;
	return NULL;
}

struct kb_error *kb_programs__attach_tracker(struct kb_programs *p)
{
	KB_TRY(attach(p->bpf->progs.on_exit, &p->bpf->links.on_exit));
	KB_TRY(attach(p->bpf->progs.on_exec, &p->bpf->links.on_exec));
	return attach(p->bpf->progs.on_fork, &p->bpf->links.on_fork);
}

static struct kb_error *attach_or_not(struct bpf_program *program, struct bpf_link **link,
				      bool wanted)
{
	if (!wanted) {
		bpf_link__destroy(*link);
		*link = NULL;
	}
	return wanted && !*link ? attach(program, link) : NULL;
}

struct kb_error *kb_programs__attach_tick(struct kb_programs *p, bool wanted)
{
	return attach_or_not(bpf_object__find_program_by_name(p->bpf->obj, "on_tick"), &p->tick,
			     wanted);
}

struct kb_error *kb_programs__attach_switch(struct kb_programs *p, bool wanted)
{
	return attach_or_not(p->bpf->progs.on_switch, &p->on_switch, wanted);
}

int kb_programs__clock_fd(const struct kb_programs *p, bool empty)
{
	return bpf_program__fd(empty ? p->bpf->progs.on_clock_empty : p->bpf->progs.on_clock);
}

struct kb_error *kb_programs__add_image(struct kb_programs *p, const struct kb_image *image,
					const struct kb_layout *layout, const char *path,
					const uint64_t *offsets, uint32_t n)
{
	uint64_t cookies[KB_IMAGE_INIT_MAX];

	if (image->id >= KB_IMAGES_MAX)
		return kb_failed("more than %d different interpreters", KB_IMAGES_MAX);
	if (bpf_map_update_elem(bpf_map__fd(p->bpf->maps.layouts), &image->layout, layout,
				BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(p->bpf->maps.images), &image->id, image, BPF_ANY))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot store an image");
	for (uint32_t i = 0; i < n; i++)
		cookies[i] = (uint64_t)i << 32 | image->id;
	return kb_uprobes__attach(p->uprobes, p->bpf->progs.on_interpreter_init, path, offsets,
				  cookies, n);
}

uint32_t kb_programs__new_proc(struct kb_programs *p)
{
	return __atomic_fetch_add(&p->bpf->bss->control.next_proc, 1, __ATOMIC_RELAXED);
}

bool kb_programs__get_proc(struct kb_programs *p, pid_t tgid, struct kb_proc *proc)
{
	uint32_t key = tgid;

	return !bpf_map_lookup_elem(bpf_map__fd(p->bpf->maps.procs), &key, proc);
}

struct kb_error *kb_programs__set_proc(struct kb_programs *p, pid_t tgid,
				       const struct kb_proc *proc, bool replace)
{
	uint32_t key = tgid;
	int fd = bpf_map__fd(p->bpf->maps.procs);

	if (bpf_map_update_elem(fd, &key, proc, replace ? BPF_ANY : BPF_NOEXIST) && errno != EEXIST)
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot observe process %d: table of processes", tgid);
	return NULL;
}

struct kb_error *kb_programs__follow(struct kb_programs *p, pid_t tgid)
{
	uint32_t key = tgid, one = 1;

	if (bpf_map_update_elem(bpf_map__fd(p->bpf->maps.followed), &key, &one, BPF_ANY))
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot follow process %d: table of processes", tgid);
	return NULL;
}

void kb_programs__hold(struct kb_programs *p, pid_t tgid)
{
	p->bpf->bss->control.hold_tgid = tgid;
}

uint32_t kb_programs__holds(const struct kb_programs *p)
{
	return __atomic_load_n(&p->bpf->bss->control.holds, __ATOMIC_ACQUIRE);
}

bool kb_programs__any_followed(struct kb_programs *p)
{
	uint32_t key;

	return !bpf_map_get_next_key(bpf_map__fd(p->bpf->maps.followed), NULL, &key);
}

void kb_programs__watch_births(struct kb_programs *p, bool watch)
{
	p->bpf->bss->control.watch_births = watch;
}

bool kb_programs__birth(struct kb_programs *p, pid_t tid, struct kb_birth *birth)
{
	uint32_t key = tid;

	return !bpf_map_lookup_elem(bpf_map__fd(p->bpf->maps.births), &key, birth);
}

void kb_programs__set_exe(struct kb_programs *p, const struct kb_exe_key *exe,
			  enum kb_exe_state state)
{
	uint32_t value = state;

	/* Without room it is only asked again. */
	bpf_map_update_elem(bpf_map__fd(p->bpf->maps.known_exes), exe, &value, BPF_ANY);
}

bool kb_programs__next_proc(struct kb_programs *p, uint32_t *tgid)
{
	uint32_t *after = *tgid ? tgid : NULL, next;

	if (bpf_map_get_next_key(bpf_map__fd(p->bpf->maps.procs), after, &next))
		return false;
	*tgid = next;
	return true;
}

bool kb_programs__poll(struct kb_programs *p, int timeout_ms, kb_notice_fn fn, void *context)
{
	p->notice_fn = fn;
	p->context = context;
	return ring_buffer__poll(p->notices, timeout_ms) != -EINTR;
}

int kb_programs__fd(const struct kb_programs *p)
{
	return ring_buffer__epoll_fd(p->notices);
}

size_t kb_programs__read_data(struct kb_programs *p, kb_record_fn fn, void *context)
{
	int n;

	p->record_fn = fn;
	p->context = context;
	p->bpf->bss->control.drain_requested = 0;
	n = ring_buffer__consume(p->data);
	return n > 0 ? n : 0;
}

/* Waits for a grace period: programs run inside RCU read-side sections, so those that saw the old
 * generation have ended. */
void kb_programs__await_running(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(50000); /* nohz_full machines refuse it; far longer than any program runs */
}

void kb_programs__flip(struct kb_programs *p)
{
	struct kb_control *control = (struct kb_control *)&p->bpf->bss->control;

	p->draining = control->generation & 1;
	control->new_stacks[!p->draining] = 0;
	__atomic_fetch_add(&control->generation, 1, __ATOMIC_SEQ_CST);
	kb_programs__await_running();
}

/* The next batch of a table into keys and values; *in: NULL at first. False: it was the last. */
static struct kb_error *take_batch(struct kb_programs *p, struct bpf_map *map, void *values,
				   uint32_t **in, uint32_t *batch, uint32_t *n, bool *more)
{
	*n = DRAIN_BATCH;
	*more = !bpf_map_lookup_and_delete_batch(bpf_map__fd(map), *in, batch, p->keys, values, n,
						 NULL);
	if (!*more && errno != ENOENT)
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot read the table of counts");
	*in = batch;
	return NULL;
}

struct kb_error *kb_programs__drain(struct kb_programs *p, kb_count_fn fn, void *context)
{
	struct bpf_map *map = p->draining ? p->bpf->maps.counts_odd : p->bpf->maps.counts_even;
	uint32_t batch = 0, n, *in = NULL;
	bool more;

	do {
		KB_TRY(take_batch(p, map, p->counts, &in, &batch, &n, &more));
		for (uint32_t i = 0; i < n; i++)
			fn(&p->keys[i], p->counts[i], context);
	} while (more);
	return NULL;
}

struct kb_error *kb_programs__drain_waits(struct kb_programs *p, kb_wait_sum_fn fn, void *context)
{
	struct bpf_map *map = p->draining ? p->bpf->maps.waits_odd : p->bpf->maps.waits_even;
	uint32_t batch = 0, n, *in = NULL;
	bool more;

	do {
		KB_TRY(take_batch(p, map, p->sums, &in, &batch, &n, &more));
		for (uint32_t i = 0; i < n; i++)
			fn(&p->keys[i], &p->sums[i], context);
	} while (more);
	return NULL;
}

bool kb_programs__set_waiting(struct kb_programs *p, pid_t tid, const struct kb_wait *wait)
{
	uint32_t key = tid;

	return !bpf_map_update_elem(bpf_map__fd(p->bpf->maps.waiting), &key, wait, BPF_NOEXIST) ||
	       errno == EEXIST;
}

struct kb_error *kb_programs__each_waiting(struct kb_programs *p, kb_waiting_fn fn, void *context)
{
	int fd = bpf_map__fd(p->bpf->maps.waiting);
	uint32_t batch = 0, n, *in = NULL;
	int status;

	do {
		n = DRAIN_BATCH;
		status = bpf_map_lookup_batch(fd, in, &batch, p->tids, p->waiting, &n, NULL);
		if (status && errno != ENOENT)
			return kb_error__from_errno(errno, KB_STATUS_FAILED,
						    "cannot read the table of waits");
		for (uint32_t i = 0; i < n; i++)
			fn(p->tids[i], &p->waiting[i], context);
		in = &batch;
	} while (!status);
	return NULL;
}

void kb_programs__clear_waiting(struct kb_programs *p)
{
	int fd = bpf_map__fd(p->bpf->maps.waiting);
	uint32_t key;

	while (!bpf_map_get_next_key(fd, NULL, &key))
		bpf_map_delete_elem(fd, &key);
}

void kb_programs__native_maps(const struct kb_programs *p, struct kb_native_maps *maps)
{
	*maps = (struct kb_native_maps){ .tables = bpf_map__fd(p->bpf->maps.native_tables),
					 .lists = bpf_map__fd(p->bpf->maps.native_lists),
					 .procs = bpf_map__fd(p->bpf->maps.native_procs) };
}

void kb_programs__task_maps(const struct kb_programs *p, struct kb_task_maps *maps)
{
	*maps = (struct kb_task_maps){ .layouts = bpf_map__fd(p->bpf->maps.task_layouts),
				       .dicts = bpf_map__fd(p->bpf->maps.task_dicts) };
}

struct kb_error *kb_programs__ledger(struct kb_programs *p, uint64_t counts[KB_L_COUNT + 1])
{
	int cpus = libbpf_num_possible_cpus();

	for (uint32_t reason = 0; reason <= KB_L_COUNT; reason++) {
		if (bpf_map_lookup_elem(bpf_map__fd(p->bpf->maps.ledger), &reason, p->cpu_values))
			return kb_error__from_errno(errno, KB_STATUS_FAILED,
						    "cannot read the ledger");
		counts[reason] = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			counts[reason] += p->cpu_values[cpu];
	}
	return NULL;
}

void kb_programs__run_stats(const struct kb_programs *p, uint64_t *runs, uint64_t *ns)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(p->bpf->obj, "on_tick");
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	if (!program || !bpf_program__autoload(program))
		program = p->bpf->progs.on_clock;
	*runs = *ns = 0;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
		return;
	*runs = info.run_cnt;
	*ns = info.run_time_ns;
}
