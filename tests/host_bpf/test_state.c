// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * What a thread is doing, in the layout of every version: a thread state, its interpreter and its
 * exceptions are put into memory, and bpf/python/state.bpf.c is asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "host_bpf/env.c"
#include "host_bpf/recording.c"
#include "host_bpf/walker.c"
#include "python/layout.h"

#define MEMORY	  0x100000
#define MEMORY_AT 0x7f0000000000ULL
#define TSTATE	  (MEMORY_AT + 0x1000)
#define OTHER	  (MEMORY_AT + 0x2000)
#define INTERP	  (MEMORY_AT + 0x10000) /* spans the offsets of a table's interpreter state */
#define GIL	  (MEMORY_AT + 0x30000)
#define COLLECTS  (MEMORY_AT + 0x31000)
#define ITEMS	  (MEMORY_AT + 0x40000) /* of the chain of exceptions, 64 bytes apart */
#define NONE	  (MEMORY_AT + 0x50000)
#define EXCEPTION (MEMORY_AT + 0x50100)

static uint8_t memory[MEMORY];
static struct kb_layout layout;
static struct kb_proc proc;
static struct kb_walk walk;

static bool read_memory(kb_u64 address, void *to, kb_u64 size, void *context)
{
	if (address < MEMORY_AT || address - MEMORY_AT > MEMORY - size)
		return false;
	memcpy(to, memory + (address - MEMORY_AT), size);
	return true;
}

static void poke(kb_u64 address, kb_u64 value)
{
	assert_in_range(address, MEMORY_AT, MEMORY_AT + MEMORY - 8);
	memcpy(memory + (address - MEMORY_AT), &value, 8);
}

/* A thread state without the GIL and without an exception; 13 to 15 have 3.12's layout here, which
 * differs in numbers alone. */
static void build(unsigned minor)
{
	assert_true(kb_layout__from_table(minor > 12 ? 12 : minor, &layout));
	assert_null(kb_layout__finish(&layout));
	layout.version_minor = minor;
	memset(memory, 0, sizeof(memory));
	memset(&walk, 0, sizeof(walk));
	proc = (struct kb_proc){ .none = NONE, .id = 1 };
	if (minor <= 11) {
		proc.tstate_current = MEMORY_AT;
		proc.gil = GIL;
		proc.gil_holder = GIL + KB_GIL_LAST_HOLDER;
	} else {
		proc.tstate_tls.kind = KB_TLS_STATIC;
		poke(INTERP + layout.interp_gil, GIL);
	}
	if (minor <= 8)
		proc.gc_collecting = COLLECTS;
	poke(TSTATE + layout.tstate_interp, INTERP);
	if (minor >= 7)
		poke(TSTATE + layout.tstate_exc_info, ITEMS);
	kb_host.read = read_memory;
}

static kb_u32 state(void)
{
	walk.tstate_at = TSTATE;
	assert_true(read_memory(TSTATE, walk.tstate, sizeof(walk.tstate), NULL));
	return kb_thread_state(&walk, &proc, &layout);
}

static void put_item(unsigned index, kb_u64 exception, bool last)
{
	kb_u64 at = ITEMS + index * 64, previous = last ? 0 : at + 64;

	if (layout.version_minor < 7)
		poke(TSTATE + layout.tstate_exc_info, exception);
	else if (layout.version_minor < 11)
		poke(at, exception), poke(at + 24, previous);
	else
		poke(at, exception), poke(at + 8, previous);
}

static void each_version(void (*check)(void))
{
	for (unsigned minor = 6; minor <= 15; minor++) {
		build(minor);
		check();
	}
	config = (struct kb_config){};
}

static void check_gil(void)
{
	config = (struct kb_config){ .mode = KB_MODE_IS_GIL };
	assert_int_equal(state(), 0);
	walk.attached = 1;
	assert_int_equal(state(), KB_STATE_GIL);
	/* Not asked for, not looked at. */
	config = (struct kb_config){ .mode = KB_MODE_IS_CPU };
	assert_int_equal(state(), 0);
}

