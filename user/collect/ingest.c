// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "base/id_map.h"
#include "collect/code_decoder.h"
#include "collect/ingest.h"
#include "collect/native.h"
#include "collect/stack_decoder.h"
#include "collect/task_names.h"
#include "model/window.h"

#define PROCS_MAX	      (1u << 20) /* processes of one session; later ones are counted as lost */
#define WAIT_STACKS_MAX	      (1u << 20) /* kept for the session, 24 bytes each; later ones are lost */
#define GENERATION_STACKS_MAX (1u << 20) /* as many as the kernel's table of counts can hold */

/* A stack as the generation's counts refer to it. */
struct generation {
	struct kb_id_map nodes; /* (stack hash, process) → node */
};

/* A process by the kernel's id. */
struct known_process {
	uint32_t process;     /* in the profile */
	uint32_t forked_from; /* id, 0: none */
};

struct kb_ingest {
	struct kb_ingest_opts opts;
	struct kb_code_decoder *decoder;
	struct kb_stack_decoder *stacks;
	struct kb_task_names *task_names;
	struct known_process *processes; /* by the kernel's process id */
	uint32_t n_processes, capacity;
	struct generation generations[2];
	struct kb_id_map wait_nodes; /* (stack hash, process) → node */
	struct kb_id_map threads;    /* (process id, tid) → thread */
	struct kb_id_map truncated;  /* nodes of truncated stacks */
	uint64_t start_ns;	     /* moments count from here */
	kb_waited_fn waited;	     /* or NULL */
	void *waited_context;
};

static uint32_t code_at(uint32_t proc, uint64_t address, void *context);
static unsigned minor_of(uint32_t proc, void *context);

static void native_frames(uint32_t proc, const kb_u64 *addresses, uint32_t n, uint32_t *frames,
			  bool *eval, void *context)
{
	struct kb_ingest *ingest = context;

	kb_native__frames(ingest->opts.native, proc, addresses, n, frames, eval);
}

static uint32_t kernel_frames(const kb_u64 *addresses, uint32_t n, uint32_t *frames, void *context)
{
	struct kb_ingest *ingest = context;

	return kb_native__kernel_frames(ingest->opts.native, addresses, n, frames);
}

static bool one_by_one(uint32_t proc, void *context)
{
	struct kb_ingest *ingest = context;

	return kb_native__one_by_one(ingest->opts.native, proc);
}

static const struct kb_native_source native_source = { native_frames, kernel_frames, one_by_one };

struct kb_error *kb_ingest__create(const struct kb_ingest_opts *opts, struct kb_ingest **result)
{
	struct kb_ingest *ingest = calloc(1, sizeof(*ingest));
	struct kb_stack_decoder_opts stacks = { .profile = opts->profile,
						.code_at = code_at,
						.minor_of = minor_of,
						.context = ingest };
	struct kb_error *err;

	if (!ingest)
		return kb_error__no_memory();
	ingest->opts = *opts;
	if (opts->native)
		stacks.native = native_source;
	kb_id_map__init(&ingest->generations[0].nodes, GENERATION_STACKS_MAX);
	kb_id_map__init(&ingest->generations[1].nodes, GENERATION_STACKS_MAX);
	kb_id_map__init(&ingest->wait_nodes, WAIT_STACKS_MAX);
	kb_id_map__init(&ingest->threads, KB_PROFILE_THREADS_MAX);
	kb_id_map__init(&ingest->truncated, KB_PROFILE_NODES_MAX);
	err = kb_code_decoder__create(opts->profile, &ingest->decoder);
	stacks.task_names = ingest->task_names = kb_task_names__create();
	if (!err && !ingest->task_names)
		err = kb_error__no_memory();
	if (!err && !(ingest->stacks = kb_stack_decoder__create(&stacks)))
		err = kb_error__no_memory();
	if (err)
		kb_ingest__destroy(ingest);
	else
		*result = ingest;
	return err;
}

