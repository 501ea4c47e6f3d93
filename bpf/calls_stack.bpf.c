// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The shadow stack of a thread: which calls are live, so that it is known who calls whom and
 * what is recursion.
 *
 * Only beginnings of calls are seen for certain, so what lies on top may have ended long ago. That
 * does no harm: each call that begins says, through its frame, which frame called it, and
 * whatever lies above that one has ended. Frames are told apart by their addresses alone. One that
 * is reused belongs to a call of which the beginning was seen, which took the old one off.
 *
 * When the calling frame is not there at all (the first event of a thread, a generator that was
 * entered by a way without a probe), the stack is made anew from the interpreter's own.
 */
#define KB_DEFINE_CALL_MAPS
#include "calls.bpf.h"
#include "python/code.bpf.h"
#include "stack.bpf.h"

#define NEAR_CALLS 16 /* looked at one by one before a search */
#define CHAIN_MAX                                                                                  \
	2048 /* frames in one look at the interpreter's stack: Python's limit is 1,000             \
	      */
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

/* The interpreter's stack of one thread, leaf first. */
struct chain {
	kb_u64 frames[CHAIN_MAX];
	kb_u32 n;
	kb_u32 skip_owner;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct chain);
} call_chain SEC(".maps");

/* Are C functions counted, too? */
static __always_inline int with_c(void)
{
	return (config.want & KB_WANT_C_FUNCTIONS) != 0;
}

/* ---------------------------------------------------------------- frames of the target */

static __always_inline kb_u64 head_field(struct kb_call_thread *t, kb_u64 offset)
{
	KB_OPAQUE(offset);
	return *(kb_u64 *)(t->head + (offset & (KB_FRAME_SPAN - 8)));
}

__noinline int kb_call__read_frame(struct kb_call_thread *t, const struct kb_layout *layout,
				   kb_u64 frame)
{
	kb_u64 size, owner;

	if (!t || !layout)
		return 0;
	size = layout->frame_size;
	KB_OPAQUE(size);
	if (size > KB_FRAME_SPAN || kb_read_user(t->head, size, frame))
		return 0;
	t->frame = frame;
	t->code = head_field(t, layout->frame_code) & ~7ULL;
	t->previous = head_field(t, layout->frame_previous);
	t->instr = head_field(t, layout->frame_instr);
	owner = layout->frame_owner;
	KB_OPAQUE(owner);
	t->owner = layout->frame_owner == KB_NO_OFFSET ? 0 : t->head[owner & (KB_FRAME_SPAN - 1)];
	return 1;
}

