// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * asyncio's tasks in memory built by hand, in the layout of every version: the one that runs, those
 * that wait for it, their names; and memory that is made to harm.
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
#include "python/task_layout.h"

#define MEMORY	  0x100000
#define MEMORY_AT 0x7f0000000000ULL
#define PLACE(n)  (MEMORY_AT + (n)*0x1000ULL) /* an object each */

#define TSTATE	  PLACE(1) /* two pages */
#define TYPES	  PLACE(3) /* an address in it is a type */
#define CODE	  PLACE(4)
#define LOOP	  PLACE(5)
#define KEYS	  PLACE(6)
#define WORKER	  PLACE(10) /* the task that runs */
#define PARENT	  PLACE(11) /* the task that waits for it */
#define CORO	  PLACE(12) /* of the first */
#define WAITING	  PLACE(13) /* of the other, and what it awaits */
#define AWAITED	  PLACE(14)
#define FRAME(o)  ((o) + 0x400) /* up to 3.10 frames are apart from their coroutines */
#define OUTER	  PLACE(15)	/* the frame that called the worker's */
#define NAMES	  PLACE(16)
#define SET	  PLACE(20)
#define DICT	  PLACE(21)
#define WAKE_UP	  PLACE(22)
#define STACK(o)  ((o) + 0x800) /* a value stack */
#define STR_TYPE  (TYPES + 8)
#define INT_TYPE  (TYPES + 16)
#define CORO_TYPE (TYPES + 24)
#define CALL_TYPE (TYPES + 32)
#define CODE_TYPE (TYPES + 40)
#define FUNC_TYPE (TYPES + 48)
#define BIND_TYPE (TYPES + 56)
#define DONE_CALL PLACE(17) /* a Python function, its closure and cell, and the future in that */
#define OUTER_FUT PLACE(18)
#define GROUP	  PLACE(19)

static uint8_t memory[MEMORY];
static struct kb_layout layout;
static struct kb_object_layout objects;
static struct kb_task_layout at;
static struct kb_proc proc;
static struct kb_walk walk;
static unsigned minor;

static bool read_memory(kb_u64 address, void *to, kb_u64 size, void *context)
{
	if (address < MEMORY_AT || size > MEMORY || address - MEMORY_AT > MEMORY - size)
		return false;
	memcpy(to, memory + (address - MEMORY_AT), size);
	return true;
}

static void poke(kb_u64 address, kb_u64 value, size_t size)
{
	assert_in_range(address, MEMORY_AT, MEMORY_AT + MEMORY - 8);
	memcpy(memory + (address - MEMORY_AT), &value, size);
}

static void put_string(kb_u64 where, const char *text)
{
	size_t n = strlen(text);

	poke(where + layout.object_type, STR_TYPE, 8);
	poke(where + layout.unicode_length, n, 8);
	poke(where + layout.unicode_state, (1u | 8u | 16u) << layout.unicode_kind_shift, 4);
	memcpy(memory + (where + layout.unicode_ascii_data - MEMORY_AT), text, n);
}

static kb_u64 frame_of(kb_u64 coroutine)
{
	return minor < 11 ? FRAME(coroutine) : coroutine + at.generator_frame;
}

/* A suspended coroutine that awaits an object. */
static void put_coroutine(kb_u64 where, kb_u64 awaits)
{
	kb_u64 frame = frame_of(where);

	poke(where + layout.object_type, CORO_TYPE, 8);
	if (minor < 11)
		poke(where + at.generator_frame, frame, 8);
	else
		poke(where + at.generator_state, (kb_u8)at.suspended_last, 1);
	poke(frame + layout.frame_code, CODE, 8);
	poke(frame + layout.frame_instr, minor < 11 ? 0 : CODE + layout.code_instructions, 8);
	if (minor < 10 || minor > 13)
		poke(frame + at.frame_stacktop, STACK(where) + 8, 8);
	else
		poke(frame + at.frame_stacktop, 1, 4);
	if (minor <= 10)
		poke(frame + at.frame_valuestack, STACK(where), 8);
	poke(minor >= 11 && minor <= 13 ? frame + at.frame_localsplus : STACK(where), awaits, 8);
}

static void put_task(kb_u64 where, kb_u64 coroutine, kb_u64 name)
{
	poke(where + at.task_coro, coroutine, 8);
	if (at.task_name != KB_NO_OFFSET)
		poke(where + at.task_name, name, 8);
	if (at.task_is_task != KB_NO_OFFSET)
		poke(where + at.task_is_task, 1, 1);
}

