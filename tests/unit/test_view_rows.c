// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the live view makes of its numbers: order, filter, lines, opcodes, call trees; and their
 * cost. */
#include "unit/view_util.h"
#include "tui/call_tree.h"
#include "tui/details.h"
#include "tui/row_order.h"

static void assert_order(struct fixture *f, struct kb_row_order *order, const char *expected)
{
	char text[200] = "";

	succeed(kb_row_order__update(order, f->model));
	for (uint32_t i = 0; i < order->n; i++) {
		strcat(text, i ? " " : "");
		strcat(text, kb_view_model__function(f->model, order->rows[i])->name);
	}
	assert_string_equal(text, expected);
}

static void test_order(void **state)
{
	struct fixture *f = *state;
	struct kb_row_order order = {};
	uint32_t t = thread(f, 1, 1);

	add(f, t, "main b c", 500);
	add(f, t, "main b", 100);
	add(f, t, "main a", 300);
	refresh(f, 1);
	add(f, t, "main a", 800);
	add(f, t, "main b c", 20);
	refresh(f, 1);
	assert_order(f, &order, "a c b main");
	assert_int_equal(order.n_with_self, 3);
	order.reversed = true;
	assert_order(f, &order, "main b c a");
	order.reversed = false;
	order.key = KB_SORT_TOTAL_SHARE;
	assert_order(f, &order, "main a b c");
	order.key = KB_SORT_NAME;
	assert_order(f, &order, "a b c main");
	order.key = KB_SORT_NOW;
	assert_order(f, &order, "a c b main");
	order.key = KB_SORT_TREND;
	assert_order(f, &order, "a main c b");
	assert_int_equal(kb_row_order__find(&order, row_of(f, "c", 0)), 2);
	assert_int_equal(kb_row_order__find(&order, 99), UINT32_MAX);
	kb_row_order__free(&order);
}

static void test_filter(void **state)
{
	struct fixture *f = *state;
	struct kb_row_order order = { .key = KB_SORT_NAME };
	uint32_t t = thread(f, 1, 1);
	struct kb_error *err;

	add(f, t, "main Parser.parse parse_all", 5);
	refresh(f, 1);
	succeed(kb_row_order__filter(&order, "parse"));
	assert_order(f, &order, "Parser.parse parse_all");
	succeed(kb_row_order__filter(&order, "Parse"));
	assert_order(f, &order, "Parser.parse");
	succeed(kb_row_order__filter(&order, "^(main|parse_all) \\(f\\.py:1\\)$"));
	assert_order(f, &order, "main parse_all");
	succeed(kb_row_order__filter(&order, "nothing"));
	assert_order(f, &order, "");
	assert_int_equal(order.n_counted, 3);
	/* A bad pattern says so and changes nothing. */
	err = kb_row_order__filter(&order, "(main");
	assert_non_null(err);
	assert_non_null(strstr(kb_error__text(err), "'(main': "));
	kb_error__destroy(err);
	assert_order(f, &order, "");
	succeed(kb_row_order__filter(&order, "all"));
	assert_order(f, &order, "parse_all");
	/* A row that is new is asked, too. */
	add(f, t, "main call_all", 5);
	refresh(f, 1);
	assert_order(f, &order, "call_all parse_all");
	succeed(kb_row_order__filter(&order, ""));
	assert_order(f, &order, "Parser.parse call_all main parse_all");
	kb_row_order__free(&order);
}

static void test_by_lines(void **state)
{
	struct fixture *f = *state;
	struct kb_details lines = {};
	uint32_t t = thread(f, 1, 1);

	add(f, t, "main:1 work:5", 5);
	add(f, t, "main:1 work:6", 2);
	add(f, t, "main:2 work:5 leaf:9", 4);
	add(f, t, "main:2 work:5 work:5 work:6", 1);
	refresh(f, 1);
	assert_row(f, "work", 8, 12);
	succeed(kb_details__lines(&lines, f->model,
				  f->model->labels.labels[row_of(f, "work", 0)].function));
	assert_int_equal(lines.n, 2);
	assert_int_equal(lines.self, 8);
	assert_int_equal(lines.items[0].line, 5);
	assert_int_equal(lines.items[0].self, 5);
	assert_int_equal(lines.items[0].total, 10);
	assert_int_equal(lines.items[1].line, 6);
	assert_int_equal(lines.items[1].self, 3);
	assert_int_equal(lines.items[1].total, 3);
	succeed(kb_view_model__set_lines(f->model, true));
	succeed(kb_view_model__aggregate(f->model));
	assert_int_equal(f->model->rows[row_of(f, "work", 5)].self, 5);
	assert_int_equal(f->model->rows[row_of(f, "work", 5)].total, 10);
	assert_int_equal(f->model->rows[row_of(f, "work", 6)].total, 3);
	assert_int_equal(f->model->rows[row_of(f, "main", 2)].total, 5);
	kb_details__free(&lines);
}

