// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The BPF unwinder over stacks and tables built by hand: each kind of rule, stacks that end
 * in each way that a stack can end, and memory that is made to harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "host_bpf/env.c"

#include "../../bpf/common/maps.bpf.c"
#include "../../bpf/native/unwind.bpf.c"

#ifdef KB_NATIVE_REGISTER

#define PROC	    7
#define LIST	    3
#define IMAGE	    5
#define OTHER	    6 /* an image without a table */
#define CODE	    0x400000
#define JIT	    0x500000 /* code in no file */
#define LATE	    0x600000 /* code whose table is not there yet */
#define FUNCTION    0x100    /* bytes of a function: the nth begins at CODE + n * FUNCTION */
#define STACK	    0x7ff000000000
#define STACK_WORDS 4096

#define RSP(offset, fp) KB_UNWIND_RULE(KB_UNWIND_RSP, (offset) / 8, (fp) / 8)
#define RBP(offset, fp) KB_UNWIND_RULE(KB_UNWIND_RBP, (offset) / 8, (fp) / 8)
#define SPECIAL(kind, operand, offset)                                                             \
	KB_UNWIND_RULE(KB_UNWIND_SPECIAL, KB_UNWIND_VALUE(kind, operand, (offset) / 8), 0)
#define ROOT KB_UNWIND_RULE(KB_UNWIND_NO_RULE, KB_UNWIND_END, 0)
#define GAP  KB_UNWIND_RULE(KB_UNWIND_NO_RULE, KB_UNWIND_NONE, 0)

/* A table of one block: function n has rule n from its start, and what is behind the last none. */
#define RULES_MAX 16
static struct {
	struct kb_native_head head;
	struct kb_native_block block;
	struct kb_unwind_row rows[RULES_MAX + 1];
} table;

static struct kb_native_mapping mappings[4];
static kb_u64 stack[STACK_WORDS];
static size_t stack_end; /* words that are in memory */

static bool read_memory(kb_u64 address, void *to, kb_u64 size, void *context)
{
	kb_u64 offset = address - STACK;

	if (address < STACK || offset > stack_end * 8 || size > stack_end * 8 - offset)
		return false;
	memcpy(to, (char *)stack + offset, size);
	return true;
}

static kb_u64 function(unsigned n)
{
	return CODE + n * FUNCTION;
}

static kb_u64 slot(unsigned word)
{
	return STACK + word * 8;
}

static void make_world(const kb_u32 *rules, unsigned n)
{
	struct kb_host_inner tables = { &table, 2 + n + 1, 8 };
	struct kb_host_inner list = { mappings, 4, sizeof(*mappings) };
	struct kb_native_proc proc = { .list = LIST + 1 };
	kb_u32 id = PROC;

	kb_host__clear();
	memset(stack, 0, sizeof(stack));
	stack_end = STACK_WORDS;
	kb_host.read = read_memory;
	kb_host.now = 1000000000;
	memset(&kb_host.registers, 0, sizeof(kb_host.registers));
	table.head = (struct kb_native_head){ .n_blocks = 1, .shift = 12 };
	table.block = (struct kb_native_block){ .first = 2, .n = n + 1 };
	for (unsigned i = 0; i < n; i++)
		table.rows[i] = (struct kb_unwind_row){ i * FUNCTION, rules[i] };
	table.rows[n] = (struct kb_unwind_row){ n * FUNCTION, GAP };
	mappings[0] = (struct kb_native_mapping){ .start = 3 };
	mappings[1] = (struct kb_native_mapping){ CODE, CODE + 0x1000, CODE, IMAGE, 0 };
	mappings[2] = (struct kb_native_mapping){ JIT, JIT + 0x1000, JIT, KB_NATIVE_NO_IMAGE, 0 };
	mappings[3] = (struct kb_native_mapping){ LATE, LATE + 0x1000, LATE, OTHER, 0 };
	kb_host__set_inner(&native_tables, IMAGE, &tables);
	kb_host__set_inner(&native_lists, LIST, &list);
	bpf_map_update_elem(&native_procs, &id, &proc, BPF_ANY);
}