static void put_waiter(kb_u64 task, kb_u64 waiter)
{
	poke(waiter + at.task_fut_waiter, task, 8);
	if (at.task_awaited_by != KB_NO_OFFSET) {
		poke(task + at.task_awaited_by, waiter, 8);
	} else if (at.task_callback0 != KB_NO_OFFSET) {
		poke(task + at.task_callback0, WAKE_UP, 8);
		poke(WAKE_UP + 8, CALL_TYPE, 8);
		poke(WAKE_UP + 16, minor == 7 ? waiter : 0, 8);
		poke(WAKE_UP + 24, waiter, 8);
	}
}

static void put_running(kb_u64 task)
{
	struct kb_task_dict dict = { .address = DICT };
	kb_u32 id = proc.id;

	if (at.tstate_running_task != KB_NO_OFFSET) {
		poke(TSTATE + at.tstate_running_task, task, 8);
		return;
	}
	bpf_map_update_elem(&task_dicts, &id, &dict, BPF_ANY);
	poke(DICT + at.dict_keys, KEYS, 8);
	poke(KEYS + at.keys_nentries, 2, 8);
	if (minor >= 11)
		poke(KEYS + at.keys_log2_index_bytes, 3, 1);
	else
		poke(KEYS + at.keys_size, 8, 8);
	/* The first entry was removed. */
	poke(KEYS + at.keys_indices + 8 + 24 + 8, LOOP, 8);
	poke(KEYS + at.keys_indices + 8 + 24 + 16, task, 8);
}

/* A thread that runs the task "worker", for which "parent" waits in two coroutines. */
static void build(unsigned version)
{
	struct kb_asyncio_offsets offsets;
	kb_u32 image = 0;

	minor = version;
	assert_true(kb_layout__from_table(minor > 12 ? 12 : minor, &layout));
	assert_null(kb_layout__finish(&layout));
	layout.version_minor = minor;
	layout.cframe_current_frame = KB_NO_OFFSET; /* the walk is not what is tested */
	kb_object_layout__init(&objects, &layout);
	memset(memory, 0, sizeof(memory));
	memset(&at, 0, sizeof(at));
	assert_true(kb_asyncio_offsets__built_in(&layout, &offsets));
	assert_true(kb_task_layout__set(&offsets, &layout, &objects, &at));
	walker__clear();
	numbered = 0;
	kb_host.ring_bytes = SIZE_MAX;
	kb_host.read = read_memory;
	proc = (struct kb_proc){ .id = 1, .code_type = CODE_TYPE, .image = image };
	at.code_type = CODE_TYPE - 0x100; /* as linked; the process's bias is 0x100 */
	at.str_type = STR_TYPE - 0x100;
	at.int_type = INT_TYPE - 0x100;
	at.coroutine_type = CORO_TYPE - 0x100;
	at.builtin_type = CALL_TYPE - 0x100;
	at.function_type = FUNC_TYPE - 0x100;
	at.method_type = BIND_TYPE - 0x100;
	bpf_map_update_elem(&task_layouts, &image, &at, BPF_ANY);
	poke(CODE + layout.object_type, CODE_TYPE, 8);
	put_string(NAMES, "worker");
	put_string(NAMES + 0x200, "parent");
	put_task(WORKER, CORO, NAMES);
	put_task(PARENT, WAITING, NAMES + 0x200);
	put_coroutine(CORO, 0);
	put_coroutine(WAITING, AWAITED);
	put_coroutine(AWAITED, LOOP);
	put_waiter(WORKER, PARENT);
	put_running(WORKER);
	poke(frame_of(CORO) + layout.frame_previous, OUTER, 8);
	poke(OUTER + layout.frame_code, CODE, 8);
}

/* What stands at the end of any walk: sections that fill the tail. */
static unsigned count_sections(void)
{
	kb_u64 n = walk.head.n_words, i = walk.n_frames;
	unsigned sections = 0;

	assert_in_range(n, walk.n_frames, KB_WORDS_MAX);
	while (i < n) {
		assert_int_equal(KB_WORD_KIND(walk.words[i]), KB_WORD_TASK);
		assert_true(KB_WORD_VALUE(walk.words[i]) >= KB_TASK_HEAD);
		i += 1 + KB_WORD_VALUE(walk.words[i]);
		sections++;
	}
	assert_int_equal(i, n);
	return sections;
}

