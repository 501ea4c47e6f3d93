// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Native stacks without frame pointers.
 *
 * User space reduces the .eh_frame of every file with code to rows {address, rule}
 * (shared/native.h) and lists each process's executable mappings (shared/mappings.h). From the
 * registers with which the thread entered the kernel, each turn of a loop finds the mapping,
 * then the row, makes the CFA of it, and reads from the stack what the caller had: the return
 * address and rbp. No other register is followed.
 *
 * What a turn costs is memory that is not in the cache, so
 *   - the mapping is remembered: callers mostly lie in the same file;
 *   - a table is entered through its blocks, which leave about three steps of binary search
 *     over neighbouring rows;
 *   - the stack is read in windows that hold several frames, as Python's frames are.
 *
 * The address where execution stands is moved back to its row's first: all of a row lies in
 * one function, and stacks that differ only in the instruction would each be a new one. It is
 * given as the address behind that, so that all of a stack's addresses are looked up alike, less 1.
 */
#include "native/unwind.bpf.h"
#include "shared/mappings.h"
#include "shared/native.h"

#define STACK_WINDOW  1024 /* bytes of stack in one read; a power of two */
#define SAVED_SPAN    128  /* rbp saved within these bytes below the CFA takes no read of its own */
#define MAPPING_STEPS 12   /* of binary search over KB_NATIVE_MAPPINGS_MAX */
#define ROW_STEPS     13   /* over KB_NATIVE_BLOCK_ROWS */
/* Of the room for words: the section's own and a 0 behind its last, and what follows it. */
#define OTHER_WORDS 32
/* Asking again about code in no known mapping: soon, then more and more seldom. */
#define NOTICE_FIRST_NS	 5000000ULL
#define NOTICE_SHIFT_MAX 12 /* 20 s */

struct native_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__type(key, kb_u32);
	__type(value, kb_u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, KB_NATIVE_IMAGES_MAX);
	__type(key, kb_u32);
	__array(values, struct native_table);
} native_tables SEC(".maps");

struct native_list {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, kb_u32);
	__uint(value_size, sizeof(struct kb_native_mapping)); /* clang 14 leaves the type out */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, KB_NATIVE_LISTS_MAX);
	__type(key, kb_u32);
	__array(values, struct native_list);
} native_lists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KB_NATIVE_LISTS_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_native_proc);
} native_procs SEC(".maps");

/* Tables that user space was asked for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_NATIVE_IMAGES_MAX);
	__type(key, kb_u32);
	__type(value, kb_u32);
} native_wanted SEC(".maps");

/* How a stack ended. */
enum {
	GOES_ON = 0,
	ENDED,	  /* at its root */
	UNMAPPED, /* in code that is in no known mapping */
	NOT_READY,
	NO_TABLE,
	UNREADABLE,
	BAD,
};

/*
 * What is carried from frame to frame. It lies in a map and not on the stack, where the
 * verifier would follow every value.
 */
struct unwinding {
	kb_u64 pc, sp, fp;
	kb_u64 stands;		  /* execution stands at pc; else it is a return address */
	kb_u64 start, size, base; /* of the mapping that was found last */
	kb_u32 image, list;
	struct kb_unwind_row row;
	kb_u64 status;
	kb_u64 window, window_size; /* what of the stack was read */
	kb_u8 stack[STACK_WINDOW + 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct unwinding);
} unwindings SEC(".maps");

struct stepping {
	struct kb_walk *walk;
	struct unwinding *u;
};

static __always_inline void *element(void *map, kb_u64 index)
{
	kb_u32 key = index;

	return kb_inner_element(map, &key);
}

/* Verified by themselves, because they are not static. */
int kb_native_mapping_of(struct unwinding *u, kb_u64 address);
int kb_native_row_of(struct unwinding *u, kb_u64 address);

