// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Which asyncio task does the thread run, what is its name, and who waits for it?
 *
 * The running task. From 3.14 the thread state has it (asyncio_running_task in
 * _PyThreadStateImpl). Before, _asyncio keeps a dict of the running tasks by their event loops,
 * whose address user space looks up once in a process (KB_NOTICE_TASKS). It holds a task for as
 * long as a step of it runs, also while the thread has released the GIL, so with loops in several
 * threads there are several. None of this is believed until the walk meets the frame of the
 * task's coroutine: only then does the thread run the task, and that frame is where the event loop
 * ends and the task begins.
 *
 * The name. Addresses of tasks are used again within a second and nothing of them can be looked
 * up later, so the name is sent, once, under a hash of itself (task_name.bpf.c): equal names are
 * one in the profile.
 *
 * Those that wait (task_waiter.bpf.c) are suspended, and what their coroutines await lies on top of
 * each other's value stacks (user/python/remote_coroutine.c has the versions), down to a
 * future's iterator. All of that belongs to the thread at hand, so that it does not change.
 */
#include "common/maps.bpf.h"
#include "python/task_parts.bpf.h"
#include "python/tasks.bpf.h"

#define DICT_ENTRIES 10	 /* that are looked at, the newest: all of a table of 16 places */
#define CHAIN_STEPS  256 /* tasks and coroutines of one stack */

#define ASK_FIRST_NS 50000000ULL /* a process that starts imports asyncio sooner or later */
#define ASK_LAST_NS  1000000000ULL

/* Used here alone, but global: the verifier looks at each once and not wherever it is called. */
int kb_task_begin(struct kb_walk *walk, struct kb_task_scratch *s, const struct kb_layout *layout,
		  const struct kb_task_layout *at);
kb_u64 kb_task_coroutine(struct kb_walk *walk, struct kb_task_scratch *s,
			 const struct kb_layout *layout, const struct kb_task_layout *at,
			 kb_u64 object);

/* By image. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_IMAGES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_task_layout);
} task_layouts SEC(".maps");

/* By process id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KB_TASK_DICTS_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_task_dict);
} task_dicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct kb_task_scratch);
} task_scratch SEC(".maps");

/* ---------------------------------------------------------------- the running task */

static __always_inline void add_candidate(struct kb_walk *walk, const struct kb_layout *layout,
					  const struct kb_task_layout *at, kb_u64 i, kb_u64 task)
{
	kb_u64 frame = 0;

	if (!task || kb_read_user(&frame, 8, task + at->task_coro) || !frame)
		return;
	frame += at->generator_frame;
	if (layout->version_minor < 11 && kb_read_user(&frame, 8, frame))
		return;
	KB_OPAQUE(i);
	i &= KB_TASK_CANDIDATES - 1;
	walk->tasks[i] = task;
	walk->task_frames[i] = frame;
}

/* Has user space look for the dict, not too often. */
static __always_inline void ask_for_dict(const struct kb_proc *proc, struct kb_task_dict *dict)
{
	struct kb_notice notice = { .kind = KB_NOTICE_TASKS,
				    .tgid = bpf_get_current_pid_tgid() >> 32,
				    .start_time = proc->start_time,
				    .proc = proc->id };
	kb_u64 now = bpf_ktime_get_ns(), wait = ASK_LAST_NS;

	__sync_fetch_and_add(&dict->pending, 1);
	if (now < dict->next_ask)
		return;
	if (dict->asked < 5)
		wait = ASK_FIRST_NS << (dict->asked & 7);
	dict->asked++;
	dict->next_ask = now + wait;
	kb_notify(&notice);
}

static __always_inline kb_u64 dict_of(const struct kb_proc *proc)
{
	struct kb_task_dict *dict, fresh = {};
	kb_u32 id = proc->id;

	dict = bpf_map_lookup_elem(&task_dicts, &id);
	if (!dict) {
		bpf_map_update_elem(&task_dicts, &id, &fresh, BPF_NOEXIST);
		dict = bpf_map_lookup_elem(&task_dicts, &id);
		if (!dict)
			return 0;
	}
	if (!dict->address)
		ask_for_dict(proc, dict);
	return dict->address;
}

/* The newest entries of a dict's table {hash, key, value} into the scratch. Returns their number.
 */