/* Returns the number of sections. */
static unsigned take(void)
{
	kb_u64 before = kb_host.reads;

	memset(&walk, 0xa5, sizeof(walk));
	config.want = KB_WANT_TASKS;
	walk.tstate_at = TSTATE;
	walk.frame = frame_of(CORO);
	walk.last_frame = 0;
	kb_tasks_find(&walk, &proc, &layout);
	assert_in_range(kb_walk_frames(&walk, &layout, 1), KB_WALK_OK, KB_WALK_NO_FRAME);
	kb_tasks_append(&walk, &proc, &layout);
	config.want = 0;
	assert_in_range(kb_host.reads - before, 1, CHAIN_STEPS * 8 + KB_FRAMES_MAX);
	return count_sections();
}

static unsigned count_names(const char *name)
{
	void *cursor = NULL;
	const void *record;
	unsigned n = 0;
	size_t size;

	while ((record = kb_host__next_record(&data, &cursor, &size))) {
		const struct kb_data_task *task = record;

		if (task->kind != KB_DATA_TASK)
			continue;
		assert_int_equal(size, sizeof(*task) + task->bytes);
		n += task->bytes == strlen(name) && !memcmp(task + 1, name, task->bytes);
	}
	return n;
}

static void each_version(void (*check)(void))
{
	for (unsigned version = 6; version <= 15; version++) {
		build(version);
		check();
	}
	walker__clear();
}

static void check_chain(void)
{
	unsigned names = minor >= 8, chain = minor >= 7;
	kb_u64 i;

	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(take(), 1 + chain);
		assert_int_equal(walk.n_frames, 2);
		assert_int_equal(KB_TASK_DEPTH(walk.words[4]), 1);
		assert_int_equal(KB_TASK_WAITERS(walk.words[4]), chain);
		if (!chain)
			continue;
		i = 5; /* behind the running task's section */
		assert_int_equal(KB_WORD_VALUE(walk.words[i]), KB_TASK_HEAD + 2);
		assert_int_equal(walk.words[i + 2], 0);
		assert_int_equal(KB_FRAME_CODE(walk.words[i + 3]), CODE);
	}
	/* Once each. */
	assert_int_equal(count_names("worker"), names);
	assert_int_equal(count_names("parent"), names);
}

static void test_chain(void **state)
{
	each_version(check_chain);
}

/* A task that another thread runs, or that waits: its frame is not in this stack. */
static void check_other_thread(void)
{
	put_task(WORKER, WAITING, NAMES);
	assert_int_equal(take(), 0);
	put_running(0);
	assert_int_equal(take(), 0);
	put_running(MEMORY_AT - 8);
	assert_int_equal(take(), 0);
}

static void test_other_thread(void **state)
{
	each_version(check_other_thread);
}

static kb_u64 key_of_worker(void)
{
	assert_true(take() >= 1);
	return walk.words[3];
}

static void check_names(void)
{
	static const kb_u64 wild[] = { 0, 1, MEMORY_AT + MEMORY - 1, ~0ULL, WORKER };
	kb_u64 key, name = NAMES + 0x400;

	if (minor < 8)
		return;
	for (size_t i = 0; i < sizeof(wild) / sizeof(*wild); i++) {
		put_task(WORKER, CORO, wild[i]);
		assert_int_equal(key_of_worker(), KB_TASK_NAMELESS);
	}
	put_task(WORKER, CORO, name);
	put_string(name, "Task-123");
	key = key_of_worker();
	assert_true(key >= KB_TASK_KEYS);
	if (minor >= 12) {
		/* The same, before anybody asked for it. */
		poke(name + layout.object_type, INT_TYPE, 8);
		poke(name + at.long_tag, 1 << 3, 8);
		poke(name + at.long_digits, 123, 4);
		assert_int_equal(key_of_worker(), key);
		poke(name + at.long_tag, 3 << 3, 8);
		assert_int_equal(key_of_worker(), KB_TASK_NAMELESS);
	}
	put_string(name, "Task-");
	assert_true(key_of_worker() >= KB_TASK_KEYS);
	/* Lengths that are none, and kinds. */
	poke(name + layout.unicode_length, ~0ULL, 8);
	assert_true(key_of_worker() >= KB_TASK_KEYS); /* cut */
	poke(name + layout.unicode_length, 0, 8);
	assert_int_equal(key_of_worker(), KB_TASK_NAMELESS);
	put_string(name, "x");
	poke(name + layout.unicode_state, (3u | 8u) << layout.unicode_kind_shift, 4);
	assert_int_equal(key_of_worker(), KB_TASK_NAMELESS);
}

