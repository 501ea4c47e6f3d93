// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Audit events without a hook: a run for each event that an observed process raises.
 *
 *   filter → name → rules → process → count, or arguments → stack → record
 *
 * Builds with static probes say "event, tuple" at one, and raising its semaphore makes the
 * interpreter go there as if it had a hook. In others PySys_Audit() and its kin are entered whether
 * or not there is a hook, since it is they who look for one; only sys.audit() looks before it calls
 * them. With a hook it does call them, so that an event of sys.audit() would be seen twice: the
 * inner one is told by its name, which lies in the str that sys.audit() was given, or, where that
 * is not ASCII, by not being ASCII, which no name in C is.
 */
#include "audit/audit.bpf.h"
#include "audit/maps.bpf.h"
#include "common/process.bpf.h"
#include "stack.bpf.h"

KB_SETTING struct kb_audit_config audit_config = {};

#define SLOT_TRIES  16
#define SLOTS_APART 4 /* where the tries of neighbouring processors begin */
#define NAME_WORDS  (KB_AUDIT_NAME_MAX / 8)
#define RATE_NS	    1000000000ULL
#define STR_HEAD    64

/* The second under way and the records in it, of all processors. */
static kb_u64 rate_since, rate_used;

/* Not inlined: each place would have a key of its own on the stack. */
static __noinline int count(kb_u32 reason)
{
	kb_count(reason, 1);
	return 0;
}

/* ---------------------------------------------------------------- where */

/* An operand of a static probe. */
static __always_inline kb_u64 operand(const kb_u64 *registers, kb_u64 spec)
{
	kb_u64 word = spec >> 3, value;

	word &= 31;
	KB_OPAQUE(word);
	if (word >= KB_PROBED_REGISTERS)
		return 0;
	value = registers[word];
	if ((spec & 7) == KB_AUDIT_MEMORY &&
	    audit_read(&value, 8, value + (kb_s64)(short)(spec >> 8)))
		return 0;
	return value;
}

/* Not inlined: its registers do not take of the stack that the rest has, as read_event_str(). */
static __noinline int read_usdt(struct pt_regs *ctx, struct audit_event *event,
				const struct kb_audit_layout *objects, kb_u64 detail)
{
	kb_u64 registers[KB_PROBED_REGISTERS], tuple;

	KB_COPY_PROBED(registers, ctx);
	event->name_at = operand(registers, detail & ((1 << KB_AUDIT_OPERAND_BITS) - 1));
	tuple = operand(registers, detail >> KB_AUDIT_OPERAND_BITS);
	if (tuple && audit_read(&event->n_objects, 8, tuple + objects->var_size))
		return -1;
	event->objects = tuple + objects->tuple_items;
	return 0;
}

/* The str that sys.audit() was given as the event's name. Not inlined for the sake of the stack,
 * like count(). */
static __noinline int read_event_str(struct audit_event *event, const struct kb_layout *layout,
				     const struct kb_audit_layout *objects, kb_u64 string)
{
	kb_u64 size = layout->unicode_ascii_data, length = 0, type = 0, flags = 0;
	kb_u32 state = 0;

	if (audit_read(&type, 8, string + objects->object_type) ||
	    audit_read(&flags, 8, type + objects->type_flags) || !(flags >> 28 & 1) ||
	    audit_read(&length, 8, string + layout->unicode_length) ||
	    audit_read(&state, 4, string + layout->unicode_state))
		return -1; /* an error of the caller's, and no event */
	state >>= layout->unicode_kind_shift & 31;
	if ((state & 24) == 24) {
		event->name_at = string + size;
		return 0;
	}
	event->kind = state & 7;
	event->other = 1;
	event->name_at = string + layout->unicode_compact_data;
	size = length > KB_AUDIT_NAME_MAX ? KB_AUDIT_NAME_MAX : length * event->kind;
	KB_OPAQUE(size);
	if (size > KB_AUDIT_NAME_MAX)
		size = KB_AUDIT_NAME_MAX;
	event->n_bytes = size;
	return audit_read(event->name, size, event->name_at);
}