static __always_inline kb_u64 load_entries(struct kb_task_scratch *s,
					   const struct kb_layout *layout,
					   const struct kb_task_layout *at, kb_u64 dict)
{
	kb_u64 keys = 0, n, skip = 0, indices, size;

	if (kb_read_user(&keys, 8, dict + at->dict_keys) ||
	    !kb_load_object(s, at->keys_nentries + 8, keys))
		return 0;
	n = kb_object_word(s, at->keys_nentries);
	if (layout->version_minor >= 11)
		indices = 1ULL << (kb_object_byte(s, at->keys_log2_index_bytes) & 15);
	else
		indices = kb_object_word(s, at->keys_size);
	/* Larger ones have wider indices, and no use here. */
	if (!n || n > indices || indices > 128)
		return 0;
	if (n > DICT_ENTRIES) {
		skip = n - DICT_ENTRIES;
		n = DICT_ENTRIES;
	}
	size = n * 24;
	KB_OPAQUE(size);
	if (size > DICT_ENTRIES * 24 ||
	    kb_read_user(s->entries, size, keys + at->keys_indices + indices + skip * 24))
		return 0;
	return n;
}

static __always_inline void find_in_dict(struct kb_walk *walk, struct kb_task_scratch *s,
					 const struct kb_proc *proc, const struct kb_layout *layout,
					 const struct kb_task_layout *at)
{
	kb_u64 dict = dict_of(proc), n, found = 0;

	n = dict ? load_entries(s, layout, at, dict) : 0;
	for (kb_u32 i = 0; i < DICT_ENTRIES; i++) {
		KB_OPAQUE(found);
		if (i >= n || found >= KB_TASK_CANDIDATES)
			break;
		if (s->entries[3 * i + 2])
			add_candidate(walk, layout, at, found++, s->entries[3 * i + 2]);
	}
}

__noinline int kb_tasks_find(struct kb_walk *walk, struct kb_proc *proc,
			     const struct kb_layout *layout)
{
	const struct kb_task_layout *at;
	struct kb_task_scratch *s;
	kb_u32 zero = 0, image;
	kb_u64 task = 0;

	if (!walk || !proc || !layout)
		return 0;
	for (int i = 0; i < KB_TASK_CANDIDATES; i++)
		walk->task_frames[i] = 0;
	image = proc->image;
	at = bpf_map_lookup_elem(&task_layouts, &image);
	s = bpf_map_lookup_elem(&task_scratch, &zero);
	if (!at || !s || !at->code_type || !walk->tstate_at)
		return 0;
	if (at->tstate_running_task == KB_NO_OFFSET)
		find_in_dict(walk, s, proc, layout, at);
	else if (!kb_read_user(&task, 8, walk->tstate_at + at->tstate_running_task))
		add_candidate(walk, layout, at, 0, task);
	return 0;
}

/* ---------------------------------------------------------------- those that wait */

#define NO_HEAD ~0ULL

/* Goes on with the task that waits. True: there is none, or no more room. */
__noinline int kb_task_begin(struct kb_walk *walk, struct kb_task_scratch *s,
			     const struct kb_layout *layout, const struct kb_task_layout *at)
{
	kb_u64 name, coroutine;

	if (!walk || !s || !layout || !at || !s->next || s->n >= KB_TASKS_MAX ||
	    walk->head.n_words + 1 + KB_TASK_HEAD > KB_WORDS_MAX)
		return 1;
	s->task = s->next;
	s->next = 0;
	if (!kb_load_object(s, at->task_bytes, s->task) ||
	    (at->task_is_task != KB_NO_OFFSET && !kb_object_byte(s, at->task_is_task)))
		return 1;
	name = at->task_name != KB_NO_OFFSET ? kb_object_word(s, at->task_name) : 0;
	coroutine = kb_object_word(s, at->task_coro);
	s->next = kb_task_waiter(s, layout, at);
	s->head = walk->head.n_words;
	kb_walk_append(walk, KB_WORD(KB_WORD_TASK, 0));
	kb_walk_append(walk, kb_task_name(s, layout, at, name, s->bias));
	kb_walk_append(walk, KB_TASK_INFO(s->n ? 0 : walk->task_depth, s->n_waiters));
	/* The running one's coroutines are the thread's stack. */
	s->coroutine = s->n ? coroutine : 0;
	s->n++;
	return 0;
}

/* Now that it is known how many words follow. */
static __always_inline void end_section(struct kb_walk *walk, struct kb_task_scratch *s)
{
	kb_u64 head = s->head;

	KB_OPAQUE(head);
	if (head < KB_WORDS_MAX)
		walk->words[head] = KB_WORD(KB_WORD_TASK, (walk->head.n_words - head - 1) & 0xfff);
	s->head = NO_HEAD;
}

/* Where a frame's value stack begins and ends; `frame` is in the scratch from `start` on. */
static __always_inline kb_u64 stack_end(struct kb_task_scratch *s, const struct kb_layout *layout,
					const struct kb_task_layout *at, kb_u64 frame, kb_u64 start,
					kb_u64 *bottom)
{
	kb_u32 minor = layout->version_minor;
	kb_u64 top = kb_object_word(s, start + at->frame_stacktop);

	*bottom = frame + at->frame_localsplus;
	if (minor <= 10)
		*bottom = kb_object_word(s, start + at->frame_valuestack);
	if (minor >= 10 && minor <= 13)
		return (kb_s32)top > 0 ? *bottom + (top & 0x7fffffff) * 8 : 0;
	return top;
}