static void test_names(void **state)
{
	each_version(check_names);
}

/* Numbers without end, and a ring without room. */
static void check_limits(void)
{
	kb_u64 name = NAMES + 0x400;
	unsigned others = 0;
	char text[32];

	if (minor < 8)
		return;
	put_task(WORKER, CORO, name);
	for (unsigned i = 1; i <= KB_TASK_NUMBERS_MAX + 10; i++) {
		snprintf(text, sizeof(text), "Task-%u", i);
		put_string(name, text);
		others += key_of_worker() == KB_TASK_OTHER;
	}
	assert_int_equal(others, 10);
	for (unsigned i = 0; i < KB_TASK_NAMES_MAX; i++) {
		snprintf(text, sizeof(text), "name %u", i);
		put_string(name, text);
		others += key_of_worker() == KB_TASK_OTHER;
	}
	assert_in_range(others, 10 + KB_TASK_NUMBERS_MAX, 20 + KB_TASK_NUMBERS_MAX);
	build(minor);
	kb_host.ring_bytes = 0;
	assert_int_equal(key_of_worker(), KB_TASK_NAMELESS);
	kb_host.ring_bytes = SIZE_MAX;
	assert_true(key_of_worker() >= KB_TASK_KEYS);
}

static void test_limits(void **state)
{
	each_version(check_limits);
}

static void check_circles(void)
{
	unsigned n;

	if (minor < 7)
		return;
	/* A coroutine that awaits itself. */
	put_coroutine(AWAITED, AWAITED);
	n = take();
	assert_int_equal(n, 3);
	assert_int_equal(walk.words[walk.head.n_words - 2], KB_TASK_MORE);
	/* Tasks that wait for each other. */
	put_coroutine(AWAITED, 0);
	put_waiter(WORKER, WORKER);
	n = take();
	assert_int_equal(n, KB_TASKS_MAX + 1);
	assert_int_equal(walk.words[walk.head.n_words - 2], KB_TASK_MORE);
}

static void test_circles(void **state)
{
	each_version(check_circles);
}

/* gather(): the task is done, a function is called, whose closure has what the parent waits for. */
static void check_gathers(void)
{
	if (minor < 7 || minor > 13)
		return;
	put_waiter(OUTER_FUT, PARENT);
	poke(WORKER + at.task_callback0, DONE_CALL, 8);
	poke(DONE_CALL + 8, FUNC_TYPE, 8);
	poke(DONE_CALL + at.function_closure, DONE_CALL + 0x400, 8);
	poke(DONE_CALL + 0x400 + at.tuple_items + OUTER_CELL * 8, DONE_CALL + 0x800, 8);
	poke(DONE_CALL + 0x800 + at.cell_ref, OUTER_FUT, 8);
	assert_int_equal(take(), 2);
	/* gather() that waits for itself; then one that nobody waits for. */
	poke(OUTER_FUT + at.task_callback0, DONE_CALL, 8);
	assert_int_equal(take(), 1);
	poke(OUTER_FUT + at.task_callback0, 0, 8);
	assert_int_equal(take(), 1);
	poke(DONE_CALL + at.function_closure, MEMORY_AT + MEMORY - 8, 8);
	assert_int_equal(take(), 1);
}

static void test_gathers(void **state)
{
	each_version(check_gathers);
}

/* A TaskGroup's method is called. */
static void check_groups(void)
{
	kb_u64 values = minor >= 13 ? GROUP + 24 : GROUP + 0x400;

	if (minor < 11 || minor > 13)
		return;
	poke(WORKER + at.task_callback0, DONE_CALL, 8);
	poke(DONE_CALL + 8, BIND_TYPE, 8);
	poke(DONE_CALL + BOUND_TO, GROUP, 8);
	poke(GROUP - (minor == 12 ? 24 : 32), minor == 12 ? values - 1 : values, 8);
	poke(values + PARENT_TASK * 8, PARENT, 8);
	poke(values + ON_COMPLETED_FUT * 8, OUTER_FUT, 8);
	assert_int_equal(take(), 1); /* it waits for something else */
	poke(PARENT + at.task_fut_waiter, OUTER_FUT, 8);
	assert_int_equal(take(), 2);
	poke(GROUP - (minor == 12 ? 24 : 32), MEMORY_AT + MEMORY - 8, 8);
	poke(DONE_CALL + BOUND_TO, MEMORY_AT + MEMORY - 8, 8);
	assert_int_equal(take(), 1);
}

