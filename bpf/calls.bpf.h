/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CALLS_BPF_H
#define KB_CALLS_BPF_H

#include "common/process.bpf.h"
#include "python/walk.bpf.h"
#include "shared/calls.h"

/*
 * Of calls.bpf.c (what probes see), calls_c.bpf.c (of C functions), calls_caller.bpf.c (who calls
 * whom) and calls_stack.bpf.c (the shadow stack), which defines the maps.
 */
#ifdef KB_DEFINE_CALL_MAPS
#define KB_CALL_MAP
#else
#define KB_CALL_MAP extern
#endif

KB_CALL_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_IMAGES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_call_image);
} call_images SEC(".maps");

/* The shadow stacks: each thread has what it needs in chunks; index 0 is none. */
KB_CALL_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_CALL_CHUNKS_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_call_chunk);
} call_chunks SEC(".maps");

/* Of threads that have ended. */
KB_CALL_MAP struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, KB_CALL_CHUNKS_MAX);
	__type(value, kb_u32);
} free_call_chunks SEC(".maps");

KB_CALL_MAP struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, KB_CALL_SLOTS_MAX);
	__type(value, kb_u32);
} free_call_slots SEC(".maps");

/* Numbers of functions. */
KB_CALL_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_CALL_FUNCTIONS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, kb_u64); /* as kb_call_thread.identity */
	__type(value, kb_u32);
} call_functions SEC(".maps");

KB_CALL_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_CALL_EDGES_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, kb_u32);
	__type(value, struct kb_call_edge);
} call_edges SEC(".maps");

/* How many calls of a function are live in a thread. */
KB_CALL_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_CALL_LEVELS_MAX);
	__type(key, kb_u32);
	__type(value, kb_u32);
} call_levels SEC(".maps");

/* The interpreter's stack of one thread, leaf first. */
#define KB_CALL_CHAIN_MAX 2048 /* frames in one look at it: Python's limit is 1,000 */
struct kb_call_chain {
	kb_u64 frames[KB_CALL_CHAIN_MAX];
	kb_u64 frame; /* the next one */
	kb_u32 n;
	/* Frames from the root that are on the shadow stack as well, and how much of that they are:
	 * C functions lie between. */
	kb_u32 matched, depth;
	kb_u32 failed;
};

/*
 * What a program needs for a moment and a thread has no room for. A program at a probe stays on its
 * CPU, but a kernel that can be preempted lets other threads run there meanwhile
 * (bpf_prog_run_array_uprobe() in include/linux/bpf.h and uprobe_prog_run() in
 * kernel/trace/bpf_trace.c disable migration only): each takes one that is free.
 */
#define KB_CALL_SCRATCHES 4 /* of a CPU: threads that are preempted just then */
struct kb_call_scratch {
	kb_u32 taken;
	kb_u32 reserved;
	union {
		struct kb_call_chain chain;
		struct kb_walk walk;
	};
};

KB_CALL_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KB_CALL_SCRATCHES);
	__type(key, kb_u32);
	__type(value, struct kb_call_scratch);
} call_scratches SEC(".maps");

extern volatile struct kb_call_control call_control;

struct kb_call_recent {
	kb_u64 key; /* of callee and caller: a hash */
	kb_u32 edge;
	kb_u32 function;
};
#define KB_CALL_RECENT_BITS 8
#define KB_CALL_RECENT	    (1 << KB_CALL_RECENT_BITS)

/* A code object that was read and has not been freed since. */
struct kb_call_known {
	kb_u64 code, identity;
	kb_u32 proc, epoch, n_freed; /* of when it was read */
	kb_u32 reserved;
};
#define KB_CALL_KNOWN_BITS 8
#define KB_CALL_KNOWN	   (1 << KB_CALL_KNOWN_BITS)

/* Only when C functions are counted: calls_c.bpf.c. */
struct kb_call_c {
	kb_u64 method;	 /* PyMethodDef of the function at hand; 0: that is Python's */
	kb_u64 callable; /* its object */
	kb_u64 instr;	 /* where its caller stands */
	/* The same of the call that was seen last, before it is counted. */
	kb_u64 seen, seen_at;
	/* The last call, and the point that it has passed last. */
	kb_u64 last_frame, last_instr, last_callable;
	kb_u32 last_variant;
	kb_u32 last_out; /* the counter of its instruction had run out */
};

/*
 * A thread whose calls are counted. Only its own programs touch it: what a program reads of the
 * thread's memory lies here, too, where no other thread's program comes in between.
 */
