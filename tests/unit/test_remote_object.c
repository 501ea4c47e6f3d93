// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "python/remote_object.h"
#include "python/remote_repr.h"
#include "python/remote_string.h"
#include "unit/remote_target.h"

/* The process says itself what is expected: pairs of a value and a text. */
static const char values[] =
	"import collections, enum, sys, time\n"
	"same = [0, 1, -1, 2**30 - 1, 2**30, -2**30, 2**60, -2**61, 2**64, 10**9, 10**18, -10**40, "
	"3**300,\n"
	"  True, False, None, Ellipsis, NotImplemented,\n"
	"  0.0, -0.0, 1.0, 0.1, -2.5, 1e15, 1e16, 123456789012345680.0, 1e-4, 1e-5, 1.5e300, "
	"5e-324, 1/3,\n"
	"  100.0, 12345.678, float('inf'), float('-inf'), float('nan'),\n"
	"  1j, 1+2j, -1.5-0.25j, complex(0, -1),\n"
	"  '', 'abc', \"it's\", 'say \"x\"', \"both ' and \\\"\", 'tab\\t nl\\n cr\\r back\\\\ "
	"\\x00 \\x1b \\x7f',\n"
	"  '\\xe9t\\xe9', '\\xa0\\xad', '\\u4f60\\u597d', '\\U0001f600', '\\ud800', 'a' * 120,\n"
	"  b'', b'abc', b\"it's\", bytes(range(120)), bytes(range(150, 256)), "
	"bytearray(b'x\\xff'),\n"
	"  [], [1], [1, 2, 3], (), (1,), (1, 'x'), [[1], [2, (3,)]], {}, {'a': 1}, {1: 2, 'b': "
	"[3]},\n"
	"  {'x': None, 2.5: True}, {1}, {'one'}, frozenset([5]), {1, 2, 3},\n"
	"  ValueError('bad', 3), StopIteration(), int, type, len, print]\n"
	"class Color(enum.Enum):\n    RED = 1\n    GREEN = 'g'\n"
	"class Number(enum.IntEnum):\n    ONE = 1\n"
	"same += [Color.RED, Color.GREEN, Number.ONE]\n"
	"def function(): pass\n"
	"same += [function]\n"
	"try:\n"
	"    from dataclasses import dataclass\n"
	"    exec('@dataclass\\nclass Point:\\n    x: int\\n    y: str = \"b\"\\nsame += "
	"[Point(1), Point(x=[2])]')\n"
	"except ImportError: pass\n"
	"class C:\n    def __init__(self): self.a, self.b = 1, 'x'\n    def method(self): pass\n"
	"class Empty: pass\n"
	"class Slots:\n    __slots__ = ('p',)\n"
	"class L(list): pass\n"
	"class I(int): pass\n"
	"class S(str): pass\n"
	"class E(Exception): pass\n"
	"c = C(); d = C(); d.c = 2.5; f = C(); del f.a; g = C(); g.__dict__; i = I(7); i.note = "
	"'n'; s = S('t')\n"
	"many = C()\n"
	"for n in range(40): setattr(many, 'm%d' % n, n)\n"
	"big = dict.fromkeys(range(1000)); changed = {n: n for n in range(20)}\n"
	"for n in range(18): del changed[n]\n"
	"h = lambda: c.a\n"
	"def gen(): yield 1\n"
	"gg = gen()\n"
	"shared = [c.__dict__, d.__dict__]\n"
	"pairs = [(v, repr(v)) for v in same] + [\n"
	"  (c, \"<C at 0x%x a=1, b='x'>\" % id(c)), (d, \"<C at 0x%x a=1, b='x', c=2.5>\" % "
	"id(d)),\n"
	"  (f, \"<C at 0x%x b='x'>\" % id(f)), (g, \"<C at 0x%x a=1, b='x'>\" % id(g)),\n"
	"  (Empty, \"<class 'Empty'>\"), (shared, \"[{'a': 1, 'b': 'x'}, {'a': 1, 'b': 'x', 'c': "
	"2.5}]\"),\n"
	"  (L([1, 2]), 'L([1, 2])'), (i, 'I(7)'), (s, \"S('t')\"), (E('m'), \"E('m')\"), "
	"(KeyError('k'), \"KeyError('k')\"),\n"
	"  (collections.OrderedDict(a=1), \"OrderedDict({'a': 1})\"),\n"
	"  (c.method, '<bound method C.method of <C at 0x%x>>' % id(c)),\n"
	"  (sys, \"<module 'sys'>\"), (gg, '<generator object gen at 0x%x>' % id(gg)),\n"
	"  (list(range(1000)), '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... (1000 items)]'),\n"
	"  (big, '{0: None, 1: None, 2: None, 3: None, 4: None, 5: None, 6: None, 7: None, 8: "
	"None, 9: None, ... (1000 items)}'),\n"
	"  (changed, '{18: 18, 19: 19}'), (2**5000, '<int of about %d bits>' % (5001 // 30 * 30 + "
	"30)),\n"
	"  ('q' * 1000, repr('q' * 120) + '... (1000 characters)'), (b'q' * 500, repr(b'q' * 120) "
	"+ '... (500 bytes)'),\n"
	"  ([[[[[1]]]]], '[[[[...]]]]'), ({1: [[c]]}, '{1: [[<C at 0x%x>]]}' % id(c))]\n"
	"loop = []; loop.append(loop); pairs += [(loop, '[[[[...]]]]')]\n"
	"print('ready'); time.sleep(60)\n";

