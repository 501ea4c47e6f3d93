/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_HOST_BPF_ENV_H
#define KB_HOST_BPF_ENV_H

/*
 * The BPF programs' surroundings, as ordinary C.
 *
 * bpf/common/env.bpf.h includes this file instead of the kernel's helpers when
 * the compiler's target is not BPF. What the walker, the thread finder and the
 * code reader see is the same: maps that are declared with libbpf's macros, user
 * memory that is read through one helper and may be missing, a ring buffer. So
 * the sources that run in the kernel are tested unchanged, without root, in a
 * debugger and under sanitizers, over memory of any shape.
 *
 *   kb_read_user          asks kb_host.read, which tests point at a recording and the recorder
 *                         at a live process. Like bpf_probe_read_user() it clears the
 *                         destination when it fails.
 *   maps                  a map is known by its address; type, sizes and capacity are
 *                         read off the types in its declaration. Values are
 *                         separate blocks of exactly the value's size, so that a sanitizer
 *                         sees the first byte beyond. Elements of arrays exist from the
 *                         start, hashes refuse what does not fit, LRU ones drop the oldest.
 *   bpf_ringbuf_output    appends to a list that kb_host__next_record() walks, until
 *                         kb_host.ring_bytes are used up.
 *   kb_inner_map          maps in maps are arrays that tests hand over (kb_host__set_inner).
 *   kb_user_registers, kb_kernel_stack, bpf_ktime_get_ns  what kb_host says.
 *   bpf_loop, bpf_iter_num  plain loops with the kernel's limits; kb_host.no_iterators takes the
 *                         latter away, as on kernels before 6.4.
 *
 * There is one CPU and no concurrency. What only the kernel can tell (the verifier's
 * verdict, attaching, tasks) is tested in tests/kernel_bpf.
 *
 * env.c holds the functions. Both are included by the one file that a test consists of.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/shared/types.h"

/* Fields are relocated against a running kernel only there. */
#define KB_CORE
#if defined(__x86_64__)
#include "vmlinux/arch_x86.h"
#elif defined(__aarch64__)
#include "vmlinux/arch_arm64.h"
#else
#error "no vmlinux/arch_*.h for this processor"
#endif

/*
 * The programs compare counts with int indexes and read words at the offsets that hostile memory
 * gives, aligned or not: processors that BPF is compiled for load both.
 */
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's, on loops */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline, no_sanitize("alignment")))
#undef __noinline
#define __noinline __attribute__((noinline, no_sanitize("alignment")))

#define SEC(name)
#define __uint(name, value)  int(*name)[value]
#define __type(name, value)  typeof(value) *name
#define __array(name, value) typeof(value) *name[]

/* Tests set it at any time. */
#define KB_SETTING volatile

#define KB_OPAQUE(x) asm volatile("" : "+r"(x))

/* ---------------------------------------------------------------- user memory */

struct kb_host {
	/* Copies `size` bytes at `address`; false when one of them is not there. */
	bool (*read)(kb_u64 address, void *to, kb_u64 size, void *context);
	void *context;
	kb_u64 reads;		  /* so far */
	size_t ring_bytes;	  /* room in every ring */
	bool no_iterators;	  /* the kernel has no bpf_iter_num */
	struct pt_regs registers; /* of the current thread, and what it does in the kernel */
	const kb_u64 *kernel_stack;
	size_t kernel_depth;
	kb_u64 now;	  /* ns */
	kb_u64 iterators; /* so far */
};
extern struct kb_host kb_host;

long kb_host__read_user(void *to, kb_u64 size, kb_u64 address);
#define kb_read_user(dst, size, address) kb_host__read_user(dst, size, address)

/* ---------------------------------------------------------------- maps */

struct kb_host_map {
	const void *map; /* its identity */
	unsigned type, capacity, key_bytes, value_bytes;
};
#define KB_HOST_MAP(m)                                                                             \
	(&(struct kb_host_map){ (m), sizeof(*(m)->type) / sizeof(int),                             \
				sizeof(*(m)->max_entries) / sizeof(int), sizeof(*(m)->key),        \
				sizeof(*(m)->value) })