static void interrupt_at(kb_u64 pc, kb_u64 sp, kb_u64 fp)
{
	kb_host.registers.ip = pc;
	kb_host.registers.sp = sp;
	kb_host.registers.bp = fp;
}

static kb_u64 counted(kb_u32 reason)
{
	kb_u64 *count = bpf_map_lookup_elem(&ledger, &reason);

	return count ? *count : 0;
}

static struct kb_walk walk;

/* Unwinds and compares the section with the addresses up to the first 1. */
static void expect(const kb_u64 *addresses)
{
	unsigned n = 0;

	kb_walk_clear(&walk, 1);
	kb_walk_append(&walk, 0x1234);
	assert_true(kb_native_append(&walk, PROC, KB_HOST_TGID));
	while (addresses[n] != 1)
		n++;
	assert_int_equal(walk.words[1], KB_WORD(KB_WORD_NATIVE, n));
	for (unsigned i = 0; i < n; i++)
		if (walk.words[2 + i] != addresses[i])
			fail_msg("frame %u is at 0x%llx instead of 0x%llx", i, walk.words[2 + i],
				 addresses[i]);
	assert_int_equal(walk.head.n_words, 2 + n);
}
#define EXPECT(...) expect((const kb_u64[]){ __VA_ARGS__, 1 })

static const struct kb_notice *only_notice(kb_u32 kind)
{
	void *cursor = NULL;
	size_t size;
	const struct kb_notice *notice = kb_host__next_record(&notices, &cursor, &size), *first;

	first = notice;
	assert_non_null(notice);
	assert_int_equal(notice->kind, kind);
	assert_null(kb_host__next_record(&notices, &cursor, &size));
	return first;
}

static void no_notice(void)
{
	void *cursor = NULL;
	size_t size;

	assert_null(kb_host__next_record(&notices, &cursor, &size));
}

/* ---------------------------------------------------------------- rules */

/* main (0) calls f (1), which keeps main's rbp and makes its own, which calls g (2). */
static void test_rsp_and_rbp(void **state)
{
	static const kb_u32 rules[] = { ROOT, RBP(16, -16), RSP(24, 0), RSP(48, -24) };

	make_world(rules, 4);
	stack[2] = function(1) + 0x20;	/* g's return address; g has 16 bytes of its own */
	stack[10] = 0xbeef;		/* f: caller's rbp … */
	stack[11] = function(0) + 0x30; /* … and return address */
	interrupt_at(function(2) + 0x55, slot(0), slot(10));
	/* Where execution stands is given as the first address of its row, plus 1. */
	EXPECT(function(2) + 1, function(1) + 0x20, function(0) + 0x30);
	assert_int_equal(counted(KB_L_NATIVE_NO_TABLE), 0);
	no_notice();

	/* rbp saved in the frame of one whose CFA is of rsp: its caller's is of rbp. */
	stack[3] = slot(10); /* h: CFA at 6, rbp at 3 */
	stack[5] = function(1) + 0x22;
	interrupt_at(function(3) + 1, slot(0), 0xdead);
	EXPECT(function(3) + 1, function(1) + 0x22, function(0) + 0x30);
}

static void test_plt(void **state)
{
	static const kb_u32 rules[] = { ROOT, SPECIAL(KB_UNWIND_PLT, 0, 0) };

	make_world(rules, 2);
	stack[0] = stack[1] = function(0) + 8;
	stack[2] = 0;
	interrupt_at(function(1) + 6, slot(0), 0); /* before the push */
	EXPECT(function(1) + 1, function(0) + 8);
	stack[0] = 3; /* what was pushed */
	interrupt_at(function(1) + 11, slot(0), 0);
	EXPECT(function(1) + 1, function(0) + 8);
}

