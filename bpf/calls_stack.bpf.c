// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The shadow stack of a thread: which calls are live, so that it is known who calls whom and
 * what is recursion.
 *
 * Only beginnings of calls are seen for certain, so what lies on top may have ended long ago. That
 * does no harm: each call that begins says, through its frame, which frame called it, and
 * whatever lies above that one has ended. Frames are told apart by their addresses alone. One that
 * is reused belongs to a call of which the beginning was seen, which took the old one off.
 */
#define KB_DEFINE_CALL_MAPS
#include "calls.bpf.h"
#include "python/code.bpf.h"
#include "stack.bpf.h"

#define HASH_FACTOR 0x9E3779B97F4A7C15ULL
#define IDENTITY_C  (1ULL << 63) /* no code object is there */

volatile struct kb_call_control call_control = {};

struct edge_key {
	kb_u64 callee; /* hash of its identity and process */
	kb_u32 slot;
	kb_u32 caller; /* number of the function */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_CALL_EDGES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct edge_key);
	__type(value, kb_u32);
} call_edge_numbers SEC(".maps");

struct level_key {
	kb_u32 slot;
	kb_u32 function;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_CALL_LEVELS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct level_key);
	__type(value, kb_u32);
} call_level_numbers SEC(".maps");

/* ---------------------------------------------------------------- frames of the target */

__noinline int kb_call__read_frame(struct kb_call_thread *t, const struct kb_layout *layout,
				   kb_u64 frame)
{
	return t && layout && kb_call__take_frame(t, layout, frame);
}

/* What tells the code object at hand from others, from the object itself. */
static __always_inline kb_u64 read_identity(struct kb_call_thread *t)
{
	kb_u64 hash, size = t->image.identity_bytes;

	KB_OPAQUE(size);
	if (!size || size > KB_IDENTITY_MAX ||
	    kb_read_user(t->object, size, t->code + t->image.identity))
		return 0;
	hash = (t->code ^ t->proc) * HASH_FACTOR;
#pragma unroll
	for (int i = 0; i < KB_IDENTITY_MAX / 8; i++) {
		if (i * 8 < size) {
			hash = (hash ^ ((kb_u64 *)t->object)[i]) * HASH_FACTOR;
			hash ^= hash >> 29;
		}
	}
	return hash ? hash : 1;
}

/*
 * A read of the program's memory takes as long as all the rest of this. So where it is seen when
 * code objects are freed, an address stands for the same one until any is.
 */
static __always_inline int read_code(struct kb_call_thread *t)
{
	struct kb_call_known *known;
	kb_u32 n_freed, epoch;
	kb_u64 place;

	if (kb_call__with_c() && t->c.method) {
		t->identity = (t->c.method ^ t->proc ^ IDENTITY_C) * HASH_FACTOR;
		return 1;
	}
	n_freed = call_control.n_freed;
	epoch = call_control.epoch;
	place = t->code * HASH_FACTOR >> (64 - KB_CALL_KNOWN_BITS);
	KB_OPAQUE(place);
	known = &t->known[place & (KB_CALL_KNOWN - 1)];
	if (known->code == t->code && known->n_freed == n_freed && known->epoch == epoch &&
	    known->proc == t->proc && t->image.sees_freed) {
		t->identity = known->identity;
		return 1;
	}
	t->identity = read_identity(t);
	known->code = t->identity ? t->code : 0;
	known->identity = t->identity;
	known->proc = t->proc;
	known->epoch = epoch;
	known->n_freed = n_freed;
	return t->identity != 0;
}

__noinline int kb_call__read_code(struct kb_call_thread *t)
{
	return t && read_code(t);
}

/* ---------------------------------------------------------------- functions and edges */

/* Says why, in terms of the ledger. */
static __always_inline kb_u32 no_room(struct kb_call_thread *t, kb_u32 reason)
{
	t->failure = reason;
	if (reason == KB_L_CALLS_FULL)
		kb_request_drain();
	return 0;
}

/* Sends what names the Python function at hand, once. Returns its number, 0: no room. */
static __always_inline kb_u32 send_python(struct kb_call_thread *t, struct kb_proc *proc,
					  const struct kb_layout *layout)
{
	struct kb_data_call_function *record;
	kb_u32 number;
	int seen;

	/* The scratch for code objects is the CPU's: no samples meanwhile, nor other threads. */
	if (!kb_take_walking())
		return no_room(t, KB_L_CALLS_BUSY);
	seen = kb_code_seen(proc, layout, t->code);
	kb_end_walking();
	if (seen == KB_CODE_NOT_CODE)
		return no_room(t, KB_L_CALLS_UNREADABLE);
	record = seen == KB_CODE_OK ? bpf_ringbuf_reserve(&data, sizeof(*record), 0) : NULL;
	if (!record)
		return no_room(t, KB_L_CALLS_FULL);
	number = kb_call__next_function();
	record->kind = KB_DATA_CALL_FUNCTION;
	record->proc = proc->id;
	record->function = number;
	record->is_c = 0;
	record->address = t->code;
	record->name[0] = record->owner[0] = 0;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return number;
}

