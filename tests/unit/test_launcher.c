// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What runs of a command cost, as the kernel accounts it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "system/launcher.h"

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static struct kb_launched_run run_command(const char *command)
{
	struct kb_launcher_opts opts = { .command = command };
	struct kb_launched_run run;
	struct kb_launcher *launcher;

	assert_no_error(kb_launcher__create(&opts, &launcher));
	for (int i = 0; i < 2; i++) { /* the second run is as good as the first */
		assert_no_error(kb_launcher__run(launcher));
		assert_no_error(kb_launcher__result(launcher, &run));
	}
	kb_launcher__destroy(launcher);
	return run;
}

static void test_status(void **state)
{
	char text[128];

	assert_int_equal(run_command("exit 3").status, 3 << 8);
	kb_launcher__describe(3 << 8, text, sizeof(text));
	assert_string_equal(text, "exited with status 3");
	assert_int_equal(WTERMSIG(run_command("kill -9 $$").status), 9);
	kb_launcher__describe(9, text, sizeof(text));
	assert_string_equal(text, "was killed by signal 9 (Killed)");
	assert_int_equal(run_command("exec /no/such/program").status, 127 << 8);
}

/* Children and grandchildren, waited for or not. */
static void test_usage(void **state)
{
	static const char loop[] = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
	char in_child[128], orphan[128];
	uint64_t alone, all;

	snprintf(in_child, sizeof(in_child), "sh -c '%s'; true", loop);
	snprintf(orphan, sizeof(orphan), "(sh -c '%s' & ) ; sleep 0.5", loop);
	alone = run_command(loop).cpu_ns;
	assert_in_range(alone, 5000000, 10000000000ull);
	all = run_command(in_child).cpu_ns;
	assert_true(all > alone / 4);
	assert_true(run_command(orphan).cpu_ns > alone / 4);
}

static void test_sleep_is_no_cpu_time(void **state)
{
	struct kb_launched_run run = run_command("sleep 0.2");

	assert_true(run.wall_ns >= 200000000);
	assert_true(run.cpu_ns < run.wall_ns / 2);
	assert_true(run.voluntary >= 1 && run.faults > 10);
	/* Not this process's memory, which is why it is launched so. */
	assert_true(run.rss > 100000 && run.rss < 16000000);
}

static void test_memory_is_its_own(void **state)
{
	size_t size = 64 << 20;
	char *large = malloc(size);

	memset(large, 1, size);
	assert_int_equal(large[size / 3], 1);
	assert_true(run_command("true").rss > size / 2); /* forked from this process, now */
	assert_int_equal(large[size / 2], 1);
	free(large);
}

static void test_left_behind(void **state)
{
	struct kb_launched_run run = run_command("sleep 100 & sleep 100 & true");

	assert_int_equal(run.left_behind, 2);
	assert_true(run.wall_ns < 50000000000ull);
}

static void test_kill(void **state)
{
	struct kb_launcher_opts opts = { .command = "sleep 100; true" };
	struct kb_launched_run run;
	struct kb_launcher *launcher;
	struct pollfd ended;
	pid_t pid;

	assert_no_error(kb_launcher__create(&opts, &launcher));
	pid = kb_launcher__pid(launcher);
	assert_no_error(kb_launcher__run(launcher));
	ended = (struct pollfd){ .fd = kb_launcher__fd(launcher), .events = POLLIN };
	assert_int_equal(poll(&ended, 1, 50), 0);
	kb_launcher__kill(launcher);
	assert_int_equal(poll(&ended, 1, 10000), 1);
	assert_no_error(kb_launcher__result(launcher, &run));
	assert_int_equal(WTERMSIG(run.status), SIGKILL);
	/* And one that goes on when the launcher is destroyed. */
	assert_no_error(kb_launcher__run(launcher));
	kb_launcher__destroy(launcher);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void test_directory(void **state)
{
	struct kb_launcher_opts opts = { .command = "test $PWD = /usr", .dir = "/usr" };
	struct kb_launched_run run;
	struct kb_launcher *launcher;
	struct kb_error *err;

	assert_no_error(kb_launcher__create(&opts, &launcher));
	assert_no_error(kb_launcher__run(launcher));
	assert_no_error(kb_launcher__result(launcher, &run));
	assert_int_equal(run.status, 0);
	kb_launcher__destroy(launcher);
	opts.dir = "/no/such/directory";
	err = kb_launcher__create(&opts, &launcher);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_sleep_is_no_cpu_time),
		cmocka_unit_test(test_memory_is_its_own),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
