// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Histories of checks: lines written and read, and what is wrong with lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check_util.h"
#include "format/check_history_line.h"
#include "history_util.h"

/* ---------------------------------------------------------------- lines */

static void test_round_trip(void **state)
{
	struct kb_check *check = kb_made_check(KB_HOSTILE);
	struct kb_check_mark mark = {
		.size = sizeof(mark), .unix_seconds = 1234, .label = "v\"1", .base_label = "v0"
	};
	struct kb_check_history *history;
	const struct kb_history_entry *entry;

	begin();
	assert_null(kb_check_history_line__write(check, &mark, lines_stream));
	history = read_lines();
	assert_int_equal(lines_size, strlen(lines));
	assert_ptr_equal(strchr(lines, '\n'), lines + lines_size - 1);
	assert_int_equal(history->n_entries, 1);
	entry = &history->entries[0];
	assert_string_equal(entry->label, "v\"1");
	assert_string_equal(entry->base_label, "v0");
	assert_int_equal(entry->unix_seconds, 1234);
	assert_true(*entry->architecture && entry->cpus);
	assert_int_equal(entry->values[KB_CHECK_CPU].n, 3);
	assert_true(entry->values[KB_CHECK_CPU].head == 1.1);
	assert_true(fabs(entry->values[KB_CHECK_CPU].ratio - 1.09 / 0.99) < 1e-12);
	assert_true(entry->values[KB_CHECK_CALLS].head == 1100);
	assert_int_equal(entry->values[KB_CHECK_RSS].n, 0);
	assert_int_equal(entry->n_counts, 2);
	assert_int_equal(entry->counts[0].metric, KB_CHECK_CALLS);
	assert_int_equal(entry->counts[0].line, 12);
	assert_true(entry->counts[1].value[KB_CHECK_HEAD] == 200);
	assert_non_null(strstr(entry->counts[0].name, "\n::error::x"));
	kb_check_history__destroy(history);
	free(check);
}

static void test_marks(void **state)
{
	char longest[KB_CHECK_LABEL_MAX + 2];
	struct kb_check_mark mark = { .size = sizeof(mark), .label = longest };
	struct kb_error *err;

	memset(longest, 'x', sizeof(longest));
	longest[KB_CHECK_LABEL_MAX] = '\0';
	assert_null(kb_check_mark__check(&mark));
	longest[KB_CHECK_LABEL_MAX] = 'x';
	longest[KB_CHECK_LABEL_MAX + 1] = '\0';
	err = kb_check_mark__check(&mark);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
	mark.label = "";
	err = kb_check_mark__check(&mark);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
}

/* Blank lines, other line ends, members and metrics of a newer version. */
static void test_lenient(void **state)
{
	struct kb_check_history *history;

	begin();
	fputs("\n  \r\n", lines_stream);
	add(1, "cpu", 1, 2, ",\"more\":{\"a\":[1]},\"counts\":[{\"metric\":\"new\"}]");
	fputs("{\"keelback_check\":1,\"label\":\"x\",\"python\":{\"head\":\"3.12.1\"},\"metrics\":{"
	      "\"fresh\":{\"head\":[1]},\"cpu\":{\"head\":[3,1,2]}}}  \r\n",
	      lines_stream);
	history = read_lines();
	assert_int_equal(history->n_entries, 2);
	assert_int_equal(history->entries[0].n_counts, 0);
	assert_string_equal(history->entries[1].python[KB_CHECK_HEAD], "3.12");
	assert_true(history->entries[1].values[KB_CHECK_CPU].head == 2);
	assert_false(history->entries[1].values[KB_CHECK_CPU].ratio_known);
	kb_check_history__destroy(history);
}

