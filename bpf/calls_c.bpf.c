// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Calls of C functions and methods (--builtins), as cProfile counts them.
 *
 * A C function has no frame. What is seen is that a frame is about to call something, at the
 * instructions that may call one: the callable lies on the frame's stack, and its type says whether
 * it is a function that cProfile knows by its PyMethodDef. On the shadow stack it lies above its
 * caller, with the caller's frame and bit 0 set, and with the instruction at which the caller
 * stands. Nothing is seen of its end. But what C code called while the caller stands at that
 * instruction was called by this function; anything else that happens shows that it has ended.
 *
 * One call may pass through the code of several instructions: specialized code that does not fit
 * goes on as the general one. So events in a row of the same frame, instruction and callable, each
 * in the code of a more general opcode (a smaller variant), are one call. And a general instruction
 * whose counter has run out (3.11 and later) is executed again, as what it was specialized to,
 * which may be itself.
 * Where that was not seen, it shows by a counter that had run out and then has not (3.12 and
 * later).
 */
#include "calls.bpf.h"
#include "python/string.bpf.h"
#include "stack.bpf.h"

/* Offsets that are the same in 3.6 to 3.15 on 64 bits: Include/cpython/object.h, methodobject.h,
 * descrobject.h and classobject.h. In words where objects are read as a whole. */
#define OBJECT_TYPE	1
#define FUNCTION_METHOD 2 /* PyCFunctionObject: m_ml, m_self, m_module */
#define FUNCTION_SELF	3
#define FUNCTION_MODULE 4
#define DESCR_TYPE	2 /* PyMethodDescrObject: d_type, d_method */
#define DESCR_METHOD	5
#define BOUND_FUNCTION	2  /* PyMethodObject: im_func */
#define CALLABLE_BYTES	48 /* covers these */
#define TYPE_NAME	24 /* PyTypeObject: tp_name, tp_flags, tp_methods, tp_mro */
#define TYPE_FLAGS	168
#define TYPE_METHODS	232
#define TYPE_MRO	344
#define TUPLE_SIZE	16
#define TUPLE_ITEMS	24 /* 3.14 has the hash before them */
#define TUPLE_ITEMS_14	32
#define METHOD_BYTES	32 /* PyMethodDef, ml_name first */

#define FLAG_STR	 (1u << 28) /* Py_TPFLAGS_UNICODE_SUBCLASS */
#define MRO_MAX		 64	    /* the deepest of the standard library has 11 */
#define TYPE_METHODS_MAX 512	    /* str has 80 */

#define VARIANT_ANY 256 /* more than any */

#define UNIT_BYTES    2
#define PRECALL_BYTES 4 /* with its cache: Include/internal/pycore_opcode.h of 3.11 */

enum callable { CALLABLE_UNREADABLE, CALLABLE_OTHER, CALLABLE_C };

static __always_inline kb_u64 word(struct kb_call_thread *t, kb_u32 index)
{
	return ((kb_u64 *)t->object)[index];
}

static __always_inline kb_u64 register_at(kb_u32 place)
{
	return KB_REGISTER(kb_user_registers(), place - 1);
}

/* What the frame at hand calls; 0: unreadable. */
static __noinline kb_u64 read_callable(struct kb_call_thread *t, kb_u64 cookie)
{
	kb_u64 stack = register_at(t->image.stack_pointer), shape = KB_POINT_SHAPE(cookie);
	kb_u64 arguments, base, callable;
	kb_u32 oparg;

	if (!kb_call__oparg(t, &oparg))
		return 0;
	arguments = shape & KB_CALLABLE_SCALE ? oparg : 0;
	base = (shape & KB_CALLABLE_BASE) + (shape & KB_CALLABLE_MASK ? oparg & 1 : 0);
	if (kb_read_user(&callable, 8, stack - 8 * (base + arguments)))
		return 0;
	/* The low bits are tags of the reference from 3.14 on, and 0 before. */
	callable &= ~7ULL;
	if (!callable && shape & KB_CALLABLE_IF_NULL &&
	    !kb_read_user(&callable, 8, stack - 8 * (1 + arguments)))
		callable &= ~7ULL;
	return callable;
}

/* Reads a callable into t->object. */
static __noinline int read_object(struct kb_call_thread *t, kb_u64 callable)
{
	if (!kb_read_user(t->object, CALLABLE_BYTES, callable))
		return 1;
	/* It may be shorter, and the last one before memory that is not there. */
	((kb_u64 *)t->object)[FUNCTION_METHOD] = 0;
	((kb_u64 *)t->object)[DESCR_METHOD] = 0;
	return !kb_read_user(t->object, 16, callable);
}