void *kb_host__lookup(const struct kb_host_map *map, const void *key);
long kb_host__update(const struct kb_host_map *map, const void *key, const void *value,
		     kb_u64 flags);
long kb_host__delete(const struct kb_host_map *map, const void *key);
unsigned kb_host__count(const void *map);

#define bpf_map_lookup_elem(m, key)		  kb_host__lookup(KB_HOST_MAP(m), key)
#define bpf_map_update_elem(m, key, value, flags) kb_host__update(KB_HOST_MAP(m), key, value, flags)
#define bpf_map_delete_elem(m, key)		  kb_host__delete(KB_HOST_MAP(m), key)

/* An inner map: elements[0 … n) of `bytes` bytes each; the caller's. */
struct kb_host_inner {
	const void *elements;
	size_t n, bytes;
};
const struct kb_host_inner *kb_host__inner(const void *outer, kb_u32 key);
void *kb_host__inner_element(const struct kb_host_inner *inner, kb_u32 key);
/* NULL: none any more. */
void kb_host__set_inner(const void *outer, kb_u32 key, const struct kb_host_inner *inner);

#define kb_inner_map(outer, key)   ((void *)kb_host__inner(outer, *(key)))
#define kb_inner_element(map, key) kb_host__inner_element(map, *(key))

/* Empties all maps and rings. */
void kb_host__clear(void);

/* ---------------------------------------------------------------- ring buffers */

long kb_host__output(const void *ring, const void *record, kb_u64 size);
#define bpf_ringbuf_output(ring, record, size, flags) kb_host__output(ring, record, size)

/* Walks a ring's records from the first: start with *cursor NULL. NULL: no more. */
const void *kb_host__next_record(const void *ring, void **cursor, size_t *size);

/* ---------------------------------------------------------------- tasks */

#define KB_HOST_TGID		   4711
#define bpf_get_current_pid_tgid() ((kb_u64)KB_HOST_TGID << 32 | KB_HOST_TGID)
#define KB_HOST_START		   123456789
#define kb_start_time()		   ((kb_u64)KB_HOST_START)
#define bpf_ktime_get_ns()	   (kb_host.now)
#define kb_user_registers()	   (&kb_host.registers)

/* Bytes that were written, as bpf_get_task_stack() has it. */
long kb_host__kernel_stack(void *buffer, size_t size);
#define kb_kernel_stack(buffer, size) kb_host__kernel_stack(buffer, size)

/* ---------------------------------------------------------------- loops */

#define KB_HOST_LOOPS_MAX (8u << 20) /* BPF_MAX_LOOPS, include/linux/bpf_verifier.h */

/* How many turns were made, with the one that ended the loop. */
#define bpf_loop(count, step, context, flags)                                                      \
	({                                                                                         \
		kb_u64 kb_n_ = (count), kb_i_ = 0;                                                 \
		while (kb_n_ <= KB_HOST_LOOPS_MAX && kb_i_ < kb_n_ && !step(kb_i_++, context))     \
			;                                                                          \
		kb_n_ <= KB_HOST_LOOPS_MAX ? (long)kb_i_ : -E2BIG;                                 \
	})

struct bpf_iter_num {
	int next, end, value;
};

static inline int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end)
{
	kb_host.iterators++;
	it->next = start;
	it->end = end;
	return 0;
}

static inline int *bpf_iter_num_next(struct bpf_iter_num *it)
{
	if (it->next >= it->end)
		return NULL;
	it->value = it->next++;
	return &it->value;
}

static inline void bpf_iter_num_destroy(struct bpf_iter_num *it)
{
	it->end = it->next;
}

/* The one function that is asked for, bpf_iter_num_new, stands for all three. */
#define KB_HAVE_KFUNC(function) (!kb_host.no_iterators)

#endif
