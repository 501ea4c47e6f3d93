// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Counts chosen functions and lines, at hardware breakpoints on their bytecode.
 *
 * A breakpoint watches the second byte, the argument, of one instruction of the interpreter in a
 * code object, for reads and writes. The interpreter reads it when it executes the instruction:
 * nothing else is slowed down, and nothing is written to the process. The first byte is the wrong
 * one: it is read again when an instruction is specialized, written when it is replaced, and not
 * read at all when the instruction is the second half of a superinstruction (3.11, 3.12). Both
 * together are read at once in some builds and one by one in others. But the interpreter's loop is
 * not the only one to read the argument, and it may read it twice:
 *
 * - Code elsewhere does (co_code, quickening, monitoring): its machine code does not lie in the
 *   loop.
 * - It is replaced (compiled code): it is another one then.
 * - The instruction is executed again, in its own place (monitoring): the frame points there
 *   already, where it pointed to the one before at the first time (3.11 and later).
 *
 * Ends of calls are places as well where there are few of them and breakpoints are left. Calls are
 * told apart by their frames, so recursion and generators do no harm. A call that an exception
 * ends has no end that is seen; its frame is taken by another call, or never.
 */
#include "common/process.bpf.h"
#include "python/code.bpf.h"
#include "python/walk.bpf.h"
#include "shared/calls.h"
#include "shared/chosen.h"
#include "stack.bpf.h"

volatile struct kb_chosen_control chosen_control = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_CHOSEN_PLACES_MAX);
	__type(key, struct kb_chosen_key);
	__type(value, struct kb_chosen_place);
} chosen_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_IMAGES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_chosen_image);
} chosen_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct kb_walk);
} chosen_walks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_CHOSEN_EDGES_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, kb_u32);
	__type(value, struct kb_call_edge);
} chosen_edges SEC(".maps");

struct chosen_edge_key {
	kb_u32 number, caller;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_CHOSEN_EDGES_MAX);
	__type(key, struct chosen_edge_key);
	__type(value, kb_u32);
} chosen_edge_numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_CHOSEN_FUNCTIONS_MAX);
	__type(key, kb_u64); /* hash of process and code object */
	__type(value, kb_u32);
} chosen_functions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_CHOSEN_NUMBERS_MAX + 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, kb_u32);
	__type(value, struct kb_chosen_times);
} chosen_times SEC(".maps");

struct live_key {
	kb_u64 frame;
	kb_u32 proc;
	kb_u32 number;
};

struct live_call {
	kb_u64 start_ns;
	kb_u64 spent_ns; /* of the thread, until then */
	kb_u32 tid;
	kb_u32 edge;
	kb_u32 recursive, edge_recursive;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KB_CHOSEN_LIVE_MAX);
	__type(key, struct live_key);
	__type(value, struct live_call);
} chosen_live SEC(".maps");

struct chosen_thread {
	kb_u64 spent_ns; /* what breakpoints have cost it: nobody's time */
	/* The last hit, if it came before its instruction is executed: up to 3.10. */
	kb_u64 last_frame, last_address, last_ip, last_instr;
	/* Whose first instruction was read by other code while it was executed: 3.13 and later. */
	kb_u64 redone_frame, redone_address;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct chosen_thread);
} chosen_threads SEC(".maps");

/* ---------------------------------------------------------------- places */

#define ANCESTORS_MAX 4 /* that a place is looked for in: forks of forks */

/*
 * A child that was forked has its parent's breakpoints, at the same addresses; user space may not
 * know it yet.
 */
static __always_inline struct kb_chosen_place *of_ancestor(const struct kb_chosen_key *key)
{
	struct task_struct *task = bpf_get_current_task_btf()->group_leader;
	struct kb_chosen_key of_parent = { .address = key->address, .turn = key->turn };
	struct kb_chosen_place *place = NULL;

	for (int i = 0; i < ANCESTORS_MAX && !place; i++) {
		task = BPF_CORE_READ(task, real_parent, group_leader);
		if (!task)
			return NULL;
		of_parent.tgid = BPF_CORE_READ(task, tgid);
		place = bpf_map_lookup_elem(&chosen_places, &of_parent);
	}
	return place;
}

