// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Parts of the formats for other tools; the files are looked at with those tools in
 * tests/functional/test_exports.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/json_out.h"
#include "base/text.h"
#include "format/call_costs.h"
#include "format/gzip.h"
#include "format/stack_list.h"
#include "model/profile.h"

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

/* ---------------------------------------------------------------- JSON */

static void test_json_data(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "größe 🐍", "\"größe 🐍\"" },
		{ "a\"b\\c</script>", "\"a\\\"b\\\\c</script>\"" },
		{ "\n\033\x7f", "\"\\u000a\\u001b\\u007f\"" },
		{ "\xe2\x80\xae", "\"\\u202e\"" },
		{ "\xf0\x9f\xbf\xbe", "\"\\ud83f\\udffe\"" }, /* U+1FFFE, no character */
		{ "\xff\xed\xa0\x80", "\"����\"" },
		{ "", "\"\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *result;
		size_t size;
		FILE *stream = open_memstream(&result, &size);

		kb_text__write_json_data(stream, cases[i].text);
		fclose(stream);
		assert_string_equal(result, cases[i].expected);
		free(result);
	}
}

static void test_json_stream(void **state)
{
	char *result;
	size_t size;
	struct kb_json_out out = { open_memstream(&result, &size), false };

	kb_json_out__open(&out, NULL, '{');
	kb_json_out__open(&out, "a", '[');
	kb_json_out__uint(&out, NULL, UINT64_MAX);
	kb_json_out__int(&out, NULL, -1);
	kb_json_out__open(&out, NULL, '[');
	kb_json_out__close(&out, ']');
	kb_json_out__real(&out, NULL, 0.7);
	kb_json_out__real(&out, NULL, NAN);
	kb_json_out__real(&out, NULL, INFINITY);
	kb_json_out__close(&out, ']');
	kb_json_out__bool(&out, "b", true);
	kb_json_out__index(&out, "c", UINT32_MAX);
	kb_json_out__index(&out, "d", 7);
	kb_json_out__ms(&out, "e", 1000000);
	kb_json_out__ms(&out, "f", 1000001);
	kb_json_out__textf(&out, "g", "%d\t", 5);
	kb_json_out__close(&out, '}');
	kb_json_out__line(&out);
	fclose(out.stream);
	assert_string_equal(result,
			    "{\"a\":[18446744073709551615,-1,[],0.7,0,0],\"b\":true,\"c\":null,"
			    "\"d\":7,\"e\":1,\"f\":1.000001,\"g\":\"5\\u0009\"}\n");
	free(result);
}

/* ---------------------------------------------------------------- gzip */

static void test_gzip(void **state)
{
	enum { BYTES = 3 << 20 };
	unsigned char *bytes = malloc(BYTES), *back = malloc(BYTES + 1);
	struct kb_gzip *gzip;
	uint32_t seed = 1;
	char *result;
	size_t size;
	FILE *stream = open_memstream(&result, &size);
	z_stream z = { 0 };

	/* Half of it does not compress. */
	for (size_t i = 0; i < BYTES; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = i < BYTES / 2 ? seed >> 24 : 'a';
	}
	assert_no_error(kb_gzip__create(stream, &gzip));
	for (size_t at = 0, part; at < BYTES; at += part) {
		part = BYTES - at < 100003 ? BYTES - at : 100003;
		kb_gzip__write(gzip, bytes + at, part);
	}
	kb_gzip__finish(gzip);
	fclose(stream);

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (unsigned char *)result;
	z.avail_in = (uInt)size;
	z.next_out = back;
	z.avail_out = BYTES + 1;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, BYTES);
	assert_memory_equal(back, bytes, BYTES);
	inflateEnd(&z);
	free(result);
	free(bytes);
	free(back);
}

/* ---------------------------------------------------------------- stacks */

static struct kb_profile *new_profile(uint32_t *thread)
{
	struct kb_profile_meta meta = { .size = sizeof(meta), .rate_hz = 100 };
	struct kb_process_info process = { .size = sizeof(process), .pid = 1 };
	struct kb_thread_info info = { .size = sizeof(info), .tid = 2 };
	struct kb_profile *profile;

	assert_no_error(kb_profile__create(&meta, &profile));
	info.process = kb_profile__add_process(profile, &process);
	*thread = kb_profile__add_thread(profile, &info);
	return profile;
}

/* A stack, root first, one letter a function; each is called from line 1 of its caller. */
static uint32_t add_stack(struct kb_profile *profile, uint32_t thread, const char *stack,
			  uint64_t count)
{
	uint32_t node = KB_ID_NONE;

	for (; *stack; stack++) {
		char name[] = { *stack, 0 };
		struct kb_function_info function = {
			.size = sizeof(function), .file = "f.py", .name = name, .first_line = 1
		};

		node = kb_profile__add_node(profile, node,
					    kb_profile__add_place(profile, &function, 1));
	}
	assert_true(!count || kb_profile__add_samples(profile, thread, node, count));
	return node;
}

