// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Allocations, at the functions that allocate and free.
 *
 * A block counts as tracemalloc counts it (Modules/_tracemalloc.c, 3.6 to 3.15): by the size that
 * the outermost call asked for, attributed to the stack of that call. So a call is noted when it
 * begins and accounted when it returns, and whatever it calls itself meanwhile (pymalloc asks the
 * raw domain for what is large, and that one libc) is its own business. A thread's stack pointer
 * tells what is within what: a call within another has a lower one, and one that is not lower means
 * that the noted call has ended unseen.
 *
 * Order. A block is gone when freeing begins, not when it ends: another thread may be given the
 * address before the call returns. A reallocated block is taken out when the call begins, for the
 * same reason, and put back when it fails.
 *
 * The sums and the table of blocks are in memory_sums.bpf.h.
 */
#define KB_DEFINE_MEMORY_SUMS
#include "memory_sums.bpf.h"

#define ARENA_POOLS_MAX 256 /* 1 MB in pools of 4 kB */

/* By process id; of those whose calls are to be told apart. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MEMORY_PROCESSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, kb_u32);
	__type(value, struct kb_memory_text);
} memory_texts SEC(".maps");

/* A call under way. */
struct call {
	kb_u64 sp; /* 0: none */
	kb_u64 size;
	kb_u64 at; /* where the block's address will be, of posix_memalign() */
	kb_u64 time;
	struct kb_block_key old_key;
	struct kb_block old; /* taken out; size ~0: none */
	kb_u32 function, attached;
	kb_u32 native, reserved;
};

struct calls {
	struct call nested, apart;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct calls);
} memory_calls SEC(".maps");

/* ---------------------------------------------------------------- blocks */

/* Puts a block in, and what is known under its address out: that was freed unseen. */
static __noinline int put_block(struct kb_memory_process *process, const struct kb_block_key *key,
				const struct kb_block *block)
{
	struct kb_block old;

	if (take_block(key, &old))
		subtract(sums_for(process, key->group, &old), &old);
	if (bpf_map_update_elem(&memory_blocks, key, block, BPF_NOEXIST)) {
		__sync_fetch_and_add(&process->lost_blocks, 1);
		__sync_fetch_and_add(&process->lost_bytes, block->size);
		return 0;
	}
	return 1;
}

/* The block that a call has returned. */
static __noinline int add_block(struct kb_proc *proc, kb_u64 address, const struct call *call,
				kb_u64 cookie)
{
	kb_u32 op = KB_COOKIE_OP(cookie);
	kb_u64 size = op == KB_OP_POOL ? KB_COOKIE_BYTES(cookie) : call->size;
	struct kb_block_key key = { .address = address };
	struct kb_block block = { .size = size };
	struct kb_memory_process *process;
	struct kb_memory_sums *sums;
	kb_u32 group = KB_COOKIE_GROUP(cookie);

	key.proc = proc->id;
	key.group = group;
	process = sums_of(proc->id);
	if (!process || group >= KB_GROUP_IDS)
		return 0;
	block.domain = KB_COOKIE_DOMAIN(cookie);
	if (block.domain == KB_DOMAIN_MMAP && size == KB_COOKIE_BYTES(cookie))
		block.domain = KB_DOMAIN_ARENA;
	if (block.domain == KB_DOMAIN_LIBC && call->native)
		block.domain = KB_DOMAIN_NATIVE;
	sums = sums_for(process, group, &block);
	block.window = memory_control.window;
	block.time = bpf_ktime_get_ns();
	block.stack = kb_memory_stack_number(proc, block.domain, sums->peak_at);
	if (!block.stack)
		__sync_fetch_and_add(&process->no_stack, 1);
	if (put_block(process, &key, &block))
		add(sums, &block);
	add_total(sums, &block);
	return 0;
}

struct pools {
	struct kb_memory_process *process;
	struct kb_block_key key;
	kb_u64 bytes;
};

static long drop_pool(kb_u64 index, struct pools *pools)
{
	struct kb_block block;

	if (take_block(&pools->key, &block))
		subtract(&pools->process->sums[KB_GROUP_HEAP], &block);
	pools->key.address += pools->bytes;
	return 0;
}

#define POOL_BYTES_MIN 4096

/* An arena takes its pools with it. */
static __noinline int drop_pools(struct kb_memory_process *process, struct kb_proc *proc,
				 kb_u64 address, kb_u64 size)
{
	struct pools pools = { .process = process, .bytes = POOL_BYTES_MIN };

	pools.key.address = address;
	pools.key.proc = proc->id;
	pools.key.group = KB_GROUP_HEAP;
	size /= POOL_BYTES_MIN;
	if (size > ARENA_POOLS_MAX)
		size = ARENA_POOLS_MAX;
	bpf_loop(size, drop_pool, &pools, 0);
	return 0;
}