/* A crash cuts a line anywhere: at the end of the file, or before what came later. */
static void test_cut(void **state)
{
	static const char entry[] = "{\"keelback_check\":1,\"label\":\"\\u00e9\\\"\",\"metrics\":{"
				    "\"cpu\":{\"head\":[1.5e1]}}}";
	struct kb_check_history *history;

	for (size_t cut = 1; cut < sizeof(entry) - 1; cut++) {
		begin();
		add(1, "cpu", 1, 1, "");
		fwrite(entry, 1, cut, lines_stream);
		history = read_lines();
		assert_int_equal(history->n_entries, 1);
		assert_int_equal(kb_check_history__n_cut(history), 1);
		kb_check_history__destroy(history);
		putc('\n', lines_stream);
		add(2, "cpu", 1, 1, "");
		history = read_lines();
		assert_int_equal(kb_check_history__n_entries(history), 2);
		assert_int_equal(history->n_cut, 1);
		assert_int_equal(history->cut_line, 2);
		kb_check_history__destroy(history);
	}
	begin();
	fputs(entry, lines_stream);
	history = read_lines();
	assert_int_equal(history->n_entries, 1);
	assert_int_equal(history->n_cut, 0);
	kb_check_history__destroy(history);
}

static void test_wrong_lines(void **state)
{
#define ENTRY(members) "{\"keelback_check\":1,\"label\":\"x\",\"metrics\":{}" members "}"
	static const struct {
		const char *line, *problem;
	} cases[] = {
		{ "[]", "no entry of a history" },
		{ "null", "not JSON" },
		{ "17", "" },
		{ "{}", "no entry of a history" },
		{ "{\"keelback_check\":\"1\"}", "no entry of a history" },
		{ "{\"keelback_check\":2}", "written by a newer keelback" },
		{ "{\"keelback_check\":1}", "\"label\" is missing" },
		{ "{\"keelback_check\":1,\"label\":7}", "\"label\" must be a string" },
		{ "{\"keelback_check\":1,\"label\":\"x\"}", "\"metrics\" is missing" },
		{ ENTRY(",\"time\":-1"), "\"time\" must be a number from 0" },
		{ ENTRY(",\"time\":\"now\""), "\"time\" must be a number from 0" },
		{ ENTRY(",\"machine\":[]"), "\"machine\" must be an object" },
		{ ENTRY(",\"machine\":{\"cpus\":1e99}"), "\"cpus\" must be a number" },
		{ ENTRY(",\"python\":{\"head\":3.12}"), "\"head\" must be a string" },
		{ ENTRY(",\"metrics\":{\"cpu\":7}"), "each of \"metrics\" must be an object" },
		{ ENTRY(",\"metrics\":{\"cpu\":{\"head\":7}}"), "\"head\" must be a list" },
		{ ENTRY(",\"metrics\":{\"cpu\":{\"head\":[null]}}"),
		  "numbers that are not negative" },
		{ ENTRY(",\"metrics\":{\"cpu\":{\"head\":[-1]}}"),
		  "numbers that are not negative" },
		{ ENTRY(",\"metrics\":{\"cpu\":{\"head\":[1e999]}}"), "" },
		{ ENTRY(",\"functions\":{}"), "\"functions\" must be a list" },
		{ ENTRY(",\"functions\":[1]"), "each of \"functions\" must be an object" },
		{ ENTRY(",\"counts\":[{\"metric\":1}]"), "\"metric\" must be a string" },
		{ ENTRY("") "x", "not JSON" },
		{ "{\"keelback_check\":1,\"label\":\"\xff\"}", "not JSON" },
		{ "[[[[[[[[[[[[[[[[[[1", "not JSON" },
		{ "<html>", "not JSON" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kb_check_history *history = NULL;
		struct kb_error *err;

		begin();
		add(1, "cpu", 1, 1, "");
		fprintf(lines_stream, "\n%s\n", cases[i].line);
		add(2, "cpu", 1, 1, "");
		fflush(lines_stream);
		err = kb_check_history__read(lines, lines_size, "h.jsonl", &history);
		if (!err || !strstr(kb_error__text(err), cases[i].problem))
			fail_msg("%s: %s", cases[i].line, kb_error__text(err));
		assert_true(!strncmp(kb_error__text(err), "'h.jsonl', line 3: ", 19));
		assert_null(strchr(kb_error__text(err), '\n'));
		assert_null(history);
		kb_error__destroy(err);
	}
}

static void test_newest_lines(void **state)
{
	struct kb_check_history *history;

	begin();
	fputs("what is too old is not looked at\n", lines_stream);
	for (unsigned i = 0; i < KB_HISTORY_ENTRIES_MAX; i++)
		add(i, "cpu", 1, 1, "");
	history = read_lines();
	assert_int_equal(history->n_entries, KB_HISTORY_ENTRIES_MAX);
	assert_string_equal(history->entries[0].label, "c0");
	kb_check_history__destroy(history);
}

/* ---------------------------------------------------------------- files */

static char path[] = "/tmp/keelback-history-XXXXXX";

static void append(const char *label)
{
	struct kb_check *check = kb_made_check("f");
	struct kb_check_mark mark = { .size = sizeof(mark), .label = label };
	struct kb_error *err = kb_check_history__append(path, check, &mark);

	if (err)
		fail_msg("%s", kb_error__text(err));
	free(check);
}

static uint32_t load(uint32_t *n_cut)
{
	struct kb_check_history *history;
	struct kb_error *err = kb_check_history__load(path, &history);
	uint32_t n;

	if (err)
		fail_msg("%s", kb_error__text(err));
	n = kb_check_history__n_entries(history);
	*n_cut = kb_check_history__n_cut(history);
	kb_check_history__destroy(history);
	return n;
}

static void write_file(const char *content)
{
	FILE *file = fopen(path, "w");

	fputs(content, file);
	fclose(file);
}

static void test_append(void **state)
{
	uint32_t n_cut;

	unlink(path);
	append("a");
	append("b");
	assert_int_equal(load(&n_cut), 2);
	assert_int_equal(n_cut, 0);
	write_file("{\"keelback_check\":1,\"lab");
	append("c");
	append("d");
	assert_int_equal(load(&n_cut), 2);
	assert_int_equal(n_cut, 1);
	write_file("{\"keelback_check\":1,\"label\":\"old\",\"metrics\":{}}"); /* no line end */
	append("e");
	assert_int_equal(load(&n_cut), 2);
	assert_int_equal(n_cut, 0);
}

static void test_append_together(void **state)
{
	enum { PROCESSES = 4, EACH = 10 };
	uint32_t n_cut;
	int status;

	write_file("");
	for (int i = 0; i < PROCESSES; i++) {
		if (fork())
			continue;
		for (int j = 0; j < EACH; j++)
			append("together");
		_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		wait(&status);
		assert_int_equal(status, 0);
	}
	assert_int_equal(load(&n_cut), PROCESSES * EACH);
	assert_int_equal(n_cut, 0);
}

/* What does not fit is not there in part. */
static void test_append_full(void **state)
{
	struct kb_check_mark mark = { .size = sizeof(mark), .label = "x" };
	struct kb_check *check = kb_made_check("f");
	struct rlimit old, limit;
	struct kb_error *err;
	struct stat st;
	uint32_t n_cut;

	write_file("");
	append("a");
	assert_int_equal(stat(path, &st), 0);
	getrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_IGN);
	limit = old;
	limit.rlim_cur = (rlim_t)st.st_size + 100;
	setrlimit(RLIMIT_FSIZE, &limit);
	err = kb_check_history__append(path, check, &mark);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
	kb_error__destroy(err);
	assert_int_equal(load(&n_cut), 1);
	assert_int_equal(n_cut, 0);
	err = kb_check_history__append("/dev/null", check, &mark);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
	err = kb_check_history__append("/no/such/file", check, &mark);
	assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
	kb_error__destroy(err);
	free(check);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_marks),
		cmocka_unit_test(test_lenient),	    cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wrong_lines), cmocka_unit_test(test_newest_lines),
		cmocka_unit_test(test_append),	    cmocka_unit_test(test_append_together),
		cmocka_unit_test(test_append_full),
	};
	int status;

	close(mkstemp(path));
	status = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	fclose(lines_stream);
	free(lines);
	return status;
}