/* Is this machine code of the interpreter's loop? */
static __always_inline int in_loop(const struct kb_proc *proc, const struct kb_chosen_image *chosen,
				   kb_u64 ip)
{
	const struct kb_image *image = bpf_map_lookup_elem(&images, &proc->image);
	kb_u64 linked;

	if (!image || !chosen->n_ranges)
		return 1;
	linked = ip - (proc->code_type - image->code_type);
#pragma unroll
	for (int i = 0; i < KB_CHOSEN_RANGES_MAX; i++) {
		/* The instruction that did it lies before. */
		if (i < chosen->n_ranges && linked - chosen->ranges[i].start - 1 <
						    chosen->ranges[i].end - chosen->ranges[i].start)
			return 1;
	}
	return 0;
}

/* Was it written to, rather than read? */
static __always_inline int was_written(struct kb_chosen_place *place, kb_u64 address)
{
	kb_u8 argument = 0, before = place->argument, looked = place->looked;

	if (kb_read_user(&argument, sizeof(argument), address))
		return 0;
	place->argument = argument;
	place->looked = 1;
	return looked && argument != before;
}

/* ---------------------------------------------------------------- functions and edges */

/* The number of a code object's function, which is sent when it is new. 0: no room. */
static __noinline kb_u32 caller_number(struct kb_proc *proc, const struct kb_layout *layout,
				       kb_u64 code)
{
	struct kb_data_call_function *record;
	kb_u64 key, name = 0, line = 0;
	kb_u32 *known, number;
	int seen;

	if (!proc || !layout || !code)
		return 0;
	/* Another object may have taken the address. */
	kb_read_user(&name, 8, code + layout->code_name);
	kb_read_user(&line, 4, code + layout->code_firstlineno);
	key = kb_walk_mix(kb_walk_mix(kb_walk_mix(0, code ^ (kb_u64)proc->id << 48), name), line);
	known = bpf_map_lookup_elem(&chosen_functions, &key);
	if (known)
		return *known;
	seen = kb_code_seen(proc, layout, code);
	if (seen == KB_CODE_NOT_CODE)
		return 0;
	record = seen == KB_CODE_OK ? bpf_ringbuf_reserve(&data, sizeof(*record), 0) : NULL;
	if (!record) {
		kb_request_drain();
		return 0;
	}
	number = KB_CHOSEN_NUMBERS_MAX + 1 + __sync_fetch_and_add(&chosen_control.n_functions, 1);
	record->kind = KB_DATA_CALL_FUNCTION;
	record->proc = proc->id;
	record->function = number;
	record->is_c = 0;
	record->address = code;
	record->name[0] = record->owner[0] = 0;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	if (bpf_map_update_elem(&chosen_functions, &key, &number, BPF_ANY))
		return 0;
	return number;
}

static __noinline kb_u32 edge_number(kb_u32 number, kb_u32 caller)
{
	struct chosen_edge_key key = { .number = number, .caller = caller };
	kb_u32 *known = bpf_map_lookup_elem(&chosen_edge_numbers, &key), fresh;
	struct kb_call_edge *edge;

	if (known)
		return *known;
	fresh = __sync_fetch_and_add(&chosen_control.n_edges, 1) + 1;
	edge = bpf_map_lookup_elem(&chosen_edges, &fresh);
	if (!edge)
		return 0;
	edge->function = number;
	edge->caller = caller;
	/* Two threads may both be first: the edge of the second is another with the same ends. */
	if (bpf_map_update_elem(&chosen_edge_numbers, &key, &fresh, BPF_ANY))
		return 0;
	return fresh;
}

/* ---------------------------------------------------------------- hits */

struct scan {
	struct kb_walk *walk;
	kb_u64 code, caller;
	kb_u32 own; /* frames at the top that are the function's own */
	kb_u32 recursive, edge_recursive;
};

/* Is the same function on the stack already, called by the same one? */
static long scan_step(kb_u64 index, struct scan *scan)
{
	kb_u64 at = index + scan->own;

	KB_OPAQUE(at);
	if (at >= KB_FRAMES_MAX - 1 || at >= scan->walk->n_frames)
		return 1;
	if (KB_FRAME_CODE(scan->walk->words[at]) != scan->code)
		return 0;
	scan->recursive = 1;
	if (at + 1 < scan->walk->n_frames &&
	    KB_FRAME_CODE(scan->walk->words[(at + 1) & (KB_FRAMES_MAX - 1)]) == scan->caller)
		scan->edge_recursive = 1;
	return scan->edge_recursive != 0;
}

