// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A check as Markdown, JUnit and annotations, with names that mean harm. Functional tests read them
 * with other programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/error.h"
#include "check_util.h"
#include "format/check_report.h"
#include "format/check_writers.h"
#include "format/markdown.h"
#include "format/xml.h"

static char *text;
static size_t size;

static const char *write_with(kb_check_writer *write, const char *hostile,
			      const struct kb_check_view_opts *given)
{
	struct kb_check_view_opts opts = { .size = sizeof(opts) };
	struct kb_check *check = kb_made_check(hostile);
	FILE *stream;

	free(text);
	stream = open_memstream(&text, &size);
	assert_null(write(check, given ?: &opts, stream));
	fclose(stream);
	free(check);
	return text;
}

static void assert_has(const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in: %s", part, text);
}

/* Nothing that a terminal, a parser or a reader could take for something else. */
static void assert_printable(void)
{
	assert_int_equal(strlen(text), size);
	for (size_t i = 0; i < size; i++) {
		uint8_t c = (uint8_t)text[i];

		assert_true(c == '\n' || (c >= 0x20 && c != 0x7f && c < 0xf8));
	}
	assert_null(strstr(text, "\xe2\x80\xae"));
}

/* Lines of a table have as many cells as its heading: `|` that is not escaped. */
static unsigned cells(const char *line)
{
	unsigned n = 0;

	for (; *line && *line != '\n'; line++)
		n += *line == '|' && line[-1] != '\\';
	return n;
}

static void test_markdown_tables(void **state)
{
	unsigned columns = 0, tables = 0, rows = 0;

	write_with(kb_check_markdown__write, KB_HOSTILE, NULL);
	assert_printable();
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (*line != '|') {
			columns = 0;
			continue;
		}
		tables += !columns;
		rows += columns > 0;
		if (columns)
			assert_int_equal(cells(line), columns);
		columns = cells(line);
	}
	/* Metrics, functions, counts and edges in front; functions and counts behind. */
	assert_int_equal(tables, 6);
	assert_true(rows > tables);
}

/* Rendered, a code span has what the name has. */
static void test_markdown_code(void **state)
{
	static const struct {
		const char *name, *code;
	} cases[] = {
		{ "f", "`f`" },
		{ "", "`?`" },
		{ "a`b", "`` a`b ``" },
		{ "``", "``` `` ```" },
		{ " a", "`  a `" },
		{ "a|b", "`a\\|b`" },
		{ "<b>&", "`<b>&`" },
		{ "a\nb\x1b\xff", "`a\xef\xbf\xbd"
				  "b\xef\xbf\xbd\xef\xbf\xbd`" },
	};
	char name[400];
	FILE *stream;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		free(text);
		stream = open_memstream(&text, &size);
		kb_markdown__write_code(stream, cases[i].name);
		fclose(stream);
		assert_string_equal(text, cases[i].code);
	}
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	free(text);
	stream = open_memstream(&text, &size);
	kb_markdown__write_code(stream, name);
	fclose(stream);
	assert_int_equal(size, KB_MARKDOWN_CODE_MAX + 2 + 3);
}

static void test_markdown_title(void **state)
{
	struct kb_check_view_opts opts = { .size = sizeof(opts),
					   .title = "@all <img> #1 [x](y) `z` www.a.b\n# x" };

	write_with(kb_check_markdown__write, "f", &opts);
	text[strcspn(text, "\n")] = '\0';
	assert_null(strpbrk(text + 4, "@<>[]`"));
	assert_has("&#64;&#8203;all &#60;img&#62;");
}

static void test_markdown_figures(void **state)
{
	struct kb_check_view_opts opts = { .size = sizeof(opts), .limit = 1 };

	write_with(kb_check_markdown__write, "app.work", &opts);
	assert_has("### keelback check\n\n**regression&#58;&#8203; CPU time +10.0% (+8.0% to "
		   "+12.0%), most of it in app.work**\n");
	assert_has("| CPU time | 1.00 s | 1.10 s | +10.0% | +8.0% to +12.0% | 1.1% | "
		   "**regression** |");
	assert_has("| wall time | 1.00 s | 1.10 s | +10.0% | +8.0% to +12.0% | 1.1% | "
		   "regression, not gated |");
	assert_has("| page faults | 1 | 1 | +10.0% | +8.0% to +12.0% | 1.1% | cannot tell |");
	assert_has("| calls | 1000 | 1100 | +10.0% | - | exact | **regression** |");
	assert_has("| `app.work` (`app.work:7`) | 500 ms | 600 ms | +100 ms | +90.0 ms to +110 ms "
		   "| 90% | < 0.0001 |");
	assert_has("| `app.work` (`app.work`) | `app.work` (`app.work:12`) | 200 |");
	assert_has("<details><summary>Everything else</summary>\n");
}