/* The mapping of an address becomes the last one found. */
__noinline int kb_native_mapping_of(struct unwinding *u, kb_u64 address)
{
	struct kb_native_mapping *mapping;
	kb_u64 low = 1, n, half;
	kb_u32 place;
	void *list;

	if (!u)
		return UNMAPPED;
	/* A copy: Linux 6.1 takes no key from the memory of a caller. */
	place = u->list;
	list = kb_inner_map(&native_lists, &place);
	if (!list)
		return UNMAPPED;
	mapping = element(list, 0);
	if (!mapping)
		return UNMAPPED;
	n = mapping->start;
	for (int i = 0; i < MAPPING_STEPS && n > 1; i++) {
		half = n / 2;
		mapping = element(list, low + half);
		if (!mapping)
			return UNMAPPED;
		if (mapping->start <= address) {
			low += half;
			n -= half;
		} else {
			n = half;
		}
	}
	mapping = element(list, low);
	if (!mapping || address - mapping->start >= mapping->end - mapping->start)
		return UNMAPPED;
	u->start = mapping->start;
	u->size = mapping->end - mapping->start;
	u->base = mapping->base;
	u->image = mapping->image;
	return GOES_ON;
}

/* The row of an address of the mapping. */
__noinline int kb_native_row_of(struct unwinding *u, kb_u64 address)
{
	kb_u64 relative, low, n, half;
	struct kb_native_block *block;
	struct kb_native_head *head;
	struct kb_unwind_row *at;
	kb_u32 image;
	void *table;

	if (!u)
		return NO_TABLE;
	relative = address - u->base;
	if (u->image == KB_NATIVE_NO_IMAGE)
		return NO_TABLE;
	image = u->image;
	table = kb_inner_map(&native_tables, &image);
	if (!table)
		return NOT_READY;
	head = element(table, 0);
	if (!head || relative >> 32 || relative >> (head->shift & 31) >= head->n_blocks)
		return NO_TABLE;
	block = element(table, 1 + (relative >> (head->shift & 31)));
	if (!block)
		return NO_TABLE;
	low = block->first;
	n = block->n;
	for (int i = 0; i < ROW_STEPS && n > 1; i++) {
		half = n / 2;
		at = element(table, low + half);
		if (!at)
			return NO_TABLE;
		if (at->pc <= relative) {
			low += half;
			n -= half;
		} else {
			n = half;
		}
	}
	at = element(table, low);
	if (!at)
		return NO_TABLE;
	u->row = *at;
	return GOES_ON;
}

/* Reads a word of the stack, at most `span` bytes above which others will be wanted. */
static __always_inline int read_stack(struct unwinding *u, kb_u64 address, kb_u64 *value)
{
	kb_u64 offset = address - u->window, size;

	if (offset + 8 > u->window_size || offset >= STACK_WINDOW) {
		size = KB_PAGE_SIZE - (address & (KB_PAGE_SIZE - 1));
		if (size > STACK_WINDOW)
			size = STACK_WINDOW;
		if (size < 8)
			size = 8;
		KB_OPAQUE(size);
		if (size > STACK_WINDOW || kb_read_user(u->stack, size, address))
			return -1;
		u->window = address;
		u->window_size = size;
		offset = 0;
	}
	KB_OPAQUE(offset);
	*value = *(kb_u64 *)(u->stack + (offset & (STACK_WINDOW - 1)));
	return 0;
}

/* A register that only the interrupted function can have made a CFA of. */
static __noinline kb_u64 other_register(kb_u32 number)
{
#ifdef KB_NATIVE_REGISTER
	struct pt_regs *regs = kb_user_registers();

	return KB_NATIVE_REGISTER(regs, number);
#else
	return 0;
#endif
}

/* The CFA by a rule that is neither of rsp nor of rbp alone; 0: not known. */
static __always_inline kb_u64 special_cfa(struct unwinding *u, kb_u32 rule)
{
	kb_u32 special = kb_unwind__special(rule);
	kb_s64 offset = kb_unwind__special_offset(rule);
	kb_u64 cfa = 0;

	if (special == KB_UNWIND_PLT)
		return u->sp + 8 + (((u->pc & 15) >= 11) << 3);
	if (special == KB_UNWIND_REGISTER)
		return u->stands ? other_register(kb_unwind__operand(rule)) + offset : 0;
	if (kb_read_user(&cfa, 8, (special == KB_UNWIND_DEREF_RSP ? u->sp : u->fp) + offset))
		return 0;
	return cfa + 8 * kb_unwind__operand(rule);
}