/* What the suspended coroutine awaits; 0: not to be told. A NULL may lie above it in 3.15. */
static __always_inline kb_u64 awaited_by(struct kb_task_scratch *s, const struct kb_layout *layout,
					 const struct kb_task_layout *at, kb_u64 frame,
					 kb_u64 start)
{
	kb_u64 bottom, top = stack_end(s, layout, at, frame, start, &bottom), values[2] = {};

	if (top <= bottom || kb_read_user(values, sizeof(values), top - sizeof(values)))
		return 0;
	if (layout->version_minor < 14)
		return values[1];
	/* Tagged references: Include/internal/pycore_stackref.h. */
	if (values[1] & ~3ULL)
		return values[1] & ~3ULL;
	return top - 8 > bottom ? values[0] & ~3ULL : 0;
}

static __always_inline int is_suspended(struct kb_task_scratch *s, const struct kb_layout *layout,
					const struct kb_task_layout *at)
{
	kb_s8 state;

	if (layout->version_minor < 11)
		return 1; /* its frame tells */
	state = (kb_s8)kb_object_byte(s, at->generator_state);
	return state >= at->suspended_first && state <= at->suspended_last;
}

/* Appends the frame of a coroutine that waits. Returns the coroutine that it waits for; 0: none. */
__noinline kb_u64 kb_task_coroutine(struct kb_walk *walk, struct kb_task_scratch *s,
				    const struct kb_layout *layout, const struct kb_task_layout *at,
				    kb_u64 object)
{
	kb_u64 frame, start, type, code, instr, code_type = 0;
	int old;

	if (!walk || !s || !layout || !at)
		return 0;
	old = layout->version_minor < 11;
	if (!kb_load_object(s, at->generator_frame + (old ? 8 : at->frame_bytes), object))
		return 0;
	type = kb_object_word(s, layout->object_type) - s->bias;
	if (kb_is_type(type, at->asend_type))
		return kb_object_word(s, layout->object_type + 8);
	if ((!kb_is_type(type, at->coroutine_type) && !kb_is_type(type, at->generator_type) &&
	     !kb_is_type(type, at->async_generator_type)) ||
	    !is_suspended(s, layout, at))
		return 0;
	start = old ? 0 : at->generator_frame;
	frame = old ? kb_object_word(s, at->generator_frame) : object + start;
	if (old && !kb_load_object(s, at->frame_bytes, frame))
		return 0;
	code = kb_object_word(s, start + layout->frame_code) & ~7ULL;
	instr = kb_object_word(s, start + layout->frame_instr);
	if (kb_read_user(&code_type, 8, code + layout->object_type) || code_type != s->code_type)
		return 0;
	kb_walk_append(walk, kb_frame_word(instr, code, layout));
	return awaited_by(s, layout, at, frame, start);
}

struct chain {
	struct kb_walk *walk;
	struct kb_task_scratch *s;
	const struct kb_layout *layout;
	const struct kb_task_layout *at;
};

static long chain_step(kb_u64 index, struct chain *c)
{
	struct kb_task_scratch *s = c->s;

	if (c->walk->head.n_words >= KB_WORDS_MAX - 1 - KB_TASK_HEAD)
		return 1;
	if (s->coroutine) {
		s->coroutine = kb_task_coroutine(c->walk, s, c->layout, c->at, s->coroutine);
		return 0;
	}
	end_section(c->walk, s);
	return kb_task_begin(c->walk, s, c->layout, c->at) ? 1 : 0;
}

__noinline int kb_tasks_append(struct kb_walk *walk, struct kb_proc *proc,
			       const struct kb_layout *layout)
{
	struct chain chain = { .walk = walk, .layout = layout };
	struct kb_task_scratch *s;
	kb_u32 zero = 0, image;

	if (!walk || !proc || !layout || !walk->task)
		return 0;
	image = proc->image;
	chain.at = bpf_map_lookup_elem(&task_layouts, &image);
	chain.s = s = bpf_map_lookup_elem(&task_scratch, &zero);
	if (!chain.at || !s)
		return 0;
	s->code_type = proc->code_type;
	s->bias = proc->code_type - chain.at->code_type;
	s->next = walk->task;
	s->coroutine = 0;
	s->n = 0;
	s->head = NO_HEAD;
	bpf_loop(CHAIN_STEPS, chain_step, &chain, 0);
	end_section(walk, s);
	if (!s->next && !s->coroutine)
		return 0;
	kb_walk_append(walk, KB_WORD(KB_WORD_TASK, KB_TASK_HEAD));
	kb_walk_append(walk, KB_TASK_MORE);
	kb_walk_append(walk, 0);
	return 0;
}