/* Between a class and its __init__() stands a frame for no function (3.12 and later). */
static __always_inline int is_no_function(kb_u64 word, const struct kb_chosen_image *image,
					  const struct kb_layout *layout)
{
	kb_u64 at = KB_FRAME_CODE(word) + layout->code_instructions;
	kb_u8 opcode = 0;

	return image->init_check && !kb_read_user(&opcode, 1, at + KB_FRAME_LASTI(word) * 2ULL) &&
	       opcode == image->init_check;
}

/* at: how many frames of the walk are the function's own. */
static __always_inline kb_u64 caller_of(struct kb_walk *walk, const struct kb_chosen_image *image,
					const struct kb_layout *layout, kb_u32 at)
{
	if (walk->n_frames <= at)
		return 0;
	if (!is_no_function(walk->words[at & 1], image, layout))
		return KB_FRAME_CODE(walk->words[at & 1]);
	return walk->n_frames > at + 1 ? KB_FRAME_CODE(walk->words[(at & 1) + 1]) : 0;
}

struct hit {
	struct kb_walk *walk;
	struct kb_proc *proc;
	const struct kb_layout *layout;
	const struct kb_chosen_image *image;
	const struct kb_chosen_place *place;
	kb_u64 frame;		      /* of the function, … */
	kb_u64 code, instr;	      /* … or the current one at first */
	struct chosen_thread *thread; /* or NULL: no memory */
	kb_u32 tid;
	kb_u32 unlinked; /* its frame is not the current one yet */
};

#define RECURSIVE      1
#define EDGE_RECURSIVE 2

/* What it is of what is on the stack. The functions from here to begin() are apart because before
 * Linux 6.13 all that are on the way to where a line table is sent share 512 bytes of stack. */
static __noinline int recursion_of(struct hit *hit, kb_u64 caller)
{
	struct scan scan = {
		.walk = hit->walk, .code = hit->place->code, .caller = caller, .own = !hit->unlinked
	};

	/* A line is not called: that its function is on the stack twice is no recursion of it. */
	if (hit->place->role == KB_CHOSEN_LINE)
		return 0;
	bpf_loop(KB_FRAMES_MAX, scan_step, &scan, 0);
	return (scan.recursive ? RECURSIVE : 0) | (scan.edge_recursive ? EDGE_RECURSIVE : 0);
}

/* Its end will be looked for. */
static __noinline int expect_end(struct hit *hit, kb_u32 edge, int recursion, kb_u64 now)
{
	struct live_key key = { .frame = hit->frame,
				.proc = hit->proc->id,
				.number = hit->place->number };
	struct live_call call = { .tid = hit->tid,
				  .edge = edge,
				  .recursive = recursion & RECURSIVE,
				  .edge_recursive = recursion & EDGE_RECURSIVE };

	if (bpf_map_lookup_elem(&chosen_live, &key))
		kb_count(KB_L_CHOSEN_NO_EXIT, 1);
	call.start_ns = bpf_ktime_get_ns();
	/* With what this hit will have cost. */
	call.spent_ns = hit->thread ? hit->thread->spent_ns : 0;
	call.spent_ns += call.start_ns - now + chosen_control.trap_ns;
	bpf_map_update_elem(&chosen_live, &key, &call, BPF_ANY);
	return 0;
}

static __noinline int begin(struct hit *hit, kb_u64 now)
{
	struct kb_call_edge *edge;
	int recursion;
	kb_u32 number;
	kb_u64 caller;

	kb_count(KB_L_CALLS_SEEN, 1);
	if (kb_walk_frames(hit->walk, hit->layout, 0) > KB_WALK_TRUNCATED) {
		kb_count(KB_L_CALLS_UNREADABLE, 1);
		return 0;
	}
	caller = caller_of(hit->walk, hit->image, hit->layout, !hit->unlinked);
	number = edge_number(hit->place->number, caller_number(hit->proc, hit->layout, caller));
	edge = bpf_map_lookup_elem(&chosen_edges, &number);
	if (!number || !edge) {
		kb_count(KB_L_CALLS_FULL, 1);
		return 0;
	}
	recursion = recursion_of(hit, caller);
	if (recursion & RECURSIVE)
		__sync_fetch_and_add(&edge->recursive, 1);
	if (recursion & EDGE_RECURSIVE)
		__sync_fetch_and_add(&edge->edge_recursive, 1);
	__sync_fetch_and_add(&edge->calls, 1);
	if (hit->place->timed)
		expect_end(hit, number, recursion, now);
	return 0;
}