void kb_ingest__destroy(struct kb_ingest *ingest)
{
	if (!ingest)
		return;
	kb_code_decoder__destroy(ingest->decoder);
	kb_stack_decoder__destroy(ingest->stacks);
	kb_task_names__destroy(ingest->task_names);
	kb_id_map__free(&ingest->generations[0].nodes);
	kb_id_map__free(&ingest->generations[1].nodes);
	kb_id_map__free(&ingest->wait_nodes);
	kb_id_map__free(&ingest->threads);
	kb_id_map__free(&ingest->truncated);
	free(ingest->processes);
	free(ingest);
}

/* Makes room for a process id; NULL: too many. */
static struct known_process *reserve_process(struct kb_ingest *ingest, uint32_t proc)
{
	struct known_process *processes = kb_array__grow(ingest->processes, &ingest->capacity,
							 proc + 1, sizeof(*processes), PROCS_MAX);

	if (!processes)
		return NULL;
	ingest->processes = processes;
	while (ingest->n_processes <= proc)
		processes[ingest->n_processes++] = (struct known_process){ .process = KB_ID_NONE };
	return &processes[proc];
}

struct kb_error *kb_ingest__add_process(struct kb_ingest *ingest, uint32_t proc,
					const struct kb_process_info *info)
{
	struct known_process *known = reserve_process(ingest, proc);

	if (!known)
		return kb_failed("more than %u processes in one session", PROCS_MAX);
	known->process = kb_profile__add_process(ingest->opts.profile, info);
	return NULL;
}

static void add_forked(struct kb_ingest *ingest, const struct kb_data_proc *record)
{
	struct known_process *known = reserve_process(ingest, record->proc);

	/* Ids grow, so that a chain of parents ends. */
	if (known && record->forked_from < record->proc)
		known->forked_from = record->forked_from;
	ingest->opts.new_process(record, ingest->opts.context);
}

static uint32_t process_of(const struct kb_ingest *ingest, uint32_t proc)
{
	return proc < ingest->n_processes ? ingest->processes[proc].process : KB_ID_NONE;
}

static uint32_t add_thread(struct kb_ingest *ingest, const struct kb_data_thread *record)
{
	char name[KB_COMM_MAX + 1];
	struct kb_thread_info info = { .size = sizeof(info),
				       .process = process_of(ingest, record->proc),
				       .tid = record->tid,
				       .ns_tid = record->ns_tid,
				       .name = name };
	uint32_t thread = KB_ID_NONE;

	memcpy(name, record->comm, KB_COMM_MAX);
	name[KB_COMM_MAX] = '\0';
	if (info.process != KB_ID_NONE)
		thread = kb_profile__add_thread(ingest->opts.profile, &info);
	if (thread != KB_ID_NONE)
		kb_id_map__set(&ingest->threads, record->proc, record->tid, thread);
	return thread;
}

/* A forked process has its parent's code objects until it makes others. */
static uint32_t inherited_code(struct kb_ingest *ingest, uint32_t proc, uint64_t address)
{
	uint32_t code = KB_ID_NONE;

	while (code == KB_ID_NONE && proc < ingest->n_processes &&
	       ingest->processes[proc].forked_from) {
		proc = ingest->processes[proc].forked_from;
		code = kb_code_decoder__find(ingest->decoder, proc, address);
	}
	return code;
}

void kb_ingest__fetch_code(struct kb_ingest *ingest, uint32_t proc, pid_t pid, uint64_t address)
{
	const struct kb_layout *layout;
	struct kb_remote_code code;

	if (!ingest->opts.read_code(proc, pid, address, &code, &layout, ingest->opts.context))
		return;
	kb_code_decoder__add_remote(ingest->decoder, proc, address, &code, layout);
	kb_remote_code__free(&code);
}

/* From the parent or from the process, if it still lives; else a frame by its address, counted. */
static uint32_t missing_code(struct kb_ingest *ingest, uint32_t proc, uint64_t address)
{
	struct kb_profile *profile = ingest->opts.profile;
	uint32_t process = process_of(ingest, proc);
	struct kb_code_info info = { .kind = KB_FRAME_MARKER, .file = "" };
	uint32_t code = inherited_code(ingest, proc, address);
	char name[32];

	if (code == KB_ID_NONE && process != KB_ID_NONE) {
		kb_ingest__fetch_code(ingest, proc, kb_profile__process(profile, process)->pid,
				      address);
		code = kb_code_decoder__find(ingest->decoder, proc, address);
	}
	if (code != KB_ID_NONE)
		return code;
	snprintf(name, sizeof(name), "<code at 0x%llx>", (unsigned long long)address);
	info.name = name;
	kb_profile__ledger_add(profile, KB_L_UNNAMED_FRAMES, 1);
	return kb_profile__add_code(profile, &info);
}