struct kb_call_thread {
	kb_u64 tstate; /* 3.11+ */
	/* The last entry: the same one may be met twice, on its way through two opcodes. */
	kb_u64 last_frame, last_instr;
	kb_u32 last_variant;
	kb_u32 slot;	     /* of KB_CALL_SLOTS_MAX, 0: none */
	kb_u32 proc, layout; /* its process's; proc 0: none yet */
	kb_u32 epoch;
	kb_u32 depth; /* live calls on the shadow stack */
	kb_u32 n_chunks;
	kb_u64 waited; /* ns off the CPU in all, when only time on it counts */
	kb_u64 left;   /* since when, 0: it runs */
	/* The frame at hand. */
	kb_u64 frame, code, previous, instr, owner;
	kb_u64 identity; /* of its code object: a hash */
	kb_u32 failure;	 /* the ledger's reason why a call is not counted */
	kb_u32 by_c;	 /* C code called it */
	kb_u32 checks;
	kb_u32 shim_freed; /* call_control.n_freed of when that was found: */
	kb_u64 shim;	   /* the instruction at which frames stand that are a class's */
	struct kb_call_c c;
	struct kb_call_image image;
	/* The edges taken last, each in one place: most calls are by an edge that was there before.
	 */
	struct kb_call_recent recent[KB_CALL_RECENT];
	struct kb_call_known known[KB_CALL_KNOWN]; /* likewise */
	kb_u8 head[KB_FRAME_SPAN];
	kb_u8 object[KB_IDENTITY_MAX];
	kb_u32 chunks[KB_CALL_THREAD_CHUNKS];
};

/* The argument of the instruction at a probe that has not changed where the loop has it. */
static __always_inline int kb_call__oparg(struct kb_call_thread *t, kb_u32 *oparg)
{
	kb_u64 value;

	if (!t->image.oparg_base)
		return 0;
	value = KB_REGISTER(kb_user_registers(), t->image.oparg_base - 1);
	*oparg = value;
	return !t->image.oparg_memory ||
	       !kb_read_user(oparg, sizeof(*oparg), value + (kb_s64)t->image.oparg_at);
}

/* A live call by its place from the root. NULL: the thread has no memory for that. */
static __always_inline struct kb_call_frame *kb_call__at(struct kb_call_thread *t, kb_u64 index)
{
	kb_u64 place = index / KB_CALL_CHUNK_FRAMES, within = index % KB_CALL_CHUNK_FRAMES;
	struct kb_call_chunk *chunk;
	kb_u32 number;

	KB_OPAQUE(place);
	if (place >= KB_CALL_THREAD_CHUNKS)
		return NULL;
	number = t->chunks[place];
	chunk = bpf_map_lookup_elem(&call_chunks, &number);
	KB_OPAQUE(within);
	return chunk ? &chunk->frames[within & (KB_CALL_CHUNK_FRAMES - 1)] : NULL;
}

static __always_inline struct kb_call_frame *kb_call__top(struct kb_call_thread *t)
{
	return t->depth ? kb_call__at(t, t->depth - 1) : NULL;
}

/* Are C functions counted, too? */
static __always_inline int kb_call__with_c(void)
{
	return (config.want & KB_WANT_C_FUNCTIONS) != 0;
}

static __always_inline kb_u64 kb_call__head_field(struct kb_call_thread *t, kb_u64 offset)
{
	KB_OPAQUE(offset);
	return *(kb_u64 *)(t->head + (offset & (KB_FRAME_SPAN - 8)));
}

/* Reads a frame of the interpreter's into "the frame at hand". False: unreadable. */
static __always_inline int kb_call__take_frame(struct kb_call_thread *t,
					       const struct kb_layout *layout, kb_u64 frame)
{
	kb_u64 size, owner;

	size = layout->frame_size;
	KB_OPAQUE(size);
	if (size > KB_FRAME_SPAN || kb_read_user(t->head, size, frame))
		return 0;
	t->frame = frame;
	t->code = kb_call__head_field(t, layout->frame_code) & ~7ULL;
	t->previous = kb_call__head_field(t, layout->frame_previous);
	t->instr = kb_call__head_field(t, layout->frame_instr);
	owner = layout->frame_owner;
	KB_OPAQUE(owner);
	t->owner = layout->frame_owner == KB_NO_OFFSET ? 0 : t->head[owner & (KB_FRAME_SPAN - 1)];
	return 1;
}

/*
 * The frame between a class and its __init__ lies where that of a call that has ended may have
 * lain, which looks the same on the shadow stack. It has no variables and room for next to nothing
 * (_Py_MakeShimCode), so it is close below its callee; or in another piece of the data stack.
 */
#define KB_SHIM_BYTES_MAX 112
#define KB_PIECE_BYTES	  8192 /* half of the smallest: 16 kB, DATA_STACK_CHUNK_SIZE in pystate.c */

static __always_inline int kb_call__may_be_no_function(struct kb_call_thread *t)
{
	kb_u64 above = t->frame - t->previous;

	return t->image.init_check && (above <= KB_SHIM_BYTES_MAX || above >= KB_PIECE_BYTES);
}

#define KB_OWNER_GENERATOR 1 /* FRAME_OWNED_BY_GENERATOR, 3.11 to 3.15 */

/* Where the caller of the frame at hand is on the shadow stack. */
enum kb_call_caller {
	KB_CALLER_UNKNOWN = 0,
	KB_CALLER_ON_TOP = 1,
	KB_CALLER_BELOW_TOP = 2, /* whose call has ended: seen only now */
};