static __noinline int end(struct hit *hit, kb_u64 now)
{
	struct live_key key = { .frame = hit->frame,
				.proc = hit->proc->id,
				.number = hit->place->number };
	struct live_call *call = bpf_map_lookup_elem(&chosen_live, &key);
	kb_u64 bucket, ns, cost = chosen_control.trap_ns;
	struct kb_chosen_times *times;
	struct kb_call_edge *edge;

	if (!call) {
		kb_count(KB_L_CHOSEN_NO_ENTRY, 1);
		return 0;
	}
	ns = now - call->start_ns;
	if (hit->thread && call->tid == hit->tid && hit->thread->spent_ns > call->spent_ns)
		cost += hit->thread->spent_ns - call->spent_ns;
	ns = ns > cost ? ns - cost : 0;
	edge = bpf_map_lookup_elem(&chosen_edges, &call->edge);
	times = bpf_map_lookup_elem(&chosen_times, &key.number);
	if (edge && !call->recursive)
		__sync_fetch_and_add(&edge->total_ns, ns);
	if (edge && !call->edge_recursive)
		__sync_fetch_and_add(&edge->edge_total_ns, ns);
	if (times) {
		bucket = kb_chosen__bucket(ns);
		KB_OPAQUE(bucket);
		if (bucket < KB_CHOSEN_BUCKETS)
			__sync_fetch_and_add(&times->buckets[bucket], 1);
		__sync_fetch_and_add(&times->sum_ns, ns);
		__sync_fetch_and_add(&times->n, 1);
	}
	bpf_map_delete_elem(&chosen_live, &key);
	return 0;
}

/* The current frame. 0: not known. */
static __noinline int find_frame(struct hit *hit)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (kb_find_thread(hit->walk, hit->proc, hit->layout, KB_THREAD_POINTER(task), hit->tid) !=
	    KB_WALK_OK)
		return 0;
	hit->frame = hit->walk->frame;
	if (kb_read_user(&hit->code, 8, hit->frame + hit->layout->frame_code) ||
	    kb_read_user(&hit->instr, 8, hit->frame + hit->layout->frame_instr))
		return 0;
	hit->code &= ~7ULL;
	return 1;
}

/* Is this the function's new frame, on top of the current one? */
static __noinline int is_new_frame(struct hit *hit, kb_u64 frame)
{
	kb_u64 code = 0, previous = 0;

	if (frame % 8 || kb_read_user(&code, 8, frame + hit->layout->frame_code) ||
	    (code & ~7ULL) != hit->place->code ||
	    kb_read_user(&previous, 8, frame + hit->layout->frame_previous) ||
	    previous != hit->walk->frame)
		return 0;
	hit->frame = frame;
	hit->unlinked = 1;
	return 1;
}

/* It is about to become the current one, so a register has its address. */
static __always_inline int find_new_frame(struct hit *hit, struct bpf_perf_event_data *ctx)
{
#pragma unroll
	for (int i = 0; i < 16; i++) {
		if (is_new_frame(hit, KB_REGISTER(&ctx->regs, i)))
			return 1;
	}
	return 0;
}

/*
 * Up to 3.10, where the interpreter is to look after signals or the GIL, it looks at the next
 * instruction before it reads it to execute it (Python/ceval.c, at eval_breaker), which makes two
 * hits of one execution. Between the two f_lasti becomes the instruction's; where the compiler has
 * turned the write of f_lasti and the second read round, both hits show the place before and are of
 * two addresses in the loop. Two executions that follow one another are of one.
 */
static __always_inline int is_second_look(struct hit *hit, kb_u64 address, kb_u64 ip)
{
	struct chosen_thread *t = hit->thread;
	int executing = (kb_s32)hit->instr == hit->place->lasti, second;

	if (!t)
		return 0;
	second = t->last_frame == hit->frame && t->last_address == address &&
		 (executing || (t->last_ip != ip && t->last_instr == (kb_u32)hit->instr));
	t->last_frame = second || executing ? 0 : hit->frame;
	t->last_address = address;
	t->last_ip = ip;
	t->last_instr = (kb_u32)hit->instr;
	return second;
}

/*
 * 3.13+: a function's very first instruction is executed again when monitoring has changed
 * (_Py_Instrument(), from RESUME), which frames do not tell. What does that reads the instruction
 * before, and it is not in the loop.
 */
