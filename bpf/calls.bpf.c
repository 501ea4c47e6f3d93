// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Counts every call, at uprobes in the interpreter's eval loop (user/symbols/eval_probes.h has
 * where these are, docs/ARCHITECTURE.md why there).
 *
 *   probe → thread → its current frame → who called that → one more for caller and callee
 *
 * A probe costs about half a microsecond before any of this begins, so this has to be
 * short: one read of the thread's memory, which takes some 70 ns, in the common case. What a
 * thread needs is in its task storage, what is counted belongs to one thread at a time, so nothing
 * is locked.
 *
 * Beginnings of calls are enough to count them. When calls are clocked (--time measured) their ends
 * are probed, too, and what the probes themselves take is kept for each call and not counted
 * as its time.
 */
#include "calls.bpf.h"
#include "stack.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct kb_call_thread);
} call_threads SEC(".maps");

#define CHECK_EVERY 64 /* how often it is found out which thread state a thread is in */

static __always_inline int clocked(void)
{
	return (config.want & KB_WANT_CALL_TIMES) != 0;
}

/* The clock of a thread: time, or its time on a CPU. */
static __always_inline kb_u64 clock_of(struct kb_call_thread *t)
{
	if (!clocked())
		return 0;
	return bpf_ktime_get_ns() - (config.want & KB_WANT_CALL_CPU ? t->waited : 0);
}

/* ---------------------------------------------------------------- threads */

static __noinline int take_slot(struct kb_call_thread *t)
{
	kb_u32 slot = 0;

	if (bpf_map_pop_elem(&free_call_slots, &slot))
		slot = __sync_fetch_and_add(&call_control.n_slots, 1) + 1;
	if (slot >= KB_CALL_SLOTS_MAX) {
		kb_count(KB_L_CALLS_FULL, 1);
		return 0;
	}
	t->slot = slot;
	return 1;
}

/* Which thread state the thread runs in: it may move to another one with sub-interpreters. */
static __noinline int find_tstate(struct kb_call_thread *t, const struct kb_layout *layout)
{
	kb_u32 tid = bpf_get_current_pid_tgid(), tgid = bpf_get_current_pid_tgid() >> 32;
	struct kb_proc *proc = bpf_map_lookup_elem(&procs, &tgid);
	struct kb_call_scratch *scratch;
	kb_u64 tstate;

	if (!t || !proc || !layout)
		return 0;
	scratch = kb_call__take_scratch(t);
	if (!scratch)
		return t->tstate != 0;
	kb_find_thread(&scratch->walk, proc, layout, KB_THREAD_POINTER(bpf_get_current_task_btf()),
		       tid);
	tstate = scratch->walk.tstate_at;
	kb_call__end_scratch(scratch);
	t->tstate = tstate;
	return tstate != 0;
}

/* A process that is not ready to be counted; what is a target is asked about. */
static __noinline int not_ready(kb_u32 tgid)
{
	kb_count(KB_L_CALLS_SEEN, 1);
	kb_count(KB_L_CALLS_NOT_IDENTIFIED, 1);
	kb_ask(tgid);
	return 0;
}

/* The types of C functions, where they are in this process. */
static __always_inline void rebase(struct kb_call_image *image, kb_u64 bias)
{
	image->function_type = kb_proc__rebase(image->function_type, bias);
	image->method_type = kb_proc__rebase(image->method_type, bias);
	image->descr_type = kb_proc__rebase(image->descr_type, bias);
	image->bound_type = kb_proc__rebase(image->bound_type, bias);
	image->type_type = kb_proc__rebase(image->type_type, bias);
}