static __always_inline kb_u32 make_function(struct kb_call_thread *t, struct kb_proc *proc,
					    const struct kb_layout *layout)
{
	kb_u64 key = t->identity;
	kb_u32 number;

	/* A C function's was sent when it was seen. */
	if (kb_call__with_c() && t->c.method)
		return no_room(t, KB_L_CALLS_UNREADABLE);
	number = send_python(t, proc, layout);
	if (number && bpf_map_update_elem(&call_functions, &key, &number, BPF_ANY))
		return no_room(t, KB_L_CALLS_FULL);
	return number;
}

/* The place where calls of the function in this thread are counted that are live. 0: no room. */
static __always_inline kb_u32 level_of(kb_u32 slot, kb_u32 function)
{
	struct level_key key = { .slot = slot, .function = function };
	kb_u32 *known = bpf_map_lookup_elem(&call_level_numbers, &key), number;

	if (known)
		return *known;
	number = __sync_fetch_and_add(&call_control.n_levels, 1) + 1;
	if (number >= KB_CALL_LEVELS_MAX ||
	    bpf_map_update_elem(&call_level_numbers, &key, &number, BPF_ANY))
		return 0;
	return number;
}

static __noinline kb_u32 make_edge(struct kb_call_thread *t, const struct kb_layout *layout,
				   kb_u32 caller)
{
	kb_u32 *known, function, level, number, tgid = bpf_get_current_pid_tgid() >> 32;
	struct kb_proc *proc = bpf_map_lookup_elem(&procs, &tgid);
	struct edge_key key = { .slot = t->slot, .caller = caller };
	struct kb_call_edge *edge;

	if (!proc)
		return no_room(t, KB_L_CALLS_UNREADABLE);
	/* User space has looked at the process as well, and its word counts. */
	if (proc->id != t->proc) {
		t->proc = proc->id;
		if (!kb_call__read_code(t))
			return no_room(t, KB_L_CALLS_UNREADABLE);
	}
	key.callee = t->identity;
	known = bpf_map_lookup_elem(&call_functions, &key.callee);
	function = known ? *known : make_function(t, proc, layout);
	if (!function)
		return 0;
	level = level_of(t->slot, function);
	number = __sync_fetch_and_add(&call_control.n_edges, 1) + 1;
	edge = bpf_map_lookup_elem(&call_edges, &number);
	if (!level || !edge || bpf_map_update_elem(&call_edge_numbers, &key, &number, BPF_ANY))
		return no_room(t, KB_L_CALLS_FULL);
	edge->caller = caller;
	edge->level = level;
	edge->function = function;
	return number;
}

/* The edge from the call on top to the function at hand. 0: no room, t->failure says why. */
static __always_inline kb_u32 edge_to(struct kb_call_thread *t, const struct kb_layout *layout)
{
	struct edge_key key = { .callee = t->identity, .slot = t->slot };
	struct kb_call_frame *top = kb_call__top(t);
	struct kb_call_recent *recent;
	kb_u64 both, place;
	kb_u32 *known, edge;

	if (top)
		key.caller = top->function;
	both = (key.callee ^ key.caller) * HASH_FACTOR;
	place = both >> (64 - KB_CALL_RECENT_BITS);
	KB_OPAQUE(place);
	recent = &t->recent[place & (KB_CALL_RECENT - 1)];
	if (recent->key == both && recent->edge)
		return recent->edge;
	known = bpf_map_lookup_elem(&call_edge_numbers, &key);
	edge = known ? *known : make_edge(t, layout, key.caller);
	recent->key = both;
	recent->edge = edge;
	return edge;
}

/* ---------------------------------------------------------------- up and down */

/* A chunk for the top of the stack; 0: none left. */
static __always_inline kb_u32 take_chunk(void)
{
	kb_u32 number = 0;

	if (!bpf_map_pop_elem(&free_call_chunks, &number))
		return number;
	number = __sync_fetch_and_add(&call_control.n_chunks, 1) + 1;
	return number < KB_CALL_CHUNKS_MAX ? number : 0;
}

static __noinline int make_room(struct kb_call_thread *t)
{
	kb_u64 place = t->n_chunks;
	kb_u32 number;

	KB_OPAQUE(place);
	if (place >= KB_CALL_THREAD_CHUNKS)
		return 0;
	number = take_chunk();
	if (!number)
		return 0;
	t->chunks[place] = number;
	t->n_chunks++;
	return 1;
}