static __always_inline int read_sys(struct pt_regs *ctx, struct audit_event *event,
				    const struct kb_layout *layout,
				    const struct kb_audit_layout *objects)
{
	kb_u64 c[KB_ARGUMENT_REGISTERS], args, n, string = 0;

	KB_COPY_ARGUMENTS(c, ctx);
	args = c[1];
	n = c[2];
	/* 3.8 has the keyword names' flag in the number of a vectorcall: none here. */
	if ((kb_s64)n < 1 || audit_read(&string, 8, args) ||
	    read_event_str(event, layout, objects, string))
		return -1;
	event->objects = args + 8;
	event->n_objects = n - 1;
	return 0;
}

static __always_inline int read_event(struct pt_regs *ctx, struct audit_event *event,
				      const struct kb_layout *layout,
				      const struct kb_audit_layout *objects, kb_u64 cookie)
{
	kb_u64 c[KB_ARGUMENT_REGISTERS];

	KB_COPY_ARGUMENTS(c, ctx);
	switch (KB_AUDIT_COOKIE_POINT(cookie)) {
	case KB_AUDIT_AT_USDT:
		return read_usdt(ctx, event, objects, KB_AUDIT_COOKIE_DETAIL(cookie));
	case KB_AUDIT_AT_VARARGS:
		event->name_at = c[0];
		event->objects = c[1];
		event->first = 2;
		return 0;
	case KB_AUDIT_AT_TSTATE:
		event->name_at = c[1];
		event->objects = c[2];
		event->first = 3;
		return 0;
	default:
		return read_sys(ctx, event, layout, objects);
	}
}

/* ---------------------------------------------------------------- which */

static __always_inline int read_name(struct audit_event *event)
{
	long n;

	if (!event->n_bytes) {
		n = audit_read_text(event->name, KB_AUDIT_NAME_MAX, event->name_at);
		if (n <= 0)
			return -1;
		event->n_bytes = n - 1;
	}
#pragma unroll
	for (int i = 0; i < NAME_WORDS; i++)
		event->other |= (event->name[i] & 0x8080808080808080ULL) != 0;
	return 0;
}

/* sys.audit() is about to call the others, if there is a hook. */
static __noinline int expect_nested(const struct audit_event *event, kb_u32 tid)
{
	kb_u64 *known = bpf_map_lookup_elem(&audit_nested, &tid);
	kb_u64 at = event->other ? 0 : event->name_at;

	if (known)
		*known = at;
	else
		bpf_map_update_elem(&audit_nested, &tid, &at, BPF_ANY);
	return 0;
}

/* Is it the inner half of an event that was taken in sys.audit()? */
static __noinline int is_nested(const struct audit_event *event, kb_u32 tid)
{
	kb_u64 *at = bpf_map_lookup_elem(&audit_nested, &tid);

	if (!at || (*at ? *at != event->name_at : !event->other))
		return 0;
	*at = ~0ULL;
	return 1;
}

static __always_inline int matches(const struct kb_audit_rule *rule,
				   const struct audit_event *event)
{
	kb_u64 differs = 0;

#pragma unroll
	for (int i = 0; i < NAME_WORDS; i++)
		differs |= (event->name[i] & rule->mask[i]) ^ rule->value[i];
	return !differs;
}

/* Not static: verified once, whatever is known of the name. */
__noinline int audit_is_asked_for(struct audit_event *event)
{
	struct kb_audit_rule *rule;

	if (!event)
		return 0;
	for (kb_u32 i = 0; i < KB_AUDIT_RULES_MAX && i < audit_config.n_rules; i++) {
		kb_u32 key = i;

		rule = bpf_map_lookup_elem(&audit_rules, &key);
		if (rule && matches(rule, event))
			return rule->take != 0;
	}
	return audit_config.others != 0;
}

/* ---------------------------------------------------------------- counting */

/* Only as many records as were asked for in a second; the rest is counted. */
static __always_inline int is_too_many(void)
{
	kb_u64 now, since;

	if (!audit_config.max_rate)
		return 0;
	now = bpf_ktime_get_ns();
	since = *(volatile kb_u64 *)&rate_since;
	if (now - since >= RATE_NS && __sync_val_compare_and_swap(&rate_since, since, now) == since)
		*(volatile kb_u64 *)&rate_used = 0;
	return __sync_fetch_and_add(&rate_used, 1) >= audit_config.max_rate;
}