static void test_groups(void **state)
{
	each_version(check_groups);
}

static void check_sets(void)
{
	static const kb_u64 masks[] = { 7, 31, 0x7fffffff, ~0ULL, 0 };

	if (minor < 14)
		return;
	poke(WORKER + at.task_awaited_by, SET, 8);
	poke(WORKER + at.task_awaited_by_is_set, 1, 1);
	poke(SET + at.set_used, 2, 8);
	poke(SET + at.set_mask, 7, 8);
	poke(SET + at.set_table, SET + 0x400, 8);
	poke(SET + 0x400 + 16, PARENT + 0x100, 8);
	poke(SET + 0x400 + 48, PARENT, 8);
	poke(SET + 0x400 + 64, PARENT - 8, 8);
	poke(SET + 0x400 + 72, ~0ULL, 8); /* removed */
	assert_int_equal(take(), 2);
	assert_int_equal(KB_TASK_WAITERS(walk.words[4]), 2);
	for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		poke(SET + at.set_mask, masks[i], 8);
		assert_in_range(take(), 1, 2);
	}
	poke(SET + at.set_table, MEMORY_AT + MEMORY - 8, 8);
	assert_int_equal(take(), 1);
}

static void test_sets(void **state)
{
	each_version(check_sets);
}

static void check_dict(void)
{
	static const kb_u64 sizes[] = { 0, 3, 11, 21, 128, 129, 0x7fffffff, ~0ULL };

	if (minor > 13)
		return;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		poke(KEYS + at.keys_nentries, sizes[i], 8);
		assert_in_range(take(), 0, 2);
		if (minor < 11)
			poke(KEYS + at.keys_size, sizes[i], 8);
		else
			poke(KEYS + at.keys_log2_index_bytes, sizes[i], 1);
		assert_in_range(take(), 0, 2);
	}
	poke(DICT + at.dict_keys, MEMORY_AT + MEMORY - 4, 8);
	assert_int_equal(take(), 0);
}

static void test_dict(void **state)
{
	each_version(check_dict);
}

/* Up to 3.13 user space is asked for the dict, and not all the time. */
static void test_asking(void **state)
{
	struct kb_task_dict *dict;
	kb_u32 id = 1;

	build(13);
	bpf_map_delete_elem(&task_dicts, &id);
	for (unsigned i = 0; i < 1000; i++) {
		kb_host.now += 1000000;
		assert_int_equal(take(), 0);
	}
	dict = bpf_map_lookup_elem(&task_dicts, &id);
	assert_int_equal(dict->pending, 1000);
	assert_in_range(dict->asked, 4, 6);
	dict->address = DICT;
	assert_int_equal(take(), 2);
	walker__clear();
}

/* Words at random, most of which point into what is there. */
static void check_noise(void)
{
	kb_u64 random = 1;

	for (unsigned round = 0; round < 300; round++) {
		for (unsigned i = 0; i < 200; i++) {
			kb_u64 where, value;

			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			where = PLACE(1 + (random >> 40) % 22) + (random >> 33) % 64 * 8;
			value = random >> 60 ? PLACE(1 + (random >> 20) % 22) : random;
			poke(where, value, 8);
		}
		poke(CORO + layout.object_type, CORO_TYPE, 8);
		put_task(WORKER, CORO, NAMES);
		put_running(WORKER);
		take();
	}
}

static void test_noise(void **state)
{
	each_version(check_noise);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),	cmocka_unit_test(test_other_thread),
		cmocka_unit_test(test_names),	cmocka_unit_test(test_limits),
		cmocka_unit_test(test_circles), cmocka_unit_test(test_sets),
		cmocka_unit_test(test_dict),	cmocka_unit_test(test_asking),
		cmocka_unit_test(test_noise),	cmocka_unit_test(test_gathers),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