static uint32_t code_at(uint32_t proc, uint64_t address, void *context)
{
	struct kb_ingest *ingest = context;
	uint32_t code = kb_code_decoder__find(ingest->decoder, proc, address);

	return code == KB_ID_NONE ? missing_code(ingest, proc, address) : code;
}

uint32_t kb_ingest__function_at(struct kb_ingest *ingest, uint32_t proc, uint64_t address)
{
	struct kb_profile *profile = ingest->opts.profile;
	uint32_t code = code_at(proc, address, ingest), frame = KB_ID_NONE;

	if (code != KB_ID_NONE)
		frame = kb_profile__add_frame(profile, code, KB_LASTI_START);
	return frame == KB_ID_NONE ? KB_ID_NONE : kb_profile__frame(profile, frame)->function;
}

static unsigned minor_of(uint32_t proc, void *context)
{
	struct kb_ingest *ingest = context;
	uint32_t process = process_of(ingest, proc);
	unsigned minor = 0;

	if (process != KB_ID_NONE)
		sscanf(kb_profile__process(ingest->opts.profile, process)->python, "3.%u", &minor);
	return minor;
}

static void add_stack(struct kb_ingest *ingest, const struct kb_data_stack *record, size_t size)
{
	struct kb_id_map *nodes = record->flags & KB_STACK_WAIT
					  ? &ingest->wait_nodes
					  : &ingest->generations[record->generation & 1].nodes;
	uint32_t node = kb_stack_decoder__add(ingest->stacks, record, size);

	if (node == KB_ID_NONE)
		return;
	kb_id_map__set(nodes, record->hash, record->proc, node);
	if (record->flags & KB_STACK_TRUNCATED)
		kb_id_map__set(&ingest->truncated, node, 0, 1);
}

static uint32_t thread_of(struct kb_ingest *ingest, const struct kb_stack_key *key)
{
	struct kb_data_thread nameless = { .proc = key->proc, .tid = key->tid };
	uint32_t thread = kb_id_map__get(&ingest->threads, key->proc, key->tid);

	return thread != KB_ID_NONE ? thread : add_thread(ingest, &nameless);
}

/* The frame that stands for stacks that are not known. */
static uint32_t wait_marker(struct kb_ingest *ingest, uint64_t hash)
{
	static const char *const names[KB_WAIT_HASHES] = {
		[KB_WAIT_NOT_WALKED] = "<waits not walked>",
		[KB_WAIT_BEFORE_START] = "<waiting since before the start>",
	};
	struct kb_code_info info = { .kind = KB_FRAME_MARKER, .file = "", .name = names[hash] };
	struct kb_profile *profile = ingest->opts.profile;

	return kb_profile__add_node(
		profile, KB_ID_NONE,
		kb_profile__add_frame(profile, kb_profile__add_code(profile, &info), 0));
}

static uint32_t wait_node(struct kb_ingest *ingest, uint64_t hash, uint32_t proc)
{
	uint32_t node = kb_id_map__get(&ingest->wait_nodes, hash, proc);

	if (node == KB_ID_NONE && hash && hash < KB_WAIT_HASHES) {
		node = wait_marker(ingest, hash);
		kb_id_map__set(&ingest->wait_nodes, hash, proc, node);
	}
	return node;
}

/* What a sample is in the profile's unit. */
static uint64_t amount_of_sample(const struct kb_ingest *ingest)
{
	return ingest->opts.sample_ns ? ingest->opts.sample_ns : 1;
}

void kb_ingest__set_start(struct kb_ingest *ingest, uint64_t start_ns)
{
	ingest->start_ns = start_ns;
}

