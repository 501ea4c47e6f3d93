// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How much of functions' times is what probes leave behind; and whose interpreter may be run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "collect/call_aftermath.h"
#include "system/process.h"

static uint32_t add(struct kb_calls *calls, const char *name, uint64_t ncalls, double seconds)
{
	struct kb_call_stats stats = { ncalls, ncalls, seconds, seconds };
	uint32_t id = kb_calls__add_function(calls, "a.py", 1, name);

	assert_true(kb_calls__add_stats(calls, KB_ID_NONE, id, &stats));
	return id;
}

static void add_edge(struct kb_calls *calls, uint32_t caller, uint32_t callee, uint64_t ncalls,
		     double seconds)
{
	struct kb_call_stats stats = { ncalls, ncalls, seconds, seconds };

	assert_true(kb_calls__add_edge(calls, KB_ID_NONE, caller, callee, &stats));
}

static void test_shares(void **state)
{
	const struct kb_call_aftermath aftermath = { .share = 0.5, .reach = 1e-3 };
	struct kb_calls_meta meta = { .size = sizeof(meta) };
	uint32_t main_id, leaf, longer, busy, timeless;
	struct kb_calls *calls;
	double *shares;

	assert_null(kb_calls__create(&meta, &calls));
	main_id = add(calls, "main", 1, 10);
	busy = add(calls, "busy", 1, 0.4);
	leaf = add(calls, "leaf", 1000, 0.25);
	longer = add(calls, "longer", 1000, 4);
	timeless = add(calls, "timeless", 1000, 0);
	/* Three quarters of each probe's reach are left to the caller, of a longer callee's none.
	 */
	add_edge(calls, busy, leaf, 1000, 0.25);
	add_edge(calls, main_id, longer, 1000, 4);
	add_edge(calls, main_id, timeless, 1000, 0);
	shares = kb_call_aftermath__shares(calls, &aftermath);
	assert_non_null(shares);
	assert_float_equal(shares[leaf], 0.5, 1e-9);
	assert_float_equal(shares[busy], 0.5, 1e-9);
	assert_float_equal(shares[longer], 0.125, 1e-9);
	assert_float_equal(shares[main_id], 0.5 * (1 + 1e-3) / 10, 1e-9);
	assert_float_equal(shares[timeless], 0, 1e-9);
	free(shares);
	kb_calls__destroy(calls);
}

/* A child that waits, as another user or as this one. */
static bool child_has_same_rights(uid_t uid)
{
	int ready[2], go[2];
	char byte;
	bool same;
	pid_t pid;

	assert_int_equal(pipe(ready) | pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		if (uid != getuid() && setuid(uid))
			_exit(1);
		_exit(write(ready[1], "", 1) != 1 || read(go[0], &byte, 1));
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	same = kb_process__same_rights(pid);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
	waitpid(pid, NULL, 0);
	return same;
}

static void test_same_rights(void **state)
{
	assert_true(kb_process__same_rights(getpid()));
	assert_true(child_has_same_rights(getuid()));
	assert_false(kb_process__same_rights(1 << 30));
	if (!getuid())
		assert_false(child_has_same_rights(65534));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_same_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