/* Not static: its key is large, and has a stack frame of its own. */
__noinline int audit_count(struct audit_event *event, kb_u32 proc)
{
	struct kb_audit_tally first = { .n = 1 }, *tally;
	struct kb_audit_tally_key key = {};

	if (!event)
		return 0;
	__builtin_memcpy(key.name, event->name, sizeof(key.name));
	key.proc = proc;
	key.name_kind = event->kind;
	tally = bpf_map_lookup_elem(&audit_counts, &key);
	if (!tally) {
		first.cgroup = bpf_get_current_cgroup_id();
		if (!bpf_map_update_elem(&audit_counts, &key, &first, BPF_NOEXIST)) {
			count(KB_L_GOOD);
			return 0;
		}
		tally = bpf_map_lookup_elem(&audit_counts, &key);
	}
	if (!tally) {
		count(KB_L_AUDIT_COUNTS);
		return 0;
	}
	__sync_fetch_and_add(&tally->n, 1);
	count(KB_L_GOOD);
	return 0;
}

/* ---------------------------------------------------------------- arguments */

static __noinline struct audit_slot *take_slot(void)
{
	kb_u32 at = bpf_get_smp_processor_id() * SLOTS_APART;
	struct audit_slot *slot;

	for (int i = 0; i < SLOT_TRIES; i++) {
		kb_u32 key = (at + i) % KB_AUDIT_SLOTS;

		slot = bpf_map_lookup_elem(&audit_slots, &key);
		if (slot && !__sync_val_compare_and_swap(&slot->busy, 0, 1))
			return slot;
	}
	return 0;
}

static __always_inline void release_slot(struct audit_slot *slot)
{
	__sync_lock_test_and_set(&slot->busy, 0);
}

/* The C arguments of a call: those in registers, then those on the stack. */
static __always_inline void read_arguments(struct pt_regs *ctx, struct audit_slot *slot,
					   kb_u64 below)
{
	kb_u64 stack = KB_STACK_POINTER(ctx) + below + KB_STACK_ARGUMENTS;

	KB_COPY_ARGUMENTS(slot->arguments, ctx);
	audit_read(slot->arguments + KB_ARGUMENT_REGISTERS,
		   sizeof(slot->arguments) - 8 * KB_ARGUMENT_REGISTERS, stack);
}

/* What a format string says as a whole (Python/modsupport.c, countformat()). */
struct format_look {
	struct audit_slot
		*slot; /* counts in there: on the stack, each count is a state to the verifier */
};

static long look_at_unit(kb_u64 index, struct format_look *look)
{
	struct audit_slot *slot = look->slot;
	char c;

	KB_OPAQUE(index);
	c = slot->format[index & (AUDIT_FORMAT - 1)];
	if (!c)
		return 1;
	if (c == '(' || c == '[' || c == '{')
		slot->units += !slot->level++;
	else if (c == ')' || c == ']' || c == '}')
		slot->level -= slot->level > 0;
	else if (c != '#' && c != '&' && c != ',' && c != ':' && c != ' ' && c != '\t')
		slot->units += !slot->level;
	return 0;
}

/*
 * A format of one unit makes the object itself, and that is the event's arguments when it is a
 * tuple; else they are a tuple of it (Python/sysmodule.c, sys_audit_tstate()).
 */
static __always_inline int take_tuple(struct audit_slot *slot,
				      const struct kb_audit_layout *objects)
{
	kb_u64 object = slot->arguments[slot->next_argument & (AUDIT_ARGUMENTS - 1)], type, flags,
	       n;
	char unit = slot->format[0];

	if ((unit != 'O' && unit != 'S' && unit != 'N') || slot->format[1] == '&' || !object ||
	    audit_read(&type, 8, object + objects->object_type) ||
	    audit_read(&flags, 8, type + objects->type_flags) || !(flags >> 26 & 1) ||
	    audit_read(&n, 8, object + objects->var_size))
		return 0;
	audit_take_items(slot, object + objects->tuple_items, n);
	return 1;
}

static __noinline int take_format(struct audit_slot *slot, const struct kb_audit_layout *objects)
{
	struct audit_cursor *cursor = &slot->cursors[0];
	struct format_look look = { .slot = slot };

	slot->units = slot->level = 0;
	bpf_loop(AUDIT_FORMAT - 1, look_at_unit, &look, 0);
	if (slot->units == 1 && take_tuple(slot, objects))
		return 0;
	cursor->kind = AUDIT_FORMAT_UNITS;
	cursor->at = 0;
	slot->n_cursors = 1;
	slot->head.n_args = slot->units;
	if (slot->units == 1 && slot->format[0] == '(') {
		/* The tuple is the event's own: how many are in it is seen as they are written. */
		cursor->at = 1;
		slot->head.n_args = ~0u;
	}
	return 0;
}