void kb_ingest__set_waited(struct kb_ingest *ingest, kb_waited_fn waited, void *context)
{
	ingest->waited = waited;
	ingest->waited_context = context;
}

/* Without what the timeline has of a wait already. False: it has all. */
static bool shorten_wait(const struct kb_ingest *ingest, struct kb_data_moment *wait)
{
	uint64_t waited = 0;

	if (ingest->waited)
		waited = ingest->waited(wait->tid, wait->time, ingest->waited_context);
	if (waited >= wait->count)
		return false;
	wait->time += waited;
	wait->count -= waited;
	return true;
}

static void add_moment(struct kb_ingest *ingest, const struct kb_data_moment *record)
{
	struct kb_stack_key key = { .proc = record->proc, .tid = record->tid };
	struct kb_data_moment at = *record;
	struct kb_moment moment = { .thread = thread_of(ingest, &key),
				    .flags = record->flags & KB_STATES };

	if (moment.flags & KB_STATE_OFF_CPU) {
		if (!shorten_wait(ingest, &at))
			return;
		moment.node = wait_node(ingest, at.hash, at.proc);
		moment.count = at.count;
	} else {
		moment.node = kb_id_map__get(&ingest->generations[at.generation & 1].nodes, at.hash,
					     at.proc);
		moment.count = at.count * amount_of_sample(ingest);
	}
	moment.time_ns = at.time > ingest->start_ns ? at.time - ingest->start_ns : 0;
	if (!kb_profile__add_moment(ingest->opts.profile, &moment))
		kb_profile__ledger_add(ingest->opts.profile, KB_L_LOST_MOMENTS, 1);
}

bool kb_ingest__record(struct kb_ingest *ingest, const void *record, size_t size)
{
	const struct kb_data_code *code = record;
	const struct kb_data_stack *stack = record;
	const struct kb_data_proc *proc = record;
	uint32_t kind = size >= sizeof(kind) ? *(const uint32_t *)record : 0;

	if (kind == KB_DATA_STACK && size >= sizeof(*stack))
		add_stack(ingest, stack, size);
	else if (kind == KB_DATA_CODE && size >= sizeof(*code))
		kb_code_decoder__code(ingest->decoder, code, size,
				      ingest->opts.layout(code->layout, ingest->opts.context));
	else if (kind == KB_DATA_LINES && size >= sizeof(struct kb_data_lines))
		kb_code_decoder__lines(ingest->decoder, record, size);
	else if (kind == KB_DATA_THREAD && size >= sizeof(struct kb_data_thread))
		add_thread(ingest, record);
	else if (kind == KB_DATA_PROC && size >= sizeof(*proc))
		add_forked(ingest, proc);
	else if (kind == KB_DATA_TASK && size >= sizeof(struct kb_data_task))
		kb_task_names__add(ingest->task_names, record, size);
	else if (kind == KB_DATA_MOMENT && size >= sizeof(struct kb_data_moment))
		add_moment(ingest, record);
	else
		return false;
	return true;
}

/* n samples or waits of a thread, which come to `amount` in the profile's unit. */
static void add_samples(struct kb_ingest *ingest, const struct kb_stack_key *key, uint32_t node,
			uint64_t amount, uint64_t n)
{
	struct kb_profile *profile = ingest->opts.profile;
	uint32_t thread = thread_of(ingest, key);
	bool truncated;

	if (node == KB_ID_NONE || thread == KB_ID_NONE) {
		kb_profile__ledger_add(profile, KB_L_LOST_STACK, n);
		return;
	}
	if (!kb_profile__add_samples(profile, thread, node, amount)) {
		kb_profile__ledger_add(profile, KB_L_STACKS_FULL, n);
		return;
	}
	truncated = kb_id_map__get(&ingest->truncated, node, 0) != KB_ID_NONE;
	kb_profile__ledger_add(profile, truncated ? KB_L_TRUNCATED : KB_L_GOOD, n);
}

void kb_ingest__count(struct kb_ingest *ingest, uint32_t parity, const struct kb_stack_key *key,
		      uint64_t count)
{
	uint32_t node =
		kb_id_map__get(&ingest->generations[parity & 1].nodes, key->hash, key->proc);

	add_samples(ingest, key, node, count * amount_of_sample(ingest), count);
}

