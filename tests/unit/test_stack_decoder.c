// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From the words of a stack record to nodes: order, marks, sections, and what makes no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "collect/code_decoder.h"
#include "collect/stack_decoder.h"

#define WORDS_MAX     64
#define HIDDEN	      0x1000ULL
#define FRAME(letter) ((kb_u64)(0x100000ULL + (letter)*8) >> 3 << KB_LASTI_BITS | 7)
#define MARK	      KB_WORD(KB_WORD_NATIVE_MARK, 0)

struct fixture {
	struct kb_profile *profile;
	struct kb_stack_decoder *decoder;
	struct kb_task_names *names;
};

/* The code object that FRAME('x') names is called x. */
static uint32_t code_at(uint32_t proc, uint64_t address, void *context)
{
	struct kb_profile *profile = ((struct fixture *)context)->profile;
	char name[] = { (char)((address - 0x100000) / 8), 0 };
	struct kb_code_info info = { .file = "f.py", .name = name, .first_line = 1 };

	assert_int_equal(proc, 3);
	return address == HIDDEN ? KB_CODE_HIDDEN : kb_profile__add_code(profile, &info);
}

static unsigned minor_of(uint32_t proc, void *context)
{
	return 12;
}

static int setup(void **state)
{
	struct kb_profile_meta meta = { sizeof(meta), .target = "", .rate_hz = 99 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct kb_stack_decoder_opts opts = { .code_at = code_at,
					      .minor_of = minor_of,
					      .context = f };

	if (!f || kb_profile__create(&meta, &f->profile))
		return -1;
	opts.profile = f->profile;
	opts.task_names = f->names = kb_task_names__create();
	f->decoder = kb_stack_decoder__create(&opts);
	*state = f;
	return f->decoder ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kb_stack_decoder__destroy(f->decoder);
	kb_task_names__destroy(f->names);
	kb_profile__destroy(f->profile);
	free(f);
	return 0;
}

static uint32_t add(struct fixture *f, const kb_u64 *words, uint32_t n, uint32_t flags)
{
	struct {
		struct kb_data_stack head;
		kb_u64 words[WORDS_MAX];
	} record = { { KB_DATA_STACK, 3, .flags = flags, .n_words = n } };

	assert_true(n <= WORDS_MAX);
	if (n)
		memcpy(record.words, words, n * 8);
	return kb_stack_decoder__add(f->decoder, &record.head, sizeof(record.head) + n * 8);
}

/* Root first, separated by spaces. */
static const char *text_of(struct fixture *f, uint32_t node)
{
	static char text[512];
	char rest[512];

	text[0] = 0;
	while (node != KB_ID_NONE) {
		const struct kb_stack_node *at = &kb_profile__nodes(f->profile)[node];
		uint32_t function = kb_profile__frame(f->profile, at->frame)->function;

		strcpy(rest, text);
		snprintf(text, sizeof(text), "%s%s%s",
			 kb_profile__function(f->profile, function)->name, *rest ? " " : "", rest);
		node = at->parent;
	}
	return text;
}

#define assert_stack(f, flags, expected, ...)                                                      \
	do {                                                                                       \
		const kb_u64 words_[] = { __VA_ARGS__ };                                           \
		assert_string_equal(text_of(f, add(f, words_, sizeof(words_) / 8, flags)),         \
				    expected);                                                     \
	} while (0)

static void test_order(void **state)
{
	struct fixture *f = *state;

	assert_stack(f, 0, "a", FRAME('a'));
	assert_stack(f, 0, "a b c", FRAME('c'), FRAME('b'), FRAME('a'));
	assert_stack(f, 0, "a c", FRAME('c'), HIDDEN >> 3 << KB_LASTI_BITS, FRAME('a'));
	assert_stack(f, KB_STACK_TRUNCATED, "<truncated> a b", FRAME('b'), FRAME('a'));
	/* The same stack is the same node. */
	assert_int_equal(add(f, (kb_u64[]){ FRAME('a') }, 1, 0),
			 add(f, (kb_u64[]){ FRAME('a') }, 1, 0));
}

static void test_native_marks(void **state)
{
	struct fixture *f = *state;

	assert_stack(f, 0, "a <native> b", FRAME('b'), MARK, FRAME('a'));
	/* Not at the root, not twice because of what is hidden between. */
	assert_stack(f, 0, "a b", FRAME('b'), FRAME('a'), MARK);
	assert_stack(f, 0, "a <native> b", FRAME('b'), MARK, HIDDEN >> 3 << KB_LASTI_BITS, MARK,
		     FRAME('a'), MARK);
	/* Nor at the leaf, nor beside a collection. */
	assert_stack(f, 0, "a", MARK, FRAME('a'));
	assert_stack(f, 0, "a <GC> b", FRAME('b'), MARK, KB_WORD(KB_WORD_GC, 0), FRAME('a'));
	assert_stack(f, 0, "a <GC>", KB_WORD(KB_WORD_GC, 0), FRAME('a'));
	assert_stack(f, 0, "a <GC> b <native> c", FRAME('c'), MARK, FRAME('b'), MARK,
		     KB_WORD(KB_WORD_GC, 0), FRAME('a'));
}

static void test_tail(void **state)
{
	struct fixture *f = *state;

	assert_stack(f, 0, "a <GC>", FRAME('a'), KB_WORD(KB_WORD_GC, 0));
	assert_stack(f, 0, "<interpreter 7> a b", FRAME('b'), FRAME('a'),
		     KB_WORD(KB_WORD_INTERPRETER, 7));
	assert_stack(f, 0, "<interpreter 4095+> a", FRAME('a'),
		     KB_WORD(KB_WORD_INTERPRETER, 0xfff));
	assert_stack(f, KB_STACK_TRUNCATED, "<interpreter 8> <truncated> a <native> b <GC>",
		     FRAME('b'), MARK, FRAME('a'), KB_WORD(KB_WORD_GC, 0),
		     KB_WORD(KB_WORD_INTERPRETER, 8));
}

static void test_opcodes(void **state)
{
	struct fixture *f = *state;
	const kb_u64 words[] = { MARK, FRAME('b'), FRAME('a'), KB_WORD(KB_WORD_OPCODE, 1) };
	const kb_u64 unknown[] = { FRAME('b'), FRAME('a'), KB_WORD(KB_WORD_OPCODE, 0xffe) };
	const struct kb_stack_node *node;

	assert_string_equal(text_of(f, add(f, words, 4, 0)), "a b");
	node = &kb_profile__nodes(f->profile)[add(f, words, 4, 0)];
	assert_string_equal(kb_profile__frame(f->profile, node->frame)->opcode, "POP_TOP");
	node = &kb_profile__nodes(f->profile)[node->parent];
	assert_string_equal(kb_profile__frame(f->profile, node->frame)->opcode, "");
	node = &kb_profile__nodes(f->profile)[add(f, unknown, 3, 0)];
	assert_string_equal(kb_profile__frame(f->profile, node->frame)->opcode, "<4094>");
}

/* Who waits for the GIL, and beneath it who holds it. */
static void test_holder(void **state)
{
	struct fixture *f = *state;

	assert_stack(f, 0, "a b <GIL held by> x <native> y", FRAME('b'), FRAME('a'),
		     KB_WORD(KB_WORD_HOLDER, 3), FRAME('y'), MARK, FRAME('x'));
	assert_stack(f, 0, "<interpreter 2> a <GC> <GIL held by> x", FRAME('a'),
		     KB_WORD(KB_WORD_GC, 0), KB_WORD(KB_WORD_INTERPRETER, 2),
		     KB_WORD(KB_WORD_HOLDER, 1), FRAME('x'));
	assert_stack(f, 0, "a <GIL held by> <unknown>", FRAME('a'), KB_WORD(KB_WORD_HOLDER, 0));
}

static void add_name(struct fixture *f, kb_u64 key, const char *name, kb_u32 bytes, kb_u32 width)
{
	struct {
		struct kb_data_task head;
		char name[KB_TASK_NAME_MAX];
	} record = { { KB_DATA_TASK, .key = key, .width = width, .bytes = bytes, .number = key } };

	memcpy(record.name, name, bytes);
	kb_task_names__add(f->names, &record.head, sizeof(record.head) + bytes);
}

/* A task in place of the event loop, below those that wait for it. */
static void test_tasks(void **state)
{
	struct fixture *f = *state;

	add_name(f, 70, "abc", 3, 1);
	add_name(f, 71, "\xe9", 1, 1);
	add_name(f, 72, "", 0, 1);
	add_name(f, 73, "\xc3\xa9", 2, KB_TASK_UTF8);
	add_name(f, 74, "x", 1, 3); /* no width of characters */
	assert_stack(f, 0, "<task abc> b c", FRAME('c'), FRAME('b'), FRAME('a'), MARK, FRAME('z'),
		     KB_WORD(KB_WORD_TASK, 2), 70, KB_TASK_INFO(2, 0));
	assert_stack(f, 0, "<interpreter 1> <task é> x y <task abc (3 parents)> b <native> c <GC>",
		     FRAME('c'), MARK, FRAME('b'), FRAME('a'), KB_WORD(KB_WORD_GC, 0),
		     KB_WORD(KB_WORD_INTERPRETER, 1), KB_WORD(KB_WORD_TASK, 2), 70,
		     KB_TASK_INFO(3, 3), KB_WORD(KB_WORD_TASK, 4), 71, KB_TASK_INFO(0, 0),
		     FRAME('x'), FRAME('y'));
	assert_stack(f, 0, "<more tasks> <other tasks> <task> <task Task-72> a", FRAME('a'),
		     KB_WORD(KB_WORD_TASK, 2), 72, KB_TASK_INFO(9, 1), KB_WORD(KB_WORD_TASK, 2),
		     KB_TASK_NAMELESS, KB_TASK_INFO(0, 1), KB_WORD(KB_WORD_TASK, 2), KB_TASK_OTHER,
		     KB_TASK_INFO(0, 1), KB_WORD(KB_WORD_TASK, 2), KB_TASK_MORE, 0);
	/* As they are read from outside: no thread has them. */
	assert_stack(f, KB_STACK_RUNNING, "<task é> x <running>", KB_WORD(KB_WORD_TASK, 3), 73,
		     KB_TASK_INFO(0, 0), FRAME('x'));
	assert_stack(f, 0, "<task> a", FRAME('a'), KB_WORD(KB_WORD_TASK, 2), 74,
		     KB_TASK_INFO(1, 0));
}

static void test_too_many_tasks(void **state)
{
	struct fixture *f = *state;
	kb_u64 words[WORDS_MAX], few[] = { FRAME('a'), KB_WORD(KB_WORD_TASK, 1), 70 };

	for (uint32_t i = 0; i < WORDS_MAX; i++)
		words[i] = i % 3 ? i : KB_WORD(KB_WORD_TASK, 2);
	assert_int_not_equal(add(f, words, 60, 0), KB_ID_NONE);
	assert_int_equal(add(f, few, 3, 0), KB_ID_NONE); /* a section without its head */
}

static void test_sections(void **state)
{
	const kb_u64 words[] = { FRAME('b'),
				 FRAME('a'),
				 KB_WORD(KB_WORD_OPCODE, 0xfff),
				 KB_WORD(KB_WORD_HOLDER, 2),
				 FRAME('x'),
				 FRAME('y'),
				 KB_WORD(KB_WORD_NATIVE, 1),
				 0x7f0000001234,
				 KB_WORD(KB_WORD_KERNEL, 0) };
	uint32_t n = sizeof(words) / 8;
	struct kb_stack_parts parts;

	assert_true(kb_stack_parts__split(words, n, &parts));
	assert_ptr_equal(parts.python.words, words);
	assert_int_equal(parts.python.n, 2);
	assert_true(kb_stack_parts__has(&parts, KB_WORD_OPCODE));
	assert_int_equal(parts.value[KB_WORD_OPCODE], 0xfff);
	assert_ptr_equal(parts.section[KB_WORD_HOLDER].words, words + 4);
	assert_int_equal(parts.section[KB_WORD_HOLDER].n, 2);
	assert_int_equal(parts.section[KB_WORD_NATIVE].words[0], 0x7f0000001234);
	assert_true(kb_stack_parts__has(&parts, KB_WORD_KERNEL));
	assert_int_equal(parts.section[KB_WORD_KERNEL].n, 0);
	assert_false(kb_stack_parts__has(&parts, KB_WORD_TASK));
	/* Cut within a section. */
	assert_false(kb_stack_parts__split(words, 5, &parts));
	assert_true(kb_stack_parts__split(words, 0, &parts));
	assert_int_equal(parts.python.n, 0);
}

static void test_nonsense(void **state)
{
	struct fixture *f = *state;
	const kb_u64 unknown[] = { FRAME('a'), KB_WORD(KB_WORD_KINDS, 0) };
	const kb_u64 between[] = { FRAME('a'), KB_WORD(KB_WORD_OPCODE, 0), FRAME('b') };
	const kb_u64 too_long[] = { FRAME('a'), KB_WORD(KB_WORD_NATIVE, 2), 0x1234 };
	struct kb_data_stack short_record = { KB_DATA_STACK, 3, .n_words = 1 };

	assert_int_equal(add(f, unknown, 2, 0), KB_ID_NONE);
	assert_int_equal(add(f, between, 3, 0), KB_ID_NONE);
	assert_int_equal(add(f, too_long, 3, 0), KB_ID_NONE);
	assert_int_equal(add(f, NULL, 0, 0), KB_ID_NONE);
	assert_int_equal(kb_stack_decoder__add(f->decoder, &short_record, sizeof(short_record)),
			 KB_ID_NONE);
	short_record.n_words = KB_WORDS_MAX + 1;
	assert_int_equal(kb_stack_decoder__add(f->decoder, &short_record, SIZE_MAX), KB_ID_NONE);
	assert_int_equal(kb_profile__n_nodes(f->profile), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_native_marks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_opcodes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tasks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_tasks, setup, teardown),
		cmocka_unit_test(test_sections),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