/* From a signal's trampoline to where the signal came. */
static __always_inline int leave_signal(struct unwinding *u)
{
	kb_u64 sp = u->sp;

	if (kb_read_user(&u->pc, 8, sp + KB_UNWIND_SIGNAL_RIP) ||
	    kb_read_user(&u->fp, 8, sp + KB_UNWIND_SIGNAL_RBP) ||
	    kb_read_user(&u->sp, 8, sp + KB_UNWIND_SIGNAL_RSP))
		return UNREADABLE;
	u->stands = 1;
	return GOES_ON;
}

/* From a frame to its caller's. */
static __always_inline int to_caller(struct unwinding *u, kb_u32 rule)
{
	kb_u32 base = kb_unwind__base(rule);
	kb_s64 fp = kb_unwind__fp_offset(rule);
	kb_u64 cfa;

	if (base == KB_UNWIND_NO_RULE)
		return kb_unwind__end(rule) == KB_UNWIND_END ? ENDED : NO_TABLE;
	if (base == KB_UNWIND_SPECIAL && kb_unwind__special(rule) == KB_UNWIND_SIGNAL)
		return leave_signal(u);
	if (base == KB_UNWIND_SPECIAL)
		cfa = special_cfa(u, rule);
	else
		cfa = (base == KB_UNWIND_RSP ? u->sp : u->fp) + kb_unwind__cfa_offset(rule);
	/* A stack grows downwards: its callers are above, or it is none. */
	if (cfa <= u->sp || cfa & 7)
		return BAD;
	/* The lower word first: the window begins with it. */
	if (fp && fp != KB_UNWIND_FP_AT_FP && read_stack(u, cfa + fp, &u->fp))
		return UNREADABLE;
	if (fp == KB_UNWIND_FP_AT_FP && kb_read_user(&u->fp, 8, u->fp))
		return UNREADABLE;
	if (read_stack(u, cfa - 8, &u->pc))
		return UNREADABLE;
	u->sp = cfa;
	u->stands = 0;
	return u->pc ? GOES_ON : ENDED;
}

static long unwind_step(kb_u64 index, struct stepping *stepping)
{
	struct unwinding *u = stepping->u;
	kb_u64 address = u->pc - !u->stands;
	int status = GOES_ON;

	if (address - u->start >= u->size)
		status = kb_native_mapping_of(u, address);
	if (status == GOES_ON)
		status = kb_native_row_of(u, address);
	if (!u->stands)
		address = u->pc;
	else if (status == GOES_ON)
		address = u->base + u->row.pc + 1;
	else
		address = u->pc + 1;
	kb_walk_append(stepping->walk, address);
	if (status == GOES_ON)
		status = to_caller(u, u->row.rule);
	u->status = status;
	return status != GOES_ON;
}

/* Asks for the mappings of the current process, again and again but not too often. */
static __noinline int ask_for_mappings(kb_u32 proc_id, kb_u32 tgid)
{
	struct kb_notice notice = { .kind = KB_NOTICE_MAPS, .tgid = tgid, .proc = proc_id };
	struct kb_native_proc *proc = bpf_map_lookup_elem(&native_procs, &proc_id), fresh = {};
	kb_u64 now = bpf_ktime_get_ns();
	kb_u32 shift;

	if (!proc) {
		bpf_map_update_elem(&native_procs, &proc_id, &fresh, BPF_NOEXIST);
		proc = bpf_map_lookup_elem(&native_procs, &proc_id);
	}
	if (!proc || now < proc->next_notice)
		return 0;
	shift = proc->asked < NOTICE_SHIFT_MAX ? proc->asked : NOTICE_SHIFT_MAX;
	proc->asked++;
	proc->next_notice = now + (NOTICE_FIRST_NS << shift);
	notice.start_time = kb_start_time();
	kb_notify(&notice);
	return 0;
}

/* Asks for an image's table, once. */
static __noinline int ask_for_table(kb_u32 image)
{
	struct kb_notice notice = { .kind = KB_NOTICE_TABLE, .image = image };
	kb_u32 *wanted = bpf_map_lookup_elem(&native_wanted, &image);

	if (wanted && !__sync_lock_test_and_set(wanted, 1))
		kb_notify(&notice);
	return 0;
}