static uint64_t cost_between(const struct kb_tree *tree, const struct kb_call_costs *costs,
			     char caller, char callee)
{
	for (uint32_t i = 0; i < costs->n_calls; i++) {
		const struct kb_call_cost *call = &costs->calls[i];
		char from = call->caller == KB_ID_NONE ? '-' : *tree->labels[call->caller].name;

		if (from == caller && *tree->labels[call->callee].name == callee)
			return call->cost;
	}
	return 0;
}

static void test_call_costs(void **state)
{
	struct kb_tree_opts opts = { .lines = true };
	struct kb_call_costs *costs;
	uint32_t thread, functions[8];
	struct kb_profile *profile = new_profile(&thread);
	struct kb_tree *tree;

	add_stack(profile, thread, "mfgfh", 1);
	add_stack(profile, thread, "mff", 10);
	add_stack(profile, thread, "m", 100);
	add_stack(profile, thread, "gfg", 1000);
	assert_no_error(kb_tree__create(profile, &opts, &tree));
	for (uint32_t i = 0; i < tree->n_labels; i++)
		functions[i] = i;
	assert_no_error(kb_call_costs__create(tree, functions, tree->n_labels, &costs));
	assert_int_equal(cost_between(tree, costs, '-', 'm'), 111);
	assert_int_equal(cost_between(tree, costs, '-', 'g'), 1000);
	assert_int_equal(cost_between(tree, costs, 'm', 'f'), 11);
	assert_int_equal(cost_between(tree, costs, 'f', 'g'), 1);
	assert_int_equal(cost_between(tree, costs, 'g', 'f'), 1000);
	assert_int_equal(cost_between(tree, costs, 'f', 'h'), 1);
	assert_int_equal(costs->n_calls, 6); /* f → f is not there */
	for (uint32_t i = 1; i < costs->n_calls; i++)
		assert_true(costs->calls[i].caller >= costs->calls[i - 1].caller);
	for (uint32_t i = 0; i < tree->n_labels; i++) {
		static const char names[] = "mfgh";
		static const uint64_t expected[] = { 100, 10, 1000, 1 };

		if (!kb_label__group(&tree->labels[i]))
			assert_int_equal(costs->self[i],
					 expected[strchr(names, *tree->labels[i].name) - names]);
	}
	kb_call_costs__destroy(costs);
	kb_tree__destroy(tree);
	kb_profile__destroy(profile);
}

static void test_stack_list(void **state)
{
	uint32_t thread, unused, moment_node, leaf;
	struct kb_profile *profile = new_profile(&thread);
	struct kb_moment moment = { .count = 1 };
	struct kb_stack_list *list;

	unused = add_stack(profile, thread, "x", 0);
	leaf = add_stack(profile, thread, "abc", 5);
	add_stack(profile, thread, "abd", 0);
	moment_node = add_stack(profile, thread, "ae", 0);
	moment.thread = thread;
	moment.node = moment_node;
	assert_true(kb_profile__add_moment(profile, &moment));
	assert_no_error(kb_stack_list__create(profile, &list));
	assert_int_equal(list->n, 4);
	assert_int_equal(list->stack_of_node[unused], KB_ID_NONE);
	assert_int_equal(list->stack_of_node[leaf], 2);
	assert_int_equal(list->stack_of_node[moment_node], 3);
	for (uint32_t i = 0; i < list->n; i++)
		assert_int_equal(list->stack_of_node[list->node_of_stack[i]], i);
	/* a, b, c, e; then a before b before c before e */
	for (uint32_t i = 0; i < list->n; i++)
		assert_int_equal(list->rank[i], i);
	kb_stack_list__destroy(list);
	kb_profile__destroy(profile);
}

/* Stacks in preorder, whatever the order in which they came. */
static void test_stack_ranks(void **state)
{
	uint32_t thread, a, b, ac, bd, ae;
	struct kb_profile *profile = new_profile(&thread);
	struct kb_stack_list *list;

	a = add_stack(profile, thread, "a", 1);
	b = add_stack(profile, thread, "b", 1);
	ac = add_stack(profile, thread, "ac", 1);
	bd = add_stack(profile, thread, "bd", 1);
	ae = add_stack(profile, thread, "ae", 1);
	assert_no_error(kb_stack_list__create(profile, &list));
	assert_int_equal(list->rank[list->stack_of_node[a]], 0);
	assert_int_equal(list->rank[list->stack_of_node[ac]], 1);
	assert_int_equal(list->rank[list->stack_of_node[ae]], 2);
	assert_int_equal(list->rank[list->stack_of_node[b]], 3);
	assert_int_equal(list->rank[list->stack_of_node[bd]], 4);
	kb_stack_list__destroy(list);
	kb_profile__destroy(profile);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_data),  cmocka_unit_test(test_json_stream),
		cmocka_unit_test(test_gzip),	   cmocka_unit_test(test_call_costs),
		cmocka_unit_test(test_stack_list), cmocka_unit_test(test_stack_ranks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