/* Is it a C function? Then it becomes the function at hand. */
static __noinline int look_at(struct kb_call_thread *t, kb_u64 callable)
{
	kb_u64 type, method;

	if (!callable || !read_object(t, callable))
		return CALLABLE_UNREADABLE;
	type = word(t, OBJECT_TYPE);
	if (!type)
		return CALLABLE_UNREADABLE;
	if (type == t->image.bound_type) {
		callable = word(t, BOUND_FUNCTION);
		if (!callable || !read_object(t, callable))
			return CALLABLE_UNREADABLE;
		type = word(t, OBJECT_TYPE);
	}
	if (type == t->image.function_type || type == t->image.method_type)
		method = word(t, FUNCTION_METHOD);
	else if (type == t->image.descr_type)
		method = word(t, DESCR_METHOD);
	else
		return CALLABLE_OTHER;
	t->c.callable = callable;
	t->c.seen = method;
	return method ? CALLABLE_C : CALLABLE_UNREADABLE;
}

/* Has the counter of an instruction's specialization run out? */
static __always_inline int is_counter_out(struct kb_call_thread *t)
{
	kb_u16 counter;

	return t->image.counter_out &&
	       !kb_read_user(&counter, sizeof(counter), t->c.seen_at + UNIT_BYTES) &&
	       counter < t->image.counter_out;
}

/* Is the call that is seen one that was counted, or will be? See above. */
static __always_inline int is_repeated(struct kb_call_thread *t, kb_u64 frame, kb_u64 cookie)
{
	kb_u32 variant = KB_POINT_VARIANT(cookie), was_out = t->c.last_out;
	int out = is_counter_out(t), again = out && cookie & KB_POINT_SPECIALIZES;
	kb_u64 instr = t->c.seen_at;

	if (KB_POINT_SHAPE(cookie) & KB_CALLABLE_PRECALL)
		instr += PRECALL_BYTES;
	t->c.last_out = out;
	if (frame == t->c.last_frame && instr == t->c.last_instr &&
	    t->c.callable == t->c.last_callable &&
	    (variant < t->c.last_variant || (was_out && !out && t->image.counter_is_reset))) {
		/* Whatever comes next belongs to it when it is executed again. */
		t->c.last_variant = again ? VARIANT_ANY : variant;
		return 1;
	}
	t->c.last_frame = again ? 0 : frame;
	t->c.last_instr = instr;
	t->c.last_callable = t->c.callable;
	t->c.last_variant = variant;
	return again;
}

__noinline int kb_call__see_c(struct kb_call_thread *t, const struct kb_layout *layout,
			      kb_u64 frame, kb_u64 cookie, kb_u64 now)
{
	struct kb_call_frame *top;
	int is;

	if (!kb_call__with_c() || !t || !layout)
		return 0;
	is = frame ? look_at(t, read_callable(t, cookie)) : CALLABLE_UNREADABLE;
	if (is == CALLABLE_UNREADABLE) {
		kb_count(KB_L_CALLS_SEEN, 1);
		kb_count(KB_L_CALLS_UNREADABLE, 1);
		return 0;
	}
	top = kb_call__top(t);
	if (top && top->frame != (frame | KB_CALL_FRAME_C))
		top = NULL;
	if (is == CALLABLE_OTHER) {
		t->c.last_frame = 0;
		if (top)
			kb_call__pop_to(t, t->depth - 1, now);
		return 0;
	}
	t->c.seen_at = KB_POINT_SHAPE(cookie) & KB_CALLABLE_INSTR
			       ? register_at(t->image.instr)
			       : kb_call__instr_of(layout, frame);
	if (is_repeated(t, frame, cookie)) {
		kb_count(KB_L_CALLS_REPEATED, 1);
		/* 3.11: from the PRECALL to the CALL. */
		if (top)
			top->instr = t->c.seen_at;
		return 0;
	}
	return 1;
}

/* ---------------------------------------------------------------- names */

struct searching {
	kb_u64 method, items, n; /* of the MRO */
	kb_u64 methods, index;	 /* the method would be that one of these */
	kb_u64 found;		 /* the type */
};

/* Does the list of methods go so far? */
static long reach_step(kb_u64 i, struct searching *s)
{
	kb_u64 name = 0;

	if (i >= s->index)
		return 1;
	if (kb_read_user(&name, 8, s->methods + METHOD_BYTES * i) || !name)
		s->methods = 0;
	return !s->methods;
}

static long search_step(kb_u64 i, struct searching *s)
{
	kb_u64 type = 0, offset;

	if (i >= s->n || kb_read_user(&type, 8, s->items + 8 * i) ||
	    kb_read_user(&s->methods, 8, type + TYPE_METHODS))
		return 1;
	offset = s->method - s->methods;
	if (!s->methods || offset % METHOD_BYTES || offset / METHOD_BYTES >= TYPE_METHODS_MAX)
		return 0;
	s->index = offset / METHOD_BYTES;
	bpf_loop(TYPE_METHODS_MAX, reach_step, s, 0);
	if (s->methods)
		s->found = type;
	return s->found != 0;
}