static __always_inline void put_name(struct audit_slot *slot)
{
	const struct audit_event *event = &slot->event;

#pragma unroll
	for (int i = 0; i < NAME_WORDS; i++)
		((kb_u64 *)slot->body)[i] = event->name[i];
	slot->head.name_bytes = event->n_bytes;
	slot->head.name_kind = event->kind;
	slot->used = (event->n_bytes + 7) & (2 * KB_AUDIT_NAME_MAX - 8);
	slot->next_argument = event->first;
	slot->cut = slot->depth = slot->n_cursors = slot->head.n_args = 0;
	slot->format[0] = 0;
}

static __always_inline void put_arguments(struct pt_regs *ctx, struct audit_slot *slot,
					  const struct kb_layout *layout,
					  const struct kb_audit_layout *objects, kb_u64 cookie,
					  kb_u64 bias)
{
	const struct audit_event *event = &slot->event;

	if (event->first && event->objects) {
		if (audit_read_text(slot->format, AUDIT_FORMAT, event->objects) < 0)
			slot->cut = 1;
		read_arguments(ctx, slot, KB_AUDIT_COOKIE_DETAIL(cookie));
		take_format(slot, objects);
	} else if (event->objects) {
		audit_take_items(slot, event->objects, event->n_objects);
	}
	if (slot->n_cursors)
		audit_put_all(slot, layout, objects, bias);
}

/* ---------------------------------------------------------------- stack */

/* Sends the thread's stack, unless that was done, and puts its name into the record. */
static __noinline int put_stack(struct audit_slot *slot, struct kb_proc *proc,
				const struct kb_layout *layout, kb_u32 tid)
{
	kb_u32 zero = 0, generation = control.generation, mark = generation + 1, *sent;
	struct kb_walk *walk = bpf_map_lookup_elem(&audit_walks, &zero);
	struct kb_stack_key key = {};
	int status;

	if (!walk)
		return -1;
	status = kb_find_thread(walk, proc, layout, KB_THREAD_POINTER(bpf_get_current_task_btf()),
				tid);
	if (status == KB_WALK_OK)
		status = kb_walk_frames(walk, layout, kb_stack_seed(proc));
	if (status > KB_WALK_TRUNCATED)
		return -1;
	walk->head.flags = status == KB_WALK_TRUNCATED ? KB_STACK_TRUNCATED : 0;
	key.hash = walk->head.hash;
	key.proc = proc->id;
	sent = bpf_map_lookup_elem(&audit_stacks, &key);
	if (!sent || *sent != mark) {
		if (kb_send_stack(walk, proc, layout, generation) != KB_L_GOOD)
			return -1;
		bpf_map_update_elem(&audit_stacks, &key, &mark, BPF_ANY);
	}
	slot->head.hash = key.hash;
	slot->head.generation = generation;
	slot->head.flags |= KB_AUDIT_RECORD_STACK;
	return 0;
}

static __always_inline void put_stack_alone(struct audit_slot *slot, struct kb_proc *proc,
					    const struct kb_layout *layout, kb_u32 tid)
{
	int status = -1;

	/* The walk's scratch is this processor's: another thread may be overtaken in it. */
	if (kb_take_walking()) {
		status = put_stack(slot, proc, layout, tid);
		kb_end_walking();
	}
	if (status)
		count(KB_L_AUDIT_NO_STACK);
}

/* ---------------------------------------------------------------- the whole */

static __always_inline void send(struct audit_slot *slot)
{
	kb_u64 size = slot->used;

	if (slot->cut) {
		slot->head.flags |= KB_AUDIT_RECORD_CUT;
		count(KB_L_AUDIT_CUT);
	}
	KB_OPAQUE(size);
	if (size > sizeof(slot->body))
		size = sizeof(slot->body);
	if (bpf_ringbuf_output(&data, slot, sizeof(slot->head) + size, BPF_RB_NO_WAKEUP)) {
		count(KB_L_RING_FULL);
		kb_request_drain();
		return;
	}
	count(KB_L_GOOD);
	/* Looking at the ring costs some 10 ns: one in so many does. */
	if (!(slot->head.time / 1024 % 16) &&
	    bpf_ringbuf_query(&data, BPF_RB_AVAIL_DATA) > config.ring_high)
		kb_request_drain();
}