static void test_aligned_stacks(void **state)
{
	static const kb_u32 rules[] = { ROOT, SPECIAL(KB_UNWIND_DEREF_RBP, 0, -8),
					SPECIAL(KB_UNWIND_DEREF_RSP, 1, 16),
					SPECIAL(KB_UNWIND_REGISTER, KB_UNWIND_REG_R8 + 2, 8) };

	make_world(rules, 4);
	stack[9] = slot(20); /* the CFA, below rbp */
	stack[19] = function(0) + 9;
	interrupt_at(function(1), slot(0), slot(10));
	EXPECT(function(1) + 1, function(0) + 9);
	stack[2] = slot(19); /* + 8 */
	interrupt_at(function(2), slot(0), 0);
	EXPECT(function(2) + 1, function(0) + 9);
	interrupt_at(function(3), slot(0), 0);
	kb_host.registers.r10 = slot(19);
	EXPECT(function(3) + 1, function(0) + 9);
	/* Nobody knows what r10 was in a caller. */
	stack[19] = function(3) + 9;
	EXPECT(function(3) + 1, function(3) + 9, 0);
	assert_int_equal(counted(KB_L_NATIVE_UNREADABLE), 1);
}

static void test_signal(void **state)
{
	static const kb_u32 rules[] = { ROOT, RSP(8, 0), SPECIAL(KB_UNWIND_SIGNAL, 0, 0),
					RBP(16, -16) };

	make_world(rules, 4);
	/* The handler returns to the trampoline, above which the interrupted registers lie. */
	stack[0] = function(2) + 1; /* looked up less 1: the trampoline's first byte */
	stack[1 + KB_UNWIND_SIGNAL_RBP / 8] = slot(300);
	stack[1 + KB_UNWIND_SIGNAL_RSP / 8] = slot(280); /* of another stack, as far as it knows */
	stack[1 + KB_UNWIND_SIGNAL_RIP / 8] = function(3);
	stack[301] = function(0) + 7;
	interrupt_at(function(1), slot(0), 0);
	EXPECT(function(1) + 1, function(2) + 1, function(3) + 1, function(0) + 7);
}

/* A call that never returns may be a function's last instruction: its return address is the next
 * function's first. */
static void test_return_addresses_belong_to_the_call(void **state)
{
	static const kb_u32 rules[] = { ROOT, RSP(24, 0), RSP(8, 0) };

	make_world(rules, 3);
	stack[0] = function(2); /* from function 1 */
	stack[3] = function(0) + 5;
	interrupt_at(function(2) + 3, slot(0), 0);
	EXPECT(function(2) + 1, function(2), function(0) + 5);
}

/* ---------------------------------------------------------------- ends */

static void test_null_return_address_is_the_root(void **state)
{
	static const kb_u32 rules[] = { RSP(8, 0) };

	make_world(rules, 1);
	interrupt_at(function(0), slot(0), 0);
	EXPECT(function(0) + 1);
	for (kb_u32 reason = 0; reason < KB_L_COUNT; reason++)
		assert_int_equal(counted(reason), 0);
}

static void test_code_without_table(void **state)
{
	static const kb_u32 rules[] = { RSP(8, 0) };

	make_world(rules, 1);
	interrupt_at(JIT + 0x10, slot(0), 0);
	EXPECT(JIT + 0x11, 0);
	interrupt_at(function(1) + 4, slot(0), 0); /* behind the last function */
	EXPECT(function(1) + 1, 0);
	interrupt_at(CODE + 0xfff, slot(0), 0);
	EXPECT(function(1) + 1, 0);
	assert_int_equal(counted(KB_L_NATIVE_NO_TABLE), 3);
	no_notice();
}

static void test_table_is_asked_for_once(void **state)
{
	static const kb_u32 rules[] = { RSP(8, 0) };

	make_world(rules, 1);
	interrupt_at(LATE + 0x10, slot(0), 0);
	EXPECT(LATE + 0x11, 0);
	EXPECT(LATE + 0x11, 0);
	assert_int_equal(counted(KB_L_NATIVE_NOT_READY), 2);
	assert_int_equal(only_notice(KB_NOTICE_TABLE)->image, OTHER);
}