/*
 * The type, or base of it, that defines the method: cProfile looks it up by its name, which finds
 * the same unless a subclass has redefined it. 0: none does.
 */
static __noinline kb_u64 find_owner(const struct kb_layout *layout, kb_u64 type, kb_u64 method)
{
	struct searching s = { .method = method };
	kb_u64 mro = 0;

	if (kb_read_user(&mro, 8, type + TYPE_MRO) || !mro ||
	    kb_read_user(&s.n, 8, mro + TUPLE_SIZE))
		return 0;
	s.items = mro + (layout->version_minor >= 14 ? TUPLE_ITEMS_14 : TUPLE_ITEMS);
	bpf_loop(MRO_MAX, search_step, &s, 0);
	return s.found;
}

static __always_inline void copy_type_name(char *name, kb_u64 type)
{
	kb_u64 text = 0;

	if (kb_read_user(&text, 8, type + TYPE_NAME) ||
	    bpf_probe_read_user_str(name, KB_CALL_NAME_MAX, (const void *)text) < 0)
		name[0] = 0;
}

/* A module's name, if it is an ASCII string. */
static __always_inline void copy_module_name(struct kb_call_thread *t,
					     const struct kb_layout *layout, char *name,
					     kb_u64 module)
{
	struct kb_string string;
	kb_u64 flags = 0, bytes;

	name[0] = 0;
	if (!module || kb_read_user(t->object, KB_UNICODE_SPAN, module) ||
	    kb_read_user(&flags, 8, word(t, OBJECT_TYPE) + TYPE_FLAGS) || !(flags & FLAG_STR) ||
	    !kb_string_parse(t->object, layout, module, KB_CALL_NAME_MAX - 1, &string) ||
	    !string.ascii)
		return;
	bytes = string.bytes;
	KB_OPAQUE(bytes);
	if (bytes >= KB_CALL_NAME_MAX || kb_read_user(name, bytes, string.source))
		name[0] = 0;
	else
		name[bytes] = 0;
}

static __noinline int describe(struct kb_call_thread *t, const struct kb_layout *layout,
			       struct kb_data_call_function *record)
{
	kb_u64 name = 0, self, module, type = 0;

	if (!record || !layout || !read_object(t, t->c.callable) ||
	    kb_read_user(&name, 8, t->c.method) ||
	    bpf_probe_read_user_str(record->name, sizeof(record->name), (const void *)name) <= 0)
		return 0;
	self = word(t, FUNCTION_SELF);
	module = word(t, FUNCTION_MODULE);
	if (word(t, OBJECT_TYPE) == t->image.descr_type)
		type = word(t, DESCR_TYPE);
	else if (self && !kb_read_user(&type, 8, self + 8 * OBJECT_TYPE))
		type = find_owner(layout, type, t->c.method);
	record->is_c = type ? KB_C_METHOD : self ? KB_C_BOUND : KB_C_UNBOUND;
	if (type)
		copy_type_name(record->owner, type);
	else
		copy_module_name(t, layout, record->owner, module);
	return 1;
}

/* Sends what names the C function at hand. */
static __noinline int send(struct kb_call_thread *t, const struct kb_layout *layout)
{
	struct kb_data_call_function *record = bpf_ringbuf_reserve(&data, sizeof(*record), 0);
	/* On the stack: before Linux 6.2 no key lies in what a function was given. */
	kb_u64 identity = t->identity;
	kb_u32 number;

	if (!record) {
		kb_request_drain();
		t->failure = KB_L_CALLS_FULL;
		return 0;
	}
	record->kind = KB_DATA_CALL_FUNCTION;
	record->proc = t->proc;
	record->address = t->image.type_type;
	if (!describe(t, layout, record)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		t->failure = KB_L_CALLS_UNREADABLE;
		return 0;
	}
	number = kb_call__next_function();
	record->function = number;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	if (!bpf_map_update_elem(&call_functions, &identity, &number, BPF_ANY))
		return 1;
	t->failure = KB_L_CALLS_FULL;
	return 0;
}

__noinline int kb_call__count_c(struct kb_call_thread *t, const struct kb_layout *layout,
				kb_u64 frame)
{
	kb_u64 identity;

	if (!kb_call__with_c() || !t || !layout)
		return 0;
	kb_count(KB_L_CALLS_SEEN, 1);
	t->c.method = t->c.seen;
	t->c.instr = t->c.seen_at;
	t->frame = frame | KB_CALL_FRAME_C;
	kb_call__read_code(t);
	identity = t->identity;
	/* Not clocked: nothing tells when it ends. */
	if ((!bpf_map_lookup_elem(&call_functions, &identity) && !send(t, layout)) ||
	    !kb_call__push(t, layout, 1))
		kb_count(t->failure, 1);
	t->c.method = 0;
	t->c.instr = 0;
	return 0;
}