static void test_opcodes(void **state)
{
	struct fixture *f = *state;
	struct kb_details opcodes = {};
	uint32_t t = thread(f, 1, 1);

	add(f, t, "main/CALL:1 work/BINARY_OP_ADD_INT:5", 5);
	add(f, t, "main/CALL:1 work/LOAD_FAST:5", 3);
	add(f, t, "main/CALL:2 work/BINARY_OP_ADD_INT:5", 1);
	add(f, t, "main:2 work:5", 2);
	refresh(f, 1);
	succeed(kb_details__opcodes(&opcodes, f->model,
				    f->model->labels.labels[row_of(f, "work", 0)].function));
	assert_int_equal(opcodes.n, 2);
	assert_string_equal(opcodes.items[0].opcode, "BINARY_OP_ADD_INT");
	assert_int_equal(opcodes.items[0].self, 6);
	assert_int_equal(opcodes.items[1].self, 3);
	assert_int_equal(opcodes.unknown, 2);
	assert_int_equal(opcodes.self, 11);
	kb_details__free(&opcodes);
}

/* "depth name count self" of each row. */
static void assert_tree(struct fixture *f, struct kb_call_tree *tree, const char *name,
			const char *expected)
{
	char text[1000] = "";

	succeed(kb_call_tree__update(tree, f->model, name ? row_of(f, name, 0) : KB_ID_NONE));
	for (uint32_t i = 0; i < tree->n; i++) {
		const struct kb_tree_row *r = &tree->rows[i];

		sprintf(text + strlen(text), "%s%d%s%s %d %d", i ? ", " : "", r->depth,
			r->open	      ? "-"
			: r->has_more ? "+"
				      : " ",
			r->row == KB_ID_NONE ? "root"
					     : kb_view_model__function(f->model, r->row)->name,
			(int)r->count, (int)r->self);
	}
	assert_string_equal(text, expected);
}

static void test_call_tree(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);
	struct kb_call_tree callees, callers;

	add(f, t, "main a work x", 5);
	add(f, t, "main b work x", 3);
	add(f, t, "main b work y z", 4);
	add(f, t, "main b work work x", 1);
	add(f, t, "work", 2);
	refresh(f, 1);
	kb_call_tree__init(&callees, KB_TREE_CALLEES);
	kb_call_tree__init(&callers, KB_TREE_CALLERS);
	assert_tree(f, &callees, "work", "0-work 15 2, 1 x 8 8, 1+y 4 0, 1+work 1 0");
	kb_call_tree__set_open(&callees, 2, true);
	kb_call_tree__set_open(&callees, 3, true);
	assert_tree(f, &callees, "work",
		    "0-work 15 2, 1 x 8 8, 1-y 4 0, 2 z 4 4, 1-work 1 0, 2 x 1 1");
	assert_int_equal(kb_call_tree__parent(&callees, 3), 2);
	assert_int_equal(kb_call_tree__parent(&callees, 4), 0);
	assert_int_equal(kb_call_tree__parent(&callees, 0), 0);
	kb_call_tree__set_open(&callees, 0, false);
	assert_tree(f, &callees, "work", "0+work 15 2");
	assert_tree(f, &callees, NULL, "0-main 13 0, 1+b 8 0, 1+a 5 0, 0 work 2 2");
	assert_tree(f, &callers, "work", "0-work 15 0, 1+b 8 0, 1+a 5 0, 1 root 2 0");
	kb_call_tree__set_open(&callers, 1, true);
	assert_tree(f, &callers, "work", "0-work 15 0, 1-b 8 0, 2+main 8 0, 1+a 5 0, 1 root 2 0");
	kb_call_tree__free(&callees);
	kb_call_tree__free(&callers);
}

/* 100,000 nodes, 5,000 functions: what a refresh costs, in CPU time since the machine may be busy.
 */
static void test_cost(void **state)
{
	struct fixture *f = *state;
	struct kb_row_order order = {};
	uint32_t t = thread(f, 1, 1), nodes[100000], n = 0;
	uint64_t start, cost;
	unsigned seed = 1;
	char name[32];

	while (n < 100000) {
		struct kb_function_info function = { sizeof(function), KB_FRAME_PYTHON, "f.py",
						     name, 1 };
		uint32_t parent = n < 50 ? KB_ID_NONE : nodes[rand_r(&seed) % n], known;

		snprintf(name, sizeof(name), "function_%d", rand_r(&seed) % 5000);
		known = kb_profile__n_nodes(f->profile);
		nodes[n] = kb_profile__add_node(f->profile, parent,
						kb_profile__add_place(f->profile, &function, 1));
		n += nodes[n] == known;
	}
	for (int i = 0; i < 100000; i++)
		kb_profile__add_samples(f->profile, t, nodes[i], 1);
	refresh(f, 1);
	for (int i = 0; i < 2000; i++)
		kb_profile__add_samples(f->profile, t, nodes[rand_r(&seed) % 100000], 1);
	start = kb_now(CLOCK_PROCESS_CPUTIME_ID);
	refresh(f, 1);
	succeed(kb_row_order__update(&order, f->model));
	cost = kb_now(CLOCK_PROCESS_CPUTIME_ID) - start;
	print_message("a refresh with 100,000 nodes: %.1f ms\n", cost / 1e6);
	assert_int_equal(f->model->total, 102000);
	assert_true(cost < 50 * KB_NS_PER_MS);
	kb_row_order__free(&order);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order),   TEST(test_filter),	  TEST(test_by_lines),
		TEST(test_opcodes), TEST(test_call_tree), TEST(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