static void test_mappings_are_asked_for_ever_more_seldom(void **state)
{
	static const kb_u32 rules[] = { RSP(8, 0) };
	const struct kb_notice *notice;
	kb_u64 end;
	unsigned n = 0;
	void *cursor = NULL;
	size_t size;

	make_world(rules, 1);
	interrupt_at(0x700000, slot(0), 0);
	EXPECT(0x700001, 0);
	notice = only_notice(KB_NOTICE_MAPS);
	assert_int_equal(notice->proc, PROC);
	assert_int_equal(notice->tgid, KB_HOST_TGID);
	assert_int_equal(notice->start_time, KB_HOST_START);
	for (end = kb_host.now + 10000000000ULL; kb_host.now < end; kb_host.now += 1000000)
		EXPECT(0x700001, 0);
	while (kb_host__next_record(&notices, &cursor, &size))
		n++;
	assert_in_range(n, 8, 14); /* 10 s are 5 ms doubled 11 times */
}

static void test_unknown_process(void **state)
{
	static const kb_u32 rules[] = { RSP(8, 0) };
	kb_u32 id = PROC;

	make_world(rules, 1);
	bpf_map_delete_elem(&native_procs, &id);
	kb_walk_clear(&walk, 1);
	assert_false(kb_native_append(&walk, PROC, KB_HOST_TGID));
	assert_false(kb_native_append(&walk, PROC, KB_HOST_TGID));
	assert_int_equal(walk.head.n_words, 0);
	assert_int_equal(only_notice(KB_NOTICE_MAPS)->proc, PROC);
	/* What it is forked from says it for it. */
	make_world(rules, 1);
	kb_native_forked(PROC, PROC + 1);
	interrupt_at(function(0), slot(0), 0);
	assert_true(kb_native_append(&walk, PROC + 1, KB_HOST_TGID));
}

static void test_no_stack(void **state)
{
	static const kb_u32 rules[] = { ROOT, RSP(16, 0), RBP(16, -16) };

	make_world(rules, 3);
	interrupt_at(function(1), 0x10, 0); /* no memory there */
	EXPECT(function(1) + 1, 0);
	interrupt_at(function(1), slot(STACK_WORDS - 1), 0); /* beyond its end */
	EXPECT(function(1) + 1, 0);
	stack_end = 1;
	interrupt_at(function(1), slot(0), 0);
	EXPECT(function(1) + 1, 0);
	stack_end = STACK_WORDS;
	interrupt_at(function(2), slot(100), slot(20)); /* a caller below its callee */
	EXPECT(function(2) + 1, 0);
	interrupt_at(function(2), slot(0), slot(20) + 1); /* not aligned */
	EXPECT(function(2) + 1, 0);
	interrupt_at(function(2), slot(0), ~0ULL - 7);
	EXPECT(function(2) + 1, 0);
	assert_int_equal(counted(KB_L_NATIVE_UNREADABLE), 6);
}

static void test_deep_recursion(void **state)
{
	static const kb_u32 rules[] = { RSP(8, 0) };
	kb_u64 hash;

	make_world(rules, 1);
	for (unsigned i = 0; i < STACK_WORDS; i++)
		stack[i] = function(0) + 9;
	interrupt_at(function(0), slot(0), 0);
	kb_walk_clear(&walk, 1);
	assert_true(kb_native_append(&walk, PROC, KB_HOST_TGID));
	assert_int_equal(walk.words[0], KB_WORD(KB_WORD_NATIVE, KB_NATIVE_FRAMES_MAX + 1));
	assert_int_equal(walk.words[KB_NATIVE_FRAMES_MAX + 1], 0);
	assert_int_equal(counted(KB_L_NATIVE_TRUNCATED), 1);
	hash = walk.head.hash;

	/* A section beside many other words has room for fewer, and leaves some. */
	kb_walk_clear(&walk, 1);
	walk.head.n_words = KB_FRAMES_MAX;
	assert_true(kb_native_append(&walk, PROC, KB_HOST_TGID));
	assert_in_range(walk.head.n_words, KB_WORDS_MAX - 100, KB_WORDS_MAX - 10);
	assert_int_not_equal(walk.head.hash, hash);
	walk.head.n_words = KB_WORDS_MAX - 10;
	assert_false(kb_native_append(&walk, PROC, KB_HOST_TGID));
	assert_int_equal(walk.head.n_words, KB_WORDS_MAX - 10);
}