static __always_inline void note_other_read(struct hit *hit, kb_u64 address)
{
	const struct kb_chosen_place *place = hit->place;

	if (!hit->thread || !place->starting || hit->layout->version_minor < 13 ||
	    hit->code != place->code || hit->instr != place->starting)
		return;
	hit->thread->redone_frame = hit->frame;
	hit->thread->redone_address = address;
}

static __always_inline int is_redone(struct hit *hit, kb_u64 address)
{
	struct chosen_thread *t = hit->thread;

	if (!t || t->redone_frame != hit->frame || t->redone_address != address)
		return 0;
	t->redone_frame = 0;
	return 1;
}

/* Does the function at the place execute the instruction now, and for the first time? */
static __always_inline int executes(struct hit *hit, kb_u64 address,
				    struct bpf_perf_event_data *ctx)
{
	const struct kb_chosen_place *place = hit->place;

	if (hit->layout->lasti_kind != KB_LASTI_POINTER)
		return hit->code == place->code &&
		       !is_second_look(hit, address, KB_INSTRUCTION_POINTER(&ctx->regs));
	if (place->starting && (hit->code != place->code || hit->instr != place->starting))
		return find_new_frame(hit, ctx);
	return hit->code == place->code && (!place->executing || hit->instr != place->executing) &&
	       !is_redone(hit, address);
}

/* The place of this key that the current frame's function has; the last one when none is. */
static __always_inline struct kb_chosen_place *find_place(struct hit *hit,
							  struct kb_chosen_key *key)
{
	struct kb_chosen_place *place = NULL;

	for (int i = 0; i < KB_CHOSEN_MAX; i++) {
		key->turn = i;
		place = bpf_map_lookup_elem(&chosen_places, key);
		if (!place)
			place = of_ancestor(key);
		if (!place || !place->more || place->code == hit->code)
			break;
	}
	return place;
}

static __always_inline void on_hit(struct hit *hit, struct kb_chosen_key *key,
				   struct bpf_perf_event_data *ctx, kb_u64 now)
{
	int known = find_frame(hit);
	struct kb_chosen_place *place = find_place(hit, key);

	hit->place = place;
	if (!place)
		return;
	if (!known || was_written(place, key->address)) {
		kb_count(KB_L_CHOSEN_OTHER_READS, 1);
	} else if (!in_loop(hit->proc, hit->image, KB_INSTRUCTION_POINTER(&ctx->regs))) {
		note_other_read(hit, key->address);
		kb_count(KB_L_CHOSEN_OTHER_READS, 1);
	} else if (!executes(hit, key->address, ctx)) {
		kb_count(KB_L_CHOSEN_OTHER_READS, 1);
	} else if (place->role == KB_CHOSEN_EXIT) {
		end(hit, now);
	} else {
		begin(hit, now);
	}
}

/* A breakpoint in user space's own process, hit again and again: the time between two hits. */
static __noinline int measure(kb_u64 now)
{
	kb_u64 last = chosen_control.last_end_ns;

	if (last && (!chosen_control.least_ns || now - last < chosen_control.least_ns))
		chosen_control.least_ns = now - last;
	chosen_control.last_end_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("perf_event")
int on_breakpoint(struct bpf_perf_event_data *ctx)
{
	kb_u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	struct task_struct *task = bpf_get_current_task_btf();
	struct kb_chosen_key key = { .address = ctx->addr, .tgid = id >> 32 };
	struct hit hit = { .tid = id };
	kb_u32 zero = 0;

	if (key.tgid == config.self_tgid)
		return measure(now);
	if (config.tid && hit.tid != config.tid)
		return 0;
	hit.proc = bpf_map_lookup_elem(&procs, &key.tgid);
	if (!hit.proc || hit.proc->state != KB_PROC_PYTHON ||
	    !kb_same_start(hit.proc->start_time, task->group_leader->start_boottime))
		return 0;
	hit.layout = bpf_map_lookup_elem(&layouts, &hit.proc->layout);
	hit.image = bpf_map_lookup_elem(&chosen_images, &hit.proc->image);
	hit.walk = bpf_map_lookup_elem(&chosen_walks, &zero);
	if (!hit.layout || !hit.image || !hit.walk)
		return 0;
	hit.thread =
		bpf_task_storage_get(&chosen_threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	on_hit(&hit, &key, ctx, now);
	if (hit.thread)
		hit.thread->spent_ns += bpf_ktime_get_ns() - now + chosen_control.trap_ns;
	return 0;
}