void kb_ingest__waits(struct kb_ingest *ingest, const struct kb_stack_key *key,
		      const struct kb_wait_sum *sum)
{
	uint32_t node = wait_node(ingest, key->hash, key->proc);

	if (node == KB_ID_NONE)
		kb_profile__ledger_add(ingest->opts.profile, KB_L_LOST_WAIT_NS, sum->ns);
	add_samples(ingest, key, node, sum->ns, sum->n);
}

uint32_t kb_ingest__process(const struct kb_ingest *ingest, uint32_t proc)
{
	return process_of(ingest, proc);
}

uint32_t kb_ingest__kept_node(const struct kb_ingest *ingest, uint64_t hash, uint32_t proc)
{
	return kb_id_map__get(&ingest->wait_nodes, hash, proc);
}

bool kb_ingest__is_truncated(const struct kb_ingest *ingest, uint32_t node)
{
	return kb_id_map__get(&ingest->truncated, node, 0) != KB_ID_MAP_NONE;
}

void kb_ingest__lost_wait(struct kb_ingest *ingest, unsigned reason, uint64_t ns)
{
	kb_profile__ledger_add(ingest->opts.profile, reason, 1);
	/* These have no Python stack, which says all. */
	if (reason != KB_L_NOT_PYTHON_THREAD && reason != KB_L_NO_FRAME)
		kb_profile__ledger_add(ingest->opts.profile, KB_L_LOST_WAIT_NS, ns);
}

static void mark_node(uint64_t hash, uint64_t proc, uint32_t *node, void *context)
{
	((uint32_t *)context)[*node] = 1;
}

static void move_node(uint64_t hash, uint64_t proc, uint32_t *node, void *context)
{
	*node = ((uint32_t *)context)[*node];
}

struct move_truncated {
	const uint32_t *nodes;
	struct kb_id_map moved;
};

static void move_truncated(uint64_t node, uint64_t zero, uint32_t *one, void *context)
{
	struct move_truncated *move = context;

	if (move->nodes[node] != KB_ID_NONE)
		kb_id_map__set(&move->moved, move->nodes[node], 0, 1);
}

bool kb_ingest__forget_stacks(struct kb_ingest *ingest)
{
	struct kb_profile *profile = ingest->opts.profile;
	uint32_t *nodes = calloc(kb_profile__n_nodes(profile) + 1, sizeof(*nodes));
	struct move_truncated move = { .nodes = nodes };
	bool done;

	if (!nodes)
		return false;
	for (int i = 0; i < 2; i++)
		kb_id_map__each(&ingest->generations[i].nodes, mark_node, nodes);
	kb_id_map__each(&ingest->wait_nodes, mark_node, nodes);
	done = kb_profile__forget_stacks(profile, nodes);
	if (done) {
		for (int i = 0; i < 2; i++)
			kb_id_map__each(&ingest->generations[i].nodes, move_node, nodes);
		kb_id_map__each(&ingest->wait_nodes, move_node, nodes);
		/* Without memory some truncated stacks count as good: they keep their mark in the
		 * tree. */
		kb_id_map__init(&move.moved, KB_PROFILE_NODES_MAX);
		kb_id_map__each(&ingest->truncated, move_truncated, &move);
		kb_id_map__free(&ingest->truncated);
		ingest->truncated = move.moved;
	}
	free(nodes);
	return done;
}

uint32_t kb_ingest__thread(struct kb_ingest *ingest, uint32_t proc, pid_t tid)
{
	struct kb_stack_key key = { .proc = proc, .tid = tid };

	return thread_of(ingest, &key);
}

uint32_t kb_ingest__stack(const struct kb_ingest *ingest, uint32_t generation, uint64_t hash,
			  uint32_t proc)
{
	return kb_id_map__get(&ingest->generations[generation & 1].nodes, hash, proc);
}

void kb_ingest__end_generation(struct kb_ingest *ingest, uint32_t parity)
{
	kb_id_map__clear(&ingest->generations[parity & 1].nodes);
}