/* size: how much of it is unmapped, 0: all. */
static __noinline int free_block(struct kb_proc *proc, kb_u64 address, kb_u32 group, kb_u64 size)
{
	struct kb_memory_process *process = sums_of(proc->id);
	struct kb_block_key key = { .address = address };
	struct kb_block block;

	key.proc = proc->id;
	key.group = group;
	if (!process || group >= KB_GROUP_IDS)
		return 0;
	if (!take_block(&key, &block)) {
		/* Of what is mapped much was never asked for through mmap(). */
		if (group != KB_GROUP_MAPPED)
			__sync_fetch_and_add(&process->frees_before, 1);
		return 0;
	}
	subtract(sums_for(process, group, &block), &block);
	__sync_fetch_and_add(&process->frees, 1);
	if (block.domain == KB_DOMAIN_ARENA)
		drop_pools(process, proc, address, block.size);
	if (size && size < block.size) {
		/* The rest stays mapped, from a later address on. */
		key.address += size;
		block.size -= size;
		if (put_block(process, &key, &block))
			add(&process->sums[group], &block);
	}
	return 0;
}

/* ---------------------------------------------------------------- calls */

/* The target's process that the current thread is of. */
static __always_inline struct kb_proc *current_process(void)
{
	kb_u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct kb_proc *proc;

	if (!memory_control.window)
		return NULL;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (!proc || proc->state != KB_PROC_PYTHON ||
	    !kb_same_start(proc->start_time, kb_start_time()))
		return NULL;
	return proc;
}

static __always_inline struct calls *calls_of(kb_u64 flags)
{
	return bpf_task_storage_get(&memory_calls, bpf_get_current_task_btf(), 0, flags);
}

/* No call takes so long; its return was not seen. */
#define CALL_NS_MAX 1000000000ULL

/* Is a call with this stack pointer within the noted one? A tail call has the same. */
static __always_inline int is_within(const struct call *call, kb_u64 sp, kb_u32 function)
{
	return call->sp && call->attached == memory_control.attached &&
	       (call->sp > sp || (call->sp == sp && call->function != function)) &&
	       bpf_ktime_get_ns() - call->time < CALL_NS_MAX;
}

struct arguments {
	kb_u64 first, second, third;
};

static __always_inline void read_arguments(struct pt_regs *ctx, kb_u64 cookie,
					   struct arguments *arguments)
{
	kb_u64 a = KB_FIRST_ARGUMENT(ctx), b = KB_SECOND_ARGUMENT(ctx), c = KB_THIRD_ARGUMENT(ctx),
	       d = KB_FOURTH_ARGUMENT(ctx);
	int shifted = KB_COOKIE_SHIFTED(cookie);

	/* Chosen as values: the verifier does not let pointers into the context be chosen. */
	KB_OPAQUE(a);
	KB_OPAQUE(b);
	KB_OPAQUE(c);
	KB_OPAQUE(d);
	arguments->first = shifted ? b : a;
	arguments->second = shifted ? c : b;
	arguments->third = shifted ? d : c;
}

static __always_inline int reallocates(kb_u32 op)
{
	return op == KB_OP_REALLOC || op == KB_OP_REALLOCARRAY || op == KB_OP_MREMAP;
}

static __always_inline kb_u64 size_asked_for(kb_u32 op, const struct arguments *a)
{
	switch (op) {
	case KB_OP_CALLOC:
		return a->first * a->second;
	case KB_OP_REALLOCARRAY:
		return a->second * a->third;
	case KB_OP_REALLOC:
	case KB_OP_ALIGNED_ALLOC:
	case KB_OP_MMAP:
		return a->second;
	case KB_OP_POSIX_MEMALIGN:
	case KB_OP_MREMAP:
		return a->third;
	default:
		return a->first;
	}
}

/* A reallocated block is not there until the call returns. */
static __noinline int take_old(struct call *call, struct kb_proc *proc, kb_u64 address,
			       kb_u32 group)
{
	struct kb_memory_process *process = sums_of(proc->id);

	call->old_key.address = address;
	call->old_key.proc = proc->id;
	call->old_key.group = group;
	if (!process || group >= KB_GROUP_IDS)
		return 0;
	if (take_block(&call->old_key, &call->old))
		subtract(sums_for(process, group, &call->old), &call->old);
	else
		call->old.size = ~0ULL;
	return 0;
}

/*
 * Does other code than the interpreter's call? Many functions of Python's allocator end in a jump,
 * so an extension that uses PyMem_Realloc() seems to call realloc() itself: what is reallocated
 * stays what it was.
 */
static __noinline int is_native(struct kb_proc *proc, kb_u64 sp, const struct call *call)
{
	kb_u32 id = proc->id;
	struct kb_memory_text *text = bpf_map_lookup_elem(&memory_texts, &id);
	kb_u64 caller = 0;

	if (!text || !text->end)
		return 0;
	if (call->old.size != ~0ULL)
		return call->old.domain == KB_DOMAIN_NATIVE;
	if (kb_read_user(&caller, 8, sp))
		return 0;
	return caller < text->start || caller >= text->end;
}