__noinline int kb_call__read_code(struct kb_call_thread *t)
{
	kb_u64 hash, size;

	if (!t)
		return 0;
	if (with_c() && t->c.method) {
		t->identity = (t->c.method ^ t->proc ^ IDENTITY_C) * HASH_FACTOR;
		return 1;
	}
	size = t->image.identity_bytes;
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
	t->identity = hash;
	return 1;
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

	/* The scratch for code objects is the CPU's: no samples meanwhile. */
	kb_set_walking(1);
	seen = kb_code_seen(proc, layout, t->code);
	kb_set_walking(0);
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
	if (with_c() && t->c.method)
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

static __noinline int has_room(struct kb_call_thread *t)
{
	kb_u64 place = t->n_chunks;
	kb_u32 number;

	if (t->depth < place * KB_CALL_CHUNK_FRAMES)
		return 1;
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

__noinline int kb_call__push(struct kb_call_thread *t, const struct kb_layout *layout, kb_u64 now,
			     kb_u32 counted)
{
	struct kb_call_frame *top;
	struct kb_call_edge *edge;
	kb_u32 number, *level, index;

	if (!t || !layout)
		return 0;
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
	if (!has_room(t)) {
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
	top->instr = with_c() ? t->c.instr : 0;
	return 1;
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
	if (with_c() && now && caller && top->frame & KB_CALL_FRAME_C) {
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

/* ---------------------------------------------------------------- the caller */

__noinline int kb_call__pop_to_frame(struct kb_call_thread *t, kb_u64 frame, kb_u64 now)
{
	struct kb_call_frame *at;
	kb_u32 depth;

	if (!t)
		return 0;
	depth = t->depth;
	for (int i = 0; i < NEAR_CALLS; i++) {
		if (depth <= i)
			return 0;
		at = kb_call__at(t, depth - 1 - i);
		if (at && at->frame == frame) {
			kb_call__pop_to(t, depth - i, now);
			return 1;
		}
	}
	return 0;
}

__noinline kb_u64 kb_call__instr_of(const struct kb_layout *layout, kb_u64 frame)
{
	kb_u64 instr = 0;

	if (!layout || kb_read_user(&instr, layout->lasti_kind == KB_LASTI_POINTER ? 8 : 4,
				    frame + layout->frame_instr))
		return 0;
	return instr;
}

/*
 * Takes off what lies above the frame that called the one at hand: up to the C function that it
 * called, when that called on. False: it is not near.
 */
static __noinline int pop_to_caller(struct kb_call_thread *t, const struct kb_layout *layout,
				    kb_u64 frame, kb_u64 now)
{
	struct kb_call_frame *top;

	if (with_c() && t->by_c && kb_call__pop_to_frame(t, frame | KB_CALL_FRAME_C, now)) {
		top = kb_call__top(t);
		if (top && top->instr == kb_call__instr_of(layout, frame))
			return 1;
	}
	return kb_call__pop_to_frame(t, frame, now);
}

struct chaining {
	struct kb_call_thread *t;
	struct chain *chain;
	const struct kb_layout *layout;
	kb_u64 frame;
	kb_u32 matched; /* frames from the root that are on the shadow stack as well */
	kb_u32 depth;	/* and how much of that they are: C functions lie between */
	kb_u32 failed;
	kb_u32 reserved;
};

/* Does the frame that was read last stand for no function? C code's, and 3.12's between a class and
 * its __init__. */
static __always_inline int is_no_function(struct kb_call_thread *t, const struct kb_layout *layout)
{
	kb_u8 opcode = 0;

	if (layout->skip_owner && t->owner >= layout->skip_owner) {
		t->by_c = 1;
		return 1;
	}
	return t->image.init_check && !kb_read_user(&opcode, 1, t->instr) &&
	       opcode == t->image.init_check;
}

static long chain_step(kb_u64 index, struct chaining *c)
{
	kb_u64 n = c->chain->n;

	if (!c->frame || !kb_call__read_frame(c->t, c->layout, c->frame))
		return 1;
	if (!is_no_function(c->t, c->layout)) {
		KB_OPAQUE(n);
		if (n >= CHAIN_MAX)
			return 1;
		c->chain->frames[n] = c->frame;
		c->chain->n = n + 1;
	}
	c->frame = c->t->previous;
	return 0;
}

static __always_inline kb_u64 from_root(struct chain *chain, kb_u64 index)
{
	kb_u64 at = chain->n - 1 - index;

	KB_OPAQUE(at);
	return at < CHAIN_MAX ? chain->frames[at] : 0;
}

static long match_step(kb_u64 index, struct chaining *c)
{
	struct kb_call_frame *at;

	if (c->matched >= c->chain->n || index >= c->t->depth)
		return 1;
	at = kb_call__at(c->t, index);
	if (with_c() && at && at->frame & KB_CALL_FRAME_C)
		return 0;
	if (!at || at->frame != from_root(c->chain, c->matched))
		return 1;
	c->matched++;
	c->depth = index + 1;
	return 0;
}

static long refill_step(kb_u64 index, struct chaining *c)
{
	kb_u64 place = c->matched + index;

	if (place >= c->chain->n)
		return 1;
	if (!kb_call__read_frame(c->t, c->layout, from_root(c->chain, place)) ||
	    !kb_call__read_code(c->t) || !kb_call__push(c->t, c->layout, 0, 0)) {
		c->failed = 1;
		return 1;
	}
	return 0;
}

/* Makes the shadow stack what the interpreter's is below the frame at hand. */
static __always_inline int resync(struct kb_call_thread *t, const struct kb_layout *layout,
				  kb_u64 now)
{
	struct chaining c = { .t = t, .layout = layout, .frame = t->previous };
	kb_u64 frame = t->frame;
	kb_u32 zero = 0;

	c.chain = bpf_map_lookup_elem(&call_chain, &zero);
	if (!c.chain)
		return 0;
	kb_count(KB_L_CALLS_RESYNCED, 1);
	c.chain->n = 0;
	bpf_loop(4 * CHAIN_MAX, chain_step, &c, 0);
	bpf_loop(2 * CHAIN_MAX, match_step, &c, 0);
	kb_call__pop_to(t, c.depth, now);
	bpf_loop(CHAIN_MAX, refill_step, &c, 0);
	if (!kb_call__read_frame(t, layout, frame))
		return 0;
	return !c.failed;
}

/* If a frame stands for no function: goes to the one behind it. The frame at hand stays the same.
 */
static __noinline int behind(struct kb_call_thread *t, const struct kb_layout *layout,
			     kb_u64 *previous)
{
	kb_u64 frame = t->frame, code = t->code, instr = t->instr;
	int is = 0;

	if (kb_call__read_frame(t, layout, *previous) && is_no_function(t, layout)) {
		*previous = t->previous;
		is = 1;
	}
	t->frame = frame;
	t->code = code;
	t->instr = instr;
	return is;
}

/*
 * The frame between a class and its __init__ lies where that of a call that has ended may have
 * lain, which looks the same on the shadow stack. It has no variables and room for next to nothing
 * (_Py_MakeShimCode), so it is close below its callee; or in another piece of the data stack.
 */
#define SHIM_BYTES_MAX 112
#define PIECE_BYTES    8192 /* half of the smallest: 16 kB, DATA_STACK_CHUNK_SIZE in pystate.c */

static __always_inline int may_be_no_function(struct kb_call_thread *t, kb_u64 previous)
{
	kb_u64 above = t->frame - previous;

	return t->image.init_check && (above <= SHIM_BYTES_MAX || above >= PIECE_BYTES);
}

#define NO_FUNCTIONS_MAX 3 /* in a row: C code's, and a class's */

/* Did C code call the frame that was read last? 3.12 and later have a frame between that says so.
 */
static __always_inline int is_by_c(struct kb_call_thread *t, const struct kb_layout *layout)
{
	kb_u64 entry = layout->frame_is_entry;

	if (layout->skip_owner)
		return 0;
	KB_OPAQUE(entry);
	return layout->frame_is_entry == KB_NO_OFFSET || t->head[entry & (KB_FRAME_SPAN - 1)];
}

__noinline int kb_call__find_caller(struct kb_call_thread *t, const struct kb_layout *layout,
				    kb_u64 now)
{
	struct kb_call_frame *top;
	kb_u64 previous;

	if (!t || !layout)
		return 0;
	previous = t->previous;
	t->by_c = with_c() && is_by_c(t, layout);
	if (previous && may_be_no_function(t, previous))
		behind(t, layout, &previous);
	top = kb_call__top(t);
	if (top && top->frame == previous)
		return 1;
	if (previous && pop_to_caller(t, layout, previous, now))
		return 1;
	/* Frames that stand for no function: the caller is behind them. */
	for (int i = 0; i < NO_FUNCTIONS_MAX && previous; i++) {
		if (!behind(t, layout, &previous))
			break;
		if (previous && pop_to_caller(t, layout, previous, now))
			return 1;
	}
	if (!previous) {
		kb_call__pop_to(t, 0, now);
		return 1;
	}
	t->previous = previous;
	return resync(t, layout, now);
}