static __always_inline void count_end(kb_u64 status)
{
	switch (status) {
	case GOES_ON:
		kb_count(KB_L_NATIVE_TRUNCATED, 1);
		break;
	case UNMAPPED:
	case NOT_READY:
		kb_count(KB_L_NATIVE_NOT_READY, 1);
		break;
	case NO_TABLE:
		kb_count(KB_L_NATIVE_NO_TABLE, 1);
		break;
	default:
		kb_count(KB_L_NATIVE_UNREADABLE, 1);
	}
}

/* Begins where the thread was when it entered the kernel last, which may be the interrupt. */
static __noinline void start(struct unwinding *u, kb_u32 list)
{
#ifdef KB_NATIVE_REGISTER
	struct pt_regs *regs = kb_user_registers();

	u->pc = regs->ip;
	u->sp = regs->sp;
	u->fp = regs->bp;
#endif
	u->stands = 1;
	u->size = 0;
	u->window_size = 0;
	u->status = GOES_ON;
	u->list = list;
}

__noinline int kb_native_append(struct kb_walk *walk, kb_u32 proc_id, kb_u32 tgid)
{
	struct stepping stepping = { .walk = walk };
	struct kb_native_proc *proc;
	kb_u64 head, frames;
	kb_u32 zero = 0;

	stepping.u = bpf_map_lookup_elem(&unwindings, &zero);
	if (!walk || !stepping.u)
		return 0;
	proc = bpf_map_lookup_elem(&native_procs, &proc_id);
	if (!proc || !proc->list) {
		ask_for_mappings(proc_id, tgid);
		kb_count(KB_L_NATIVE_NOT_READY, 1);
		return 0;
	}
	start(stepping.u, proc->list - 1);
	head = walk->head.n_words;
	if (head > KB_WORDS_MAX - OTHER_WORDS)
		return 0;
	frames = KB_WORDS_MAX - OTHER_WORDS - head;
	if (frames > KB_NATIVE_FRAMES_MAX)
		frames = KB_NATIVE_FRAMES_MAX;
	kb_walk_append(walk, 0); /* written when the number is known */
	bpf_loop(frames, unwind_step, &stepping, 0);
	if (stepping.u->status != ENDED) {
		kb_walk_append(walk, 0);
		count_end(stepping.u->status);
	}
	if (stepping.u->status == UNMAPPED)
		ask_for_mappings(proc_id, tgid);
	else if (stepping.u->status == NOT_READY)
		ask_for_table(stepping.u->image);
	frames = walk->head.n_words - head - 1;
	KB_OPAQUE(head);
	if (head < KB_WORDS_MAX)
		walk->words[head] = KB_WORD(KB_WORD_NATIVE, frames & 0xfff);
	return 1;
}

__noinline int kb_native_forked(kb_u32 parent_id, kb_u32 id)
{
	struct kb_native_proc *parent = bpf_map_lookup_elem(&native_procs, &parent_id), copy = {};

	if (!parent)
		return 0;
	copy.list = parent->list;
	bpf_map_update_elem(&native_procs, &id, &copy, BPF_ANY);
	return 0;
}

/* What a stack takes from the kernel's own walk; more than it is ever deep. */
#define KERNEL_FRAMES_MAX 127

struct kernel_stack {
	kb_u64 addresses[KERNEL_FRAMES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct kernel_stack);
} kernel_stacks SEC(".maps");

struct appending {
	struct kb_walk *walk;
	struct kernel_stack *stack;
};

static long append_step(kb_u64 index, struct appending *a)
{
	KB_OPAQUE(index);
	if (index >= KERNEL_FRAMES_MAX)
		return 1;
	kb_walk_append(a->walk, a->stack->addresses[index]);
	return 0;
}

__noinline int kb_kernel_append(struct kb_walk *walk)
{
	struct appending a = { .walk = walk };
	kb_u32 zero = 0;
	long n;

	a.stack = bpf_map_lookup_elem(&kernel_stacks, &zero);
	if (!walk || !a.stack)
		return 0;
	n = kb_kernel_stack(a.stack, sizeof(*a.stack));
	if (n <= 0)
		return 0;
	n /= 8;
	kb_walk_append(walk, KB_WORD(KB_WORD_KERNEL, n & 0xfff));
	bpf_loop(n, append_step, &a, 0);
	return 0;
}