static __always_inline int begin_call(struct pt_regs *ctx)
{
	kb_u64 cookie = bpf_get_attach_cookie(ctx), sp = KB_STACK_POINTER(ctx);
	kb_u32 op = KB_COOKIE_OP(cookie), function = KB_COOKIE_FUNCTION(cookie);
	struct kb_proc *proc = current_process();
	struct kb_memory_process *process;
	struct arguments arguments;
	struct calls *calls;
	struct call *call;

	if (!proc)
		return 0;
	calls = calls_of(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!calls)
		return 0;
	call = KB_COOKIE_APART(cookie) ? &calls->apart : &calls->nested;
	if (is_within(call, sp, function))
		return 0;
	if (call->sp && call->attached == memory_control.attached) {
		process = sums_of(proc->id);
		if (process)
			__sync_fetch_and_add(&process->unfinished, 1);
	}
	read_arguments(ctx, cookie, &arguments);
	call->sp = sp;
	call->time = bpf_ktime_get_ns();
	call->function = function;
	call->attached = memory_control.attached;
	call->size = size_asked_for(op, &arguments);
	call->at = arguments.first;
	call->old.size = ~0ULL;
	if (reallocates(op) && arguments.first)
		take_old(call, proc, arguments.first, KB_COOKIE_GROUP(cookie));
	/* Before the return address is that of the return probe. */
	call->native = KB_COOKIE_DOMAIN(cookie) == KB_DOMAIN_LIBC && is_native(proc, sp, call);
	return 0;
}

#define ERRNO_MAX 4095 /* include/linux/err.h; MAP_FAILED is within it */

/* The block that a call returned, 0: it failed. */
static __always_inline kb_u64 block_returned(kb_u64 cookie, kb_u64 result, const struct call *call)
{
	kb_u64 address = 0;

	switch (KB_COOKIE_OP(cookie)) {
	case KB_OP_POSIX_MEMALIGN:
		if (!(kb_u32)result)
			kb_read_user(&address, 8, call->at);
		return address;
	case KB_OP_MMAP:
	case KB_OP_MREMAP:
		return result >= -(kb_u64)ERRNO_MAX ? 0 : result;
	case KB_OP_POOL:
		return result & -(kb_u64)KB_COOKIE_BYTES(cookie);
	default:
		return result;
	}
}

static __noinline int put_back(struct kb_proc *proc, struct call *call)
{
	struct kb_memory_process *process = sums_of(proc->id);
	kb_u32 group = call->old_key.group;

	if (process && group < KB_GROUP_IDS && put_block(process, &call->old_key, &call->old))
		add(sums_for(process, group, &call->old), &call->old);
	return 0;
}

static __always_inline int end_call(struct pt_regs *ctx)
{
	kb_u64 cookie = bpf_get_attach_cookie(ctx),
	       sp = KB_STACK_POINTER(ctx) - KB_RETURN_ADDRESS_BYTES;
	struct kb_proc *proc = current_process();
	struct calls *calls;
	struct call *call;
	kb_u64 address;

	if (!proc)
		return 0;
	calls = calls_of(0);
	if (!calls)
		return 0;
	call = KB_COOKIE_APART(cookie) ? &calls->apart : &calls->nested;
	/* One that is within, also by a jump at its end, or whose beginning was not seen. */
	if (call->sp != sp || call->function != KB_COOKIE_FUNCTION(cookie) ||
	    call->attached != memory_control.attached)
		return 0;
	address = block_returned(cookie, KB_RESULT(ctx), call);
	/* libc's realloc(block, 0) frees and returns NULL. */
	if (!address && call->old.size != ~0ULL &&
	    (call->size || KB_COOKIE_DOMAIN(cookie) != KB_DOMAIN_LIBC))
		put_back(proc, call);
	if (address)
		add_block(proc, address, call, cookie);
	call->sp = 0;
	return 0;
}

SEC("uprobe")
int on_allocate(struct pt_regs *ctx)
{
	return begin_call(ctx);
}

SEC("uretprobe")
int on_allocated(struct pt_regs *ctx)
{
	return end_call(ctx);
}

SEC("uprobe")
int on_free(struct pt_regs *ctx)
{
	kb_u64 cookie = bpf_get_attach_cookie(ctx);
	struct kb_proc *proc = current_process();
	struct arguments arguments;
	struct calls *calls;

	if (!proc)
		return 0;
	read_arguments(ctx, cookie, &arguments);
	if (!arguments.first)
		return 0;
	calls = calls_of(0);
	if (calls && is_within(KB_COOKIE_APART(cookie) ? &calls->apart : &calls->nested,
			       KB_STACK_POINTER(ctx), KB_COOKIE_FUNCTION(cookie)))
		return 0;
	return free_block(proc, arguments.first, KB_COOKIE_GROUP(cookie),
			  KB_COOKIE_OP(cookie) == KB_OP_MUNMAP ? arguments.second : 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