static void test_junit(void **state)
{
	write_with(kb_check_junit__write, KB_HOSTILE, NULL);
	assert_printable();
	assert_has("tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\" time=\"1.500\" "
		   "timestamp=\"2023-11-14T22:13:20\"");
	assert_null(strstr(text, "<b>"));
	assert_null(strstr(text, "]]>"));
	write_with(kb_check_junit__write, "work", NULL);
	assert_has("<testcase classname=\"keelback.check\" name=\"CPU time\" time=\"0\">\n"
		   "    <failure message=\"CPU time: +10.0% (+8.0% to +12.0%), 1.00 s to 1.10 s; "
		   "threshold 3%, 1.1% would have been seen\" type=\"regression\">");
	assert_has("\nwork (work:7): 500 ms to 600 ms, p &lt; 0.0001</failure>");
	assert_has("\nwork (work:12): 100 to 200\nwork (work:12) called by work (work): 0 to 200"
		   "</failure>");
	assert_has("<skipped message=\"page faults: ");
}

static void test_annotations(void **state)
{
	unsigned lines = 0;

	write_with(kb_check_annotations__write, KB_HOSTILE, NULL);
	assert_printable();
	for (const char *line = text; *line; line = strchr(line, '\n') + 1, lines++) {
		const char *properties = strchr(line, ' '), *data = strstr(line + 2, "::");

		assert_true(!strncmp(line, "::error ", 8) || !strncmp(line, "::warning ", 10) ||
			    !strncmp(line, "::notice ", 9));
		assert_true(properties < data);
	}
	/* CPU time, faults, calls; a function; calls of one; a new call. */
	assert_int_equal(lines, 6);
	write_with(kb_check_annotations__write, "no/such.py", NULL);
	assert_has("::error title=keelback check%3A regression::CPU time: +10.0%25 (+8.0%25 to "
		   "+12.0%25)"
		   ", 1.00 s to 1.10 s; threshold 3%25, 1.1%25 would have been seen\n");
	assert_has("::warning title=keelback check%3A cannot tell::page faults");
	assert_has("::error file=no/such.py,line=7,title=keelback check%3A slower::no/such.py: "
		   "500 ms to 600 ms of CPU time\n");
	assert_has("::error file=no/such.py,line=12,title=keelback check%3A calls::");
	assert_has("::notice file=no/such.py,title=keelback check%3A new call::no/such.py calls "
		   "no/such.py: 0 to 200 calls\n");
	write_with(kb_check_annotations__write, "/no/such.py", NULL);
	assert_has("::error title=keelback check%3A slower::/no/such.py: ");
	write_with(kb_check_annotations__write, "a,b%:c.py", NULL);
	assert_has("::error file=a%2Cb%25%3Ac.py,line=7,");
}

static void test_words(void **state)
{
	char text_of[KB_CHECK_INTERVAL_MAX];

	kb_check_report__interval(0.01, 0.02, text_of);
	assert_string_equal(text_of, "+1.0% to +2.0%");
	kb_check_report__interval(-INFINITY, 0.02, text_of);
	assert_string_equal(text_of, "-");
	kb_check_report__interval(0.5, 0.5, text_of);
	assert_string_equal(text_of, "-");
	kb_check_report__p(0, text_of);
	assert_string_equal(text_of, "< 0.0001");
	kb_check_report__p(0.0314, text_of);
	assert_string_equal(text_of, "0.031");
	kb_check_report__time(0, text_of);
	assert_string_equal(text_of, "1970-01-01 00:00 UTC");
	kb_check_report__time(INT64_MAX, text_of);
	assert_string_equal(text_of, "9223372036854775807");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_markdown_tables), cmocka_unit_test(test_markdown_code),
		cmocka_unit_test(test_markdown_title),	cmocka_unit_test(test_markdown_figures),
		cmocka_unit_test(test_junit),		cmocka_unit_test(test_annotations),
		cmocka_unit_test(test_words),
	};
	int status = cmocka_run_group_tests(tests, NULL, NULL);

	free(text);
	return status;
}
