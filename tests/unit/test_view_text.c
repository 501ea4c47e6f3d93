// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Text on its way to the terminal: cells, and what a command under the live view writes. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tui/cells.h"
#include "tui/console.h"

static void assert_fits(const char *text, int width, enum kb_cut cut, const wchar_t *expected,
			int used)
{
	wchar_t out[KB_CELLS_CHARS_MAX];

	assert_int_equal(kb_cells__fit(text, width, cut, false, out), used);
	assert_int_equal(wcscmp(out, expected), 0);
}

static void test_cells(void **state)
{
	wchar_t out[KB_CELLS_CHARS_MAX];
	char many[3000] = "a";

	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	assert_fits("abc", 3, KB_CUT_END, L"abc", 3);
	assert_fits("abcd", 3, KB_CUT_END, L"ab…", 3);
	assert_fits("abcd", 3, KB_CUT_START, L"…cd", 3);
	assert_fits("abcd", 0, KB_CUT_END, L"", 0);
	assert_fits("abcd", -5, KB_CUT_START, L"", 0);
	/* A character of two cells is shown whole or not at all. */
	assert_fits("名前名", 6, KB_CUT_END, L"名前名", 6);
	assert_fits("名前名", 5, KB_CUT_END, L"名前…", 5);
	assert_fits("名前名", 4, KB_CUT_END, L"名…", 3);
	assert_fits("名前名", 4, KB_CUT_START, L"…名", 3);
	/* Nothing that acts on a terminal, nor what is no text. */
	assert_fits("a\x1b[2Jb\n\xc2\x9b", 20, KB_CUT_END, L"a\ufffd[2Jb\ufffd\ufffd", 8);
	assert_fits("\xff\xc0", 5, KB_CUT_END, L"\ufffd\ufffd", 2);
	assert_fits("a\u200db\ufe0f\u202e", 5, KB_CUT_END, L"ab\ufffd", 3);
	for (int i = 0; i < 1000; i++)
		strcat(many, "\u0301");
	assert_fits(many, 5, KB_CUT_END, L"a\u0301\u0301", 1);
	assert_fits("\u0301a", 5, KB_CUT_END, L"a", 1);
	assert_int_equal(kb_cells__fit("ä名…", 9, KB_CUT_END, true, out), 3);
	assert_int_equal(wcscmp(out, L"???"), 0);
}

static void assert_line(const struct kb_console *console, uint32_t index, const char *expected)
{
	assert_string_equal(kb_console__line(console, index), expected);
}

static void feed(struct kb_console *console, const char *text)
{
	/* A byte at a time: sequences may be cut anywhere. */
	for (; *text; text++)
		kb_console__feed(console, text, 1);
}

static struct kb_console *open_console(void)
{
	struct kb_console *console;

	assert_null(kb_console__open(NULL, &console));
	return console;
}

static void test_console_lines(void **state)
{
	struct kb_console *console = open_console();

	assert_int_equal(kb_console__count(console), 0);
	feed(console, "one\r\n\ntwo");
	assert_int_equal(kb_console__count(console), 3);
	assert_line(console, 0, "one");
	assert_line(console, 1, "");
	assert_line(console, 2, "two");
	feed(console, "\rTHREE\b\b\b\u00e4\b!\tx\n");
	assert_line(console, 2, "TH!     x");
	feed(console, "10%\r20%\r30%");
	assert_line(console, 3, "30%");
	kb_console__destroy(console);
}

static void test_console_sequences(void **state)
{
	struct kb_console *console = open_console();

	feed(console, "\x1b[1;31mred\x1b[0m \x1b]0;title\x07"
		      "a\x1b]8;;x\x1b\\b\x1b(Bc\x1b"
		      "7d\x01\x7f\n");
	assert_line(console, 0, "red abcd");
	/* One that never ends takes no more than its line. */
	feed(console, "\x1b]0;endless\nnext\n");
	assert_line(console, 1, "next");
	kb_console__destroy(console);
}

static void test_console_limits(void **state)
{
	struct kb_console *console = open_console();

	for (int i = 0; i < 3 * KB_CONSOLE_BYTES; i++)
		feed(console, i % 8 ? "x" : "\t");
	feed(console, "\n");
	assert_int_equal(strlen(kb_console__line(console, 0)), KB_CONSOLE_BYTES);
	for (int i = 0; i < KB_CONSOLE_LINES; i++)
		feed(console, i ? "later\n" : "first\n");
	assert_int_equal(kb_console__count(console), KB_CONSOLE_LINES);
	assert_line(console, 0, "first");
	assert_line(console, KB_CONSOLE_LINES - 1, "later");
	kb_console__destroy(console);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_console_lines),
		cmocka_unit_test(test_console_sequences),
		cmocka_unit_test(test_console_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