static char *repr(struct target *target, uint64_t object)
{
	static const struct kb_remote_repr_opts opts = KB_REMOTE_REPR_DEFAULT;
	struct kb_buf text;

	kb_buf__init(&text, 1 << 16);
	kb_remote_object__repr(&target->remote, object, &opts, &text);
	kb_buf__append(&text, "", 1);
	assert_false(text.failed);
	return (char *)text.data;
}

static uint64_t word(struct target *target, uint64_t address)
{
	uint64_t value = 0;

	assert_true(kb_pages__read_u64(target->remote.pages, address, &value));
	return value;
}

/* An attribute of the script's own module. */
static uint64_t global(struct target *target, const char *name)
{
	uint64_t module, value;

	assert_true(kb_remote_module__find(&target->remote, target->threads.threads[0].interp,
					   "__main__", &module));
	assert_true(kb_remote_object__attribute(&target->remote, module, name, &value));
	return value;
}

static void check_pairs(struct target *target, unsigned int minor)
{
	const struct kb_object_layout *at = target->remote.objects;
	uint64_t pairs = global(target, "pairs"), items = word(target, pairs + at->list_items);
	uint64_t n = word(target, pairs + at->var_size);

	assert_true(n > 100);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t pair = word(target, items + i * 8);
		uint64_t value = word(target, pair + at->tuple_items);
		char *expected =
			kb_remote_string__read(target->remote.pages, target->remote.layout,
					       word(target, pair + at->tuple_items + 8), 4096);
		char *text = repr(target, value);

		if (strcmp(text, expected))
			fail_msg("3.%u: %s is read as %s", minor, expected, text);
		free(text);
		free(expected);
	}
}

static void test_values(void **state)
{
	struct target target;

	EACH(python)
	{
		target__start(&target, python, values);
		check_pairs(&target, python->minor);
		target__end(&target);
	}
}

/* Garbage where an object should be. */
static void test_hostile(void **state)
{
	static const uint64_t addresses[] = {
		1, 8, 4096, 1ull << 46, UINT64_MAX & ~7ull, UINT64_MAX
	};
	struct target target;

	EACH(python)
	{
		target__start(&target, python, values);
		for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
			char *text = repr(&target, addresses[i]);

			assert_non_null(strstr(text, "<unreadable at 0x"));
			free(text);
		}
		/* Into the middle of objects. */
		for (uint64_t i = 0; i < 4096; i += 4)
			free(repr(&target, global(&target, "big") + i));
		target__end(&target);
		break;
	}
}

static void check_double(double value, const char *expected)
{
	char text[32];

	kb_repr__double(value, text);
	assert_string_equal(text, expected);
}

static void test_doubles(void **state)
{
	check_double(1e22, "1e+22");
	check_double(9007199254740993.0, "9007199254740992.0");
	check_double(0.00001, "1e-05");
	check_double(0.0001, "0.0001");
	check_double(-1.7976931348623157e308, "-1.7976931348623157e+308");
	check_double(4.35, "4.35");
	check_double(1e15, "1000000000000000.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_doubles),
	};
	int failed;

	n_pythons = pythons__find(pythons);
	if (kb_image_cache__create(&cache))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kb_image_cache__destroy(cache);
	return failed;
}