static __always_inline int push(struct kb_call_thread *t, const struct kb_layout *layout,
				kb_u64 now, kb_u32 counted)
{
	struct kb_call_frame *top;
	struct kb_call_edge *edge;
	kb_u32 number, *level, index;

	number = edge_to(t, layout);
	edge = bpf_map_lookup_elem(&call_edges, &number);
	if (!number || !edge)
		return 0;
	index = edge->level;
	level = bpf_map_lookup_elem(&call_levels, &index);
	if (!level)
		return 0;
	if (counted) {
		edge->calls++;
		edge->recursive += *level != 0;
		edge->edge_recursive += edge->live != 0;
	}
	if (t->depth >= t->n_chunks * KB_CALL_CHUNK_FRAMES && !make_room(t)) {
		kb_count(KB_L_CALLS_TOO_DEEP, 1);
		return 1;
	}
	t->depth++;
	top = kb_call__top(t);
	if (!top) {
		t->depth--;
		return 1;
	}
	++*level;
	edge->live++;
	top->frame = t->frame;
	top->edge = number;
	top->function = edge->function;
	top->start = now;
	top->children = 0;
	top->overhead = 0;
	top->instr = kb_call__with_c() ? t->c.instr : 0;
	top->owner = t->owner;
	return 1;
}

__noinline int kb_call__push(struct kb_call_thread *t, const struct kb_layout *layout,
			     kb_u32 counted)
{
	return t && layout && push(t, layout, 0, counted);
}

/* Ends the call on top. */
static __always_inline void pop(struct kb_call_thread *t, kb_u64 now)
{
	struct kb_call_frame *top = kb_call__top(t), *caller;
	kb_u64 total = 0, spent;
	struct kb_call_edge *edge;
	kb_u32 *level, index;

	t->depth--;
	if (!top)
		return;
	index = top->edge;
	edge = bpf_map_lookup_elem(&call_edges, &index);
	if (!edge)
		return;
	if (edge->live)
		edge->live--;
	index = edge->level;
	level = bpf_map_lookup_elem(&call_levels, &index);
	if (level && *level)
		--*level;
	caller = kb_call__top(t);
	/* What a C function called is its caller's to subtract: it is not clocked itself. */
	if (kb_call__with_c() && now && caller && top->frame & KB_CALL_FRAME_C) {
		caller->children += top->children;
		caller->overhead += top->overhead;
	}
	if (!now || !top->start)
		return;
	spent = top->overhead;
	if (now - top->start > spent)
		total = now - top->start - spent;
	if (total > top->children)
		edge->own_ns += total - top->children;
	if (level && !*level)
		edge->total_ns += total;
	if (!edge->live)
		edge->edge_total_ns += total;
	if (caller) {
		caller->children += total;
		caller->overhead += spent;
	}
}

__noinline int kb_call__begin(struct kb_call_thread *t, const struct kb_layout *layout, kb_u64 now,
			      kb_u32 ended)
{
	if (!t || !layout)
		return 0;
	if (ended)
		pop(t, now);
	kb_count(KB_L_CALLS_SEEN, 1);
	if (!read_code(t) || !push(t, layout, now, 1))
		kb_count(t->failure, 1);
	return 0;
}

struct popping {
	struct kb_call_thread *t;
	kb_u64 now;
	kb_u32 depth;
	kb_u32 reserved;
};

static long pop_step(kb_u64 index, struct popping *popping)
{
	if (popping->t->depth <= popping->depth)
		return 1;
	pop(popping->t, popping->now);
	return 0;
}

__noinline int kb_call__pop_to(struct kb_call_thread *t, kb_u32 depth, kb_u64 now)
{
	struct popping popping = { .t = t, .now = now, .depth = depth };

	if (!t || t->depth <= depth)
		return 0;
	/* Nearly always it is one. */
	pop(t, now);
	if (t->depth > depth)
		bpf_loop(KB_CALL_THREAD_CHUNKS * KB_CALL_CHUNK_FRAMES, pop_step, &popping, 0);
	return 0;
}

static long free_step(kb_u64 index, struct kb_call_thread **thread)
{
	struct kb_call_thread *t = *thread;
	kb_u32 number;

	KB_OPAQUE(index);
	if (index >= KB_CALL_THREAD_CHUNKS || index >= t->n_chunks)
		return 1;
	number = t->chunks[index];
	bpf_map_push_elem(&free_call_chunks, &number, BPF_ANY);
	t->chunks[index] = 0;
	return 0;
}

__noinline int kb_call__free(struct kb_call_thread *t)
{
	if (!t)
		return 0;
	bpf_loop(KB_CALL_THREAD_CHUNKS, free_step, &t, 0);
	t->n_chunks = 0;
	return 0;
}