/* Frames of all sizes: the window that is read must never give a word of another place. */
static void test_windows(void **state)
{
	static const kb_u32 rules[] = { ROOT,		RSP(8, 0),
					RSP(48, -24),	RSP(1024, -1016),
					RSP(1032, -16), RSP(4096, -4096),
					RBP(16, -16) };
	kb_u64 expected[64] = {};
	unsigned at = 3, n = 0, kind = 1;
	kb_u64 fp = 0;

	make_world(rules, 7);
	srand(1);
	interrupt_at(function(1), slot(at), 0xf00);
	expected[n++] = function(1) + 1;
	while (n < 40) {
		unsigned words = (kb_unwind__cfa_offset(rules[kind])) / 8, next = 1 + rand() % 5;

		if (kb_unwind__fp_offset(rules[kind]))
			stack[at + words + kb_unwind__fp_offset(rules[kind]) / 8] = fp = rand();
		at += words;
		if (at > STACK_WORDS - 600)
			next = 0;
		stack[at - 1] = expected[n++] = function(next) + 1 + rand() % 200;
		kind = next;
		if (!kind)
			break;
	}
	expected[n] = 1;
	expect(expected);
	if (fp)
		assert_int_equal(
			((struct unwinding *)bpf_map_lookup_elem(&unwindings, &(kb_u32){ 0 }))->fp,
			fp);
}

static void test_kernel_stack(void **state)
{
	static kb_u64 addresses[300];

	for (unsigned i = 0; i < 300; i++)
		addresses[i] = 0xffffffff81000000 + i;
	kb_host__clear();
	kb_host.kernel_stack = addresses;
	kb_host.kernel_depth = 3;
	kb_walk_clear(&walk, 1);
	kb_kernel_append(&walk);
	assert_int_equal(walk.head.n_words, 4);
	assert_int_equal(walk.words[0], KB_WORD(KB_WORD_KERNEL, 3));
	assert_memory_equal(walk.words + 1, addresses, 3 * 8);
	kb_host.kernel_depth = 300;
	kb_walk_clear(&walk, 1);
	kb_kernel_append(&walk);
	assert_int_equal(walk.words[0], KB_WORD(KB_WORD_KERNEL, KERNEL_FRAMES_MAX));
	assert_int_equal(walk.head.n_words, 1 + KERNEL_FRAMES_MAX);
	kb_host.kernel_depth = 0;
	kb_walk_clear(&walk, 1);
	kb_kernel_append(&walk);
	assert_int_equal(walk.head.n_words, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rsp_and_rbp),
		cmocka_unit_test(test_plt),
		cmocka_unit_test(test_aligned_stacks),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_return_addresses_belong_to_the_call),
		cmocka_unit_test(test_null_return_address_is_the_root),
		cmocka_unit_test(test_code_without_table),
		cmocka_unit_test(test_table_is_asked_for_once),
		cmocka_unit_test(test_mappings_are_asked_for_ever_more_seldom),
		cmocka_unit_test(test_unknown_process),
		cmocka_unit_test(test_no_stack),
		cmocka_unit_test(test_deep_recursion),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_kernel_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
	print_message("skipped: native stacks are not unwound on this processor\n");
	return 0;
}

#endif