/* top: that of the stack. */
static __always_inline enum kb_call_caller
kb_call__near_top(struct kb_call_thread *t, struct kb_call_frame *top, kb_u64 caller)
{
	struct kb_call_frame *below;

	if (top->frame == caller)
		return KB_CALLER_ON_TOP;
	below = !kb_call__with_c() && t->depth > 1 ? kb_call__at(t, t->depth - 2) : NULL;
	return below && below->frame == caller ? KB_CALLER_BELOW_TOP : KB_CALLER_UNKNOWN;
}

/* Without a look at the caller itself, where it can be no class's. No class calls a generator's
 * frame, nor is it one. */
static __always_inline enum kb_call_caller kb_call__known_caller(struct kb_call_thread *t)
{
	struct kb_call_frame *top = kb_call__top(t);

	if (!top || kb_call__with_c())
		return KB_CALLER_UNKNOWN;
	if (top->frame == t->previous && top->owner == KB_OWNER_GENERATOR)
		return KB_CALLER_ON_TOP;
	if (t->owner != KB_OWNER_GENERATOR && kb_call__may_be_no_function(t))
		return KB_CALLER_UNKNOWN;
	return kb_call__near_top(t, top, t->previous);
}

/* NULL: none is free, which is the thread's failure then. */
static __always_inline struct kb_call_scratch *kb_call__take_scratch(struct kb_call_thread *t)
{
	struct kb_call_scratch *scratch;

#pragma unroll
	for (kb_u32 i = 0; i < KB_CALL_SCRATCHES; i++) {
		kb_u32 key = i;

		scratch = bpf_map_lookup_elem(&call_scratches, &key);
		if (scratch && !__sync_lock_test_and_set(&scratch->taken, 1))
			return scratch;
	}
	t->failure = KB_L_CALLS_BUSY;
	return NULL;
}

static __always_inline void kb_call__end_scratch(struct kb_call_scratch *scratch)
{
	*(volatile kb_u32 *)&scratch->taken = 0;
}

/* A number for one more function. */
static __always_inline kb_u32 kb_call__next_function(void)
{
	return __sync_fetch_and_add(&call_control.n_functions, 1) + 1;
}

/* Takes calls off until `depth` are left. now: 0 where calls are not clocked. */
int kb_call__pop_to(struct kb_call_thread *t, kb_u32 depth, kb_u64 now);

/* Takes off what lies above a frame that is near the top. 0: it is not there. */
int kb_call__pop_to_frame(struct kb_call_thread *t, kb_u64 frame, kb_u64 now);

/* Gives the memory of an empty stack back. */
int kb_call__free(struct kb_call_thread *t);

/* kb_call__take_frame(), not inlined. */
int kb_call__read_frame(struct kb_call_thread *t, const struct kb_layout *layout, kb_u64 frame);
/* And what tells its code object from others. */
int kb_call__read_code(struct kb_call_thread *t);

/* Where the frame is that called the one at hand, which may be behind one that stands for no
 * function, if it is near; t->previous is that frame then. */
enum kb_call_caller kb_call__near_caller(struct kb_call_thread *t, const struct kb_layout *layout);
/* After that, where it is not: makes it the top of the shadow stack. KB_CALLER_UNKNOWN where that
 * is not possible, which has been counted. */
enum kb_call_caller kb_call__far_caller(struct kb_call_thread *t, const struct kb_layout *layout,
					kb_u64 now);

/* Both; with C functions it is never KB_CALLER_BELOW_TOP. */
static __always_inline enum kb_call_caller
kb_call__find_caller(struct kb_call_thread *t, const struct kb_layout *layout, kb_u64 now)
{
	enum kb_call_caller found = kb_call__near_caller(t, layout);

	return found ? found : kb_call__far_caller(t, layout, now);
}

/* Puts the frame at hand on top. counted: its call begins now. Not clocked. Returns 0 when there is
 * no room, t->failure says why. */
int kb_call__push(struct kb_call_thread *t, const struct kb_layout *layout, kb_u32 counted);
/* The same for Python's call that begins now, clocked: counts it, or why not. ended: the call on
 * top has ended. */
int kb_call__begin(struct kb_call_thread *t, const struct kb_layout *layout, kb_u64 now,
		   kb_u32 ended);

/* Where a frame stands; 0: unreadable. */
kb_u64 kb_call__instr_of(const struct kb_layout *layout, kb_u64 frame);

/* A frame calls something: is it a C function, in a call that has not been counted? */
int kb_call__see_c(struct kb_call_thread *t, const struct kb_layout *layout, kb_u64 frame,
		   kb_u64 cookie, kb_u64 now);
/* Counts the call that was seen last, by a frame that is the top of the shadow stack. */
int kb_call__count_c(struct kb_call_thread *t, const struct kb_layout *layout, kb_u64 frame);

#endif