/* The first event of a thread, or of its process, or in this window. NULL: it is none of ours. */
static __always_inline struct kb_call_thread *begin(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	kb_u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct kb_call_image *image;
	struct kb_call_thread *t;
	struct kb_proc *proc;

	if (!kb_filter_passes(tgid))
		return NULL;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (!proc || proc->state != KB_PROC_PYTHON ||
	    !kb_same_start(proc->start_time, task->group_leader->start_boottime)) {
		not_ready(tgid);
		return NULL;
	}
	t = bpf_task_storage_get(&call_threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	image = bpf_map_lookup_elem(&call_images, &proc->image);
	if (!t || !image || (!t->slot && !take_slot(t))) {
		kb_count(KB_L_CALLS_SEEN, 1);
		kb_count(KB_L_CALLS_FULL, 1);
		return NULL;
	}
	kb_call__pop_to(t, 0, 0);
	t->last_frame = 0;
	t->c.last_frame = 0;
	t->proc = proc->id;
	t->layout = proc->layout;
	t->image = *image;
	if (kb_call__with_c())
		rebase(&t->image, proc->code_type - image->code_type);
	t->tstate = 0;
	t->shim = 0;
	t->epoch = call_control.epoch;
	kb_send_thread(proc, bpf_get_current_pid_tgid());
	return t;
}

/* The current frame, 0: not readable. */
static __noinline kb_u64 current_frame(struct kb_call_thread *t, const struct kb_layout *layout)
{
	kb_u64 frame = 0;

	if (!t || !layout ||
	    ((!t->tstate || !(t->checks++ % CHECK_EVERY)) && !find_tstate(t, layout)))
		return 0;
	if (kb_read_user(&frame, 8, t->tstate + layout->tstate_frame))
		return 0;
	if (layout->cframe_current_frame != KB_NO_OFFSET) {
		kb_u64 cframe = frame;

		frame = 0;
		kb_read_user(&frame, 8, cframe + layout->cframe_current_frame);
	}
	return frame;
}

/* ---------------------------------------------------------------- what happens */

/* 3.15: RESUME at the start of a generator expression, which is entered by another one. */
static __always_inline int is_skipped(struct kb_call_thread *t)
{
	kb_u32 oparg;

	return t->image.skip_resume && kb_call__oparg(t, &oparg) &&
	       (oparg & 7) == t->image.skip_resume;
}

/* A specialized opcode that gives up goes on in the general one, variant 0. */
static __always_inline int is_repeated(struct kb_call_thread *t, kb_u32 variant)
{
	if (variant || !t->last_variant || t->frame != t->last_frame || t->instr != t->last_instr)
		return 0;
	kb_count(KB_L_CALLS_REPEATED, 1);
	t->last_variant = variant;
	return 1;
}

/* It had nothing that could be read, unless another reason was found. */
static __noinline int not_counted(struct kb_call_thread *t)
{
	if (!t)
		return 0;
	kb_count(KB_L_CALLS_SEEN, 1);
	kb_count(t->failure, 1);
	return 0;
}

/* The frame at hand begins to run. */
static __always_inline int count(struct kb_call_thread *t, const struct kb_layout *layout,
				 kb_u64 now)
{
	enum kb_call_caller caller = kb_call__known_caller(t);

	if (!caller)
		caller = kb_call__find_caller(t, layout, now);
	if (!caller)
		return not_counted(t);
	return kb_call__begin(t, layout, now, caller == KB_CALLER_BELOW_TOP);
}

/* Does a frame begin to run, or run on? It is the one at hand then. */
static __always_inline int enters(struct kb_call_thread *t, const struct kb_layout *layout,
				  kb_u64 frame, kb_u64 cookie)
{
	kb_u32 variant = KB_POINT_VARIANT(cookie);

	if (!frame || !kb_call__take_frame(t, layout, frame))
		return not_counted(t);
	if (is_skipped(t) || is_repeated(t, variant))
		return 0;
	t->last_frame = frame;
	t->last_instr = t->instr;
	t->last_variant = variant;
	t->c.last_frame = 0;
	return 1;
}

/* An exception passes through the current frame: was it thrown into it? */
static __noinline int is_thrown(struct kb_call_thread *t, const struct kb_layout *layout)
{
	kb_u64 frame = current_frame(t, layout), word;
	kb_u8 opcode = 0;

	if (!frame || !kb_call__read_frame(t, layout, frame) || t->owner != KB_OWNER_GENERATOR ||
	    kb_read_user(&opcode, 1, t->instr))
		return 0;
	word = opcode / 64;
	KB_OPAQUE(word);
	if (!(t->image.thrown[word & (KB_OPCODE_SET_WORDS - 1)] >> (opcode % 64) & 1))
		return 0;
	/* (A signal's handler that raises before the first instruction looks the same.) */
	t->last_frame = 0;
	kb_count(KB_L_CALLS_THROWN, 1);
	return 1;
}

/* A call ends that is not the last one to have begun, and with it what lies above it. */
static __noinline int leave_below(struct kb_call_thread *t, kb_u64 frame, kb_u64 now)
{
	struct kb_call_frame *at;
	kb_u32 depth = t->depth;

	for (int i = 1; i < 16; i++) {
		if (depth <= i)
			break;
		at = kb_call__at(t, depth - 1 - i);
		if (at && at->frame == frame) {
			kb_call__pop_to(t, depth - 1 - i, now);
			break;
		}
	}
	return 0;
}

/* The call of a frame ends, which is mostly the last one to have begun. */
static __always_inline void leave(struct kb_call_thread *t, kb_u64 frame, kb_u64 now)
{
	struct kb_call_frame *top = kb_call__top(t);

	if (top && top->frame == frame)
		kb_call__pop_to(t, t->depth - 1, now);
	else if (top)
		leave_below(t, frame, now);
}

/* The call that began last ends; what is above it may be a C function that it has called. */
static __always_inline void leave_top(struct kb_call_thread *t, kb_u64 now)
{
	struct kb_call_frame *top = kb_call__top(t);

	if (top && kb_call__with_c() && top->frame & KB_CALL_FRAME_C)
		kb_call__pop_to(t, t->depth - 1, now);
	if (t->depth)
		kb_call__pop_to(t, t->depth - 1, now);
}

/* The frame at a point: in a register if it is known to be, else where the thread state says. */
static __always_inline kb_u64 frame_at(struct kb_call_thread *t, const struct kb_layout *layout,
				       struct pt_regs *ctx, kb_u64 cookie)
{
	kb_u32 place = KB_POINT_REGISTER(cookie);

	if (place)
		return KB_SAVED_REGISTER(ctx, place - 1);
	return current_frame(t, layout);
}

/* A frame calls what may be a C function. */
static __always_inline void called(struct kb_call_thread *t, const struct kb_layout *layout,
				   kb_u64 frame, kb_u64 cookie, kb_u64 now)
{
	struct kb_call_frame *top;

	if (!kb_call__see_c(t, layout, frame, cookie, now))
		return;
	top = kb_call__top(t);
	if ((!top || top->frame != frame) && !kb_call__pop_to_frame(t, frame, now) &&
	    !(kb_call__read_frame(t, layout, frame) && kb_call__find_caller(t, layout, now) &&
	      kb_call__read_code(t) && kb_call__push(t, layout, 0)))
		not_counted(t);
	else
		kb_call__count_c(t, layout, frame);
}

static __always_inline void on_point(struct kb_call_thread *t, const struct kb_layout *layout,
				     struct pt_regs *ctx, kb_u64 cookie, kb_u64 now)
{
	kb_u64 first = KB_FIRST_ARGUMENT(ctx), second = KB_SECOND_ARGUMENT(ctx), frame;
	kb_u32 point = KB_POINT_OF(cookie);

	switch (point) {
	case KB_POINT_ENTER_1:
	case KB_POINT_LEAVE_1:
		frame = first;
		break;
	case KB_POINT_ENTER_2:
	case KB_POINT_LEAVE_2:
		frame = second;
		break;
	case KB_POINT_RAISE:
		frame = 0;
		break;
	case KB_POINT_LEAVE_TOP:
		leave_top(t, now);
		return;
	case KB_POINT_C:
		if (kb_call__with_c())
			called(t, layout, frame_at(t, layout, ctx, cookie), cookie, now);
		return;
	default:
		frame = frame_at(t, layout, ctx, cookie);
	}
	if (point > KB_POINT_ENTER_2 && point != KB_POINT_RAISE)
		leave(t, frame, now);
	else if (point == KB_POINT_RAISE ? is_thrown(t, layout) : enters(t, layout, frame, cookie))
		count(t, layout, now);
}

SEC("uprobe")
int on_call(struct pt_regs *ctx)
{
	kb_u64 cookie = bpf_get_attach_cookie(ctx), now;
	struct kb_call_frame *top;
	struct kb_call_thread *t;
	struct kb_layout *layout;

	if (KB_POINT_OF(cookie) == KB_POINT_CODE_FREED) {
		__sync_fetch_and_add(&call_control.n_freed, 1);
		return 0;
	}
	if (call_control.closed || (config.tid && (kb_u32)bpf_get_current_pid_tgid() != config.tid))
		return 0;
	t = bpf_task_storage_get(&call_threads, bpf_get_current_task_btf(), NULL, 0);
	if (!t || !t->proc || t->epoch != call_control.epoch)
		t = begin();
	if (!t)
		return 0;
	layout = bpf_map_lookup_elem(&layouts, &t->layout);
	if (!layout)
		return 0;
	t->failure = KB_L_CALLS_UNREADABLE;
	now = clock_of(t);
	on_point(t, layout, ctx, cookie, now);
	if (clocked()) {
		/* What this run took is nobody's time; the call that goes on is the one on top. */
		top = kb_call__top(t);
		if (top)
			top->overhead += clock_of(t) - now + call_control.trap_ns;
	}
	return 0;
}

/* Another program, in what is the same thread. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_call_exec, struct task_struct *task)
{
	struct kb_call_thread *t = bpf_task_storage_get(&call_threads, task, NULL, 0);

	if (t)
		t->proc = 0;
	return 0;
}

/* What a probe costs without us: user space measures it in itself. */
SEC("uprobe")
int on_call_empty(struct pt_regs *ctx)
{
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_call_exit, struct task_struct *task)
{
	struct kb_call_thread *t = bpf_task_storage_get(&call_threads, task, NULL, 0);
	kb_u32 slot;

	if (!t || !t->slot)
		return 0;
	kb_call__pop_to(t, 0, 0);
	kb_call__free(t);
	slot = t->slot;
	t->slot = 0;
	t->proc = 0;
	bpf_map_push_elem(&free_call_slots, &slot, BPF_ANY);
	return 0;
}

/* Only when time on a CPU is what counts. */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_call_switch, _Bool preempted, struct task_struct *prev, struct task_struct *next)
{
	kb_u64 now = bpf_ktime_get_ns();
	struct kb_call_thread *t;

	t = prev->mm ? bpf_task_storage_get(&call_threads, prev, NULL, 0) : NULL;
	if (t)
		t->left = now;
	t = next->mm ? bpf_task_storage_get(&call_threads, next, NULL, 0) : NULL;
	if (t && t->left) {
		t->waited += now - t->left;
		t->left = 0;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