/* Where the pointer to the running thread state is not known, the GIL itself is asked. */
static void check_gil_itself(void)
{
	if (layout.version_minor < 7)
		return;
	config = (struct kb_config){ .mode = KB_MODE_IS_GIL };
	proc.tstate_current = 0;
	proc.tstate_tls.kind = KB_TLS_NONE;
	assert_int_equal(state(), 0);
	poke(GIL + KB_GIL_LAST_HOLDER, TSTATE);
	assert_int_equal(state(), 0);
	poke(GIL + KB_GIL_LOCKED, 1);
	assert_int_equal(state(), KB_STATE_GIL);
	poke(GIL + KB_GIL_LOCKED, 0xffffffff); /* -1: not made yet */
	assert_int_equal(state(), 0);
	poke(GIL + KB_GIL_LOCKED, 1);
	poke(GIL + KB_GIL_LAST_HOLDER, OTHER);
	assert_int_equal(state(), 0);
	assert_int_equal(kb_gil_of(&walk, &proc, &layout), GIL);
}

static void check_exceptions(void)
{
	bool chain = layout.version_minor >= 7;

	config = (struct kb_config){ .mode = KB_MODE_IS_EXCEPTION };
	assert_int_equal(state(), 0);
	put_item(0, NONE, true);
	assert_int_equal(state(), 0);
	put_item(0, EXCEPTION, true);
	assert_int_equal(state(), KB_STATE_EXCEPTION);
	put_item(0, 0, true);
	poke(TSTATE + layout.tstate_raised, EXCEPTION);
	assert_int_equal(state(), KB_STATE_EXCEPTION);
	poke(TSTATE + layout.tstate_raised, 0);
	assert_int_equal(state(), 0);
	/* Handled by who resumed the generator. */
	put_item(0, NONE, false);
	put_item(1, 0, false);
	put_item(2, chain ? EXCEPTION : 0, true);
	assert_int_equal(state(), chain ? KB_STATE_EXCEPTION : 0);
}

/* Chains without an end, and into nowhere. */
static void check_hostile_exceptions(void)
{
	if (layout.version_minor < 7)
		return;
	config = (struct kb_config){ .mode = KB_MODE_IS_EXCEPTION };
	put_item(0, 0, false);
	poke(ITEMS + (layout.version_minor < 11 ? 24 : 8), ITEMS);
	assert_int_equal(state(), 0);
	poke(TSTATE + layout.tstate_exc_info, 0x10);
	assert_int_equal(state(), 0);
	layout.tstate_exc_info = KB_NO_OFFSET;
	layout.tstate_raised = KB_NO_OFFSET;
	assert_int_equal(state(), 0);
}

static void check_collection(void)
{
	kb_u64 at = layout.version_minor <= 8 ? COLLECTS : INTERP + layout.interp_gc_collecting;

	config = (struct kb_config){ .want = KB_WANT_MOMENTS };
	poke(at, 1);
	/* Another thread's: a finalizer has released the GIL. */
	assert_int_equal(state(), 0);
	walk.attached = 1;
	assert_int_equal(state(), KB_STATE_GIL | KB_STATE_GC);
	poke(at, 0);
	assert_int_equal(state(), KB_STATE_GIL);
	poke(at, 1);
	config = (struct kb_config){ .want = KB_WANT_GC };
	assert_int_equal(state(), KB_STATE_GC);
}

static void test_gil(void **unused)
{
	each_version(check_gil);
}

static void test_gil_itself(void **unused)
{
	each_version(check_gil_itself);
}

static void test_exceptions(void **unused)
{
	each_version(check_exceptions);
}

static void test_hostile_exceptions(void **unused)
{
	each_version(check_hostile_exceptions);
}

static void test_collection(void **unused)
{
	each_version(check_collection);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gil),	   cmocka_unit_test(test_gil_itself),
		cmocka_unit_test(test_exceptions), cmocka_unit_test(test_hostile_exceptions),
		cmocka_unit_test(test_collection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