static __always_inline void report(struct pt_regs *ctx, struct audit_slot *slot,
				   struct kb_proc *proc, kb_u32 tid)
{
	kb_u64 cookie = bpf_get_attach_cookie(ctx);
	kb_u32 image = KB_AUDIT_COOKIE_IMAGE(cookie);
	struct kb_audit_layout *objects = bpf_map_lookup_elem(&audit_layouts, &image);
	struct kb_layout *layout = bpf_map_lookup_elem(&layouts, &image);

	if (!objects || !layout)
		return;
	slot->head.kind = KB_DATA_AUDIT;
	slot->head.proc = proc->id;
	slot->head.time = bpf_ktime_get_ns();
	slot->head.cgroup = bpf_get_current_cgroup_id();
	slot->head.tid = tid;
	slot->head.flags = 0;
	put_name(slot);
	put_arguments(ctx, slot, layout, objects, cookie, proc->code_type - objects->code_type);
	kb_send_thread(proc, tid);
	if (audit_config.stack)
		put_stack_alone(slot, proc, layout, tid);
	send(slot);
}

static __always_inline struct kb_proc *find_process(kb_u32 tgid)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct kb_proc *proc = bpf_map_lookup_elem(&procs, &tgid);

	if (proc && proc->state == KB_PROC_PYTHON &&
	    kb_same_start(proc->start_time, task->group_leader->start_boottime))
		return proc;
	if (proc && proc->state == KB_PROC_UNSUPPORTED) {
		count(KB_LEDGER_ATTEMPTED);
		count(KB_L_UNSUPPORTED);
	} else {
		kb_ask(tgid);
	}
	return 0;
}

/*
 * The event, if it is one that was asked for, in a slot. A function of its own: what it needs of
 * the stack (512 bytes for all functions that are in one another, some kernels round up) is free
 * again when objects are written and the stack is walked.
 */
static __noinline struct audit_slot *take_event(struct pt_regs *ctx, kb_u32 tid)
{
	kb_u64 cookie = bpf_get_attach_cookie(ctx);
	kb_u32 image = KB_AUDIT_COOKIE_IMAGE(cookie);
	struct audit_event event = {};
	struct kb_audit_layout *objects;
	struct kb_layout *layout;
	struct audit_slot *slot;

	objects = bpf_map_lookup_elem(&audit_layouts, &image);
	layout = bpf_map_lookup_elem(&layouts, &image);
	if (!objects || !layout || read_event(ctx, &event, layout, objects, cookie))
		return 0;
	if (read_name(&event)) {
		count(KB_LEDGER_ATTEMPTED);
		count(KB_L_AUDIT_UNNAMED);
		return 0;
	}
	if (!audit_is_asked_for(&event) || (event.first && is_nested(&event, tid)))
		return 0;
	if (KB_AUDIT_COOKIE_POINT(cookie) == KB_AUDIT_AT_SYS)
		expect_nested(&event, tid);
	slot = take_slot();
	if (!slot) {
		count(KB_LEDGER_ATTEMPTED);
		count(KB_L_NO_SCRATCH);
		return 0;
	}
	slot->event = event;
	return slot;
}

SEC("uprobe")
int on_audit(struct pt_regs *ctx)
{
	kb_u64 id = bpf_get_current_pid_tgid();
	kb_u32 tgid = id >> 32, tid = id;
	struct audit_slot *slot;
	struct kb_proc *proc;

	if (!kb_filter_passes(tgid) || (config.tid && tid != config.tid))
		return 0;
	slot = take_event(ctx, tid);
	if (!slot)
		return 0;
	proc = find_process(tgid);
	if (proc) {
		count(KB_LEDGER_ATTEMPTED);
		if (audit_config.summary)
			audit_count(&slot->event, proc->id);
		else if (is_too_many())
			count(KB_L_AUDIT_RATE);
		else
			report(ctx, slot, proc, tid);
	}
	release_slot(slot);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
