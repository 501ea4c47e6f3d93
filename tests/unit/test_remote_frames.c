// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "python/linetable.h"
#include "python/remote_code.h"
#include "python/remote_frames.h"
#include "unit/remote_target.h"

/* "name:line name:line …", leaf first; empty when the thread could not be read within a second. */
static void stack_text(struct target *target, const struct kb_remote_thread *thread, char *text,
		       size_t size)
{
	struct kb_remote_stack stack = {};
	enum kb_remote_walk walk = KB_REMOTE_RUNNING;
	size_t used = 0;

	for (int i = 0; i < 1000 && walk == KB_REMOTE_RUNNING; i++) {
		if (i)
			usleep(1000);
		walk = kb_remote_frames__asleep(&target->remote, thread, &stack, NULL, NULL, NULL);
	}
	text[0] = '\0';
	for (uint32_t i = 0; i < stack.n && walk == KB_REMOTE_OK && used < size; i++) {
		const struct kb_layout *layout = target->remote.layout;
		struct kb_remote_code code;

		assert_true(kb_remote_code__read(target->pid, layout, target->remote.code_type,
						 stack.frames[i].code, &code));
		used += snprintf(text + used, size - used, "%s%s:%d", i ? " " : "", code.name,
				 kb_linetable__line(layout->linetable_kind, code.lines,
						    code.lines_bytes, code.first_line,
						    stack.frames[i].lasti));
		kb_remote_code__free(&code);
	}
	kb_remote_stack__free(&stack);
}

static void test_stack(void **state)
{
	static const char script[] = "import time\n"
				     "def inner(n):\n"
				     "    if n:\n"
				     "        return inner(n - 1)\n"
				     "    print('ready'); time.sleep(60)\n"
				     "def outer():\n"
				     "    list(map(inner, [1]))\n"
				     "outer()\n";
	struct target target;
	char text[512];

	EACH(python)
	{
		target__start(&target, python, script);
		assert_int_equal(target.threads.n, 1);
		assert_int_equal(target.threads.threads[0].tid, target.pid);
		assert_int_equal(target.threads.threads[0].interp_id, 0);
		stack_text(&target, &target.threads.threads[0], text, sizeof(text));
		assert_string_equal(text, "inner:5 inner:4 outer:7 <module>:8");
		target__end(&target);
	}
}

static void test_threads(void **state)
{
	static const char script[] =
		"import threading, time\n"
		"event = threading.Event()\n"
		"class W:\n"
		"    def work(self): event.wait()\n"
		"ts = [threading.Thread(target=W().work, daemon=True, name='w\\xf6rker %d' % n) "
		"for n in range(5)]\n"
		"for t in ts: t.start()\n"
		"def busy():\n"
		"    while True: pass\n"
		"time.sleep(.1); threading.Thread(target=busy, daemon=True).start()\n"
		"print('ready')\n"
		"event.wait()\n";
	struct kb_remote_stack stack = {};
	struct target target;
	char text[1024];

	EACH(python)
	{
		const char *name = python->minor >= 11 ? " W.work:4" : " work:4";
		unsigned int waiting = 0, running = 0, holds = 0;

		target__start(&target, python, script);
		assert_int_equal(target.threads.n, 7);
		kb_remote_threads__names(&target.remote, &target.threads);
		assert_string_equal(target.threads.threads[6].name, "MainThread");
		for (uint32_t i = 1; i < 6; i++) {
			snprintf(text, sizeof(text), "w\u00f6rker %u", 5 - i);
			assert_string_equal(target.threads.threads[i].name, text);
		}
		for (uint32_t i = 0; i < 7; i++) {
			struct kb_remote_thread *thread = &target.threads.threads[i];

			assert_true(thread->tid > 0);
			for (uint32_t j = 0; j < i; j++)
				assert_int_not_equal(thread->tid, target.threads.threads[j].tid);
			holds += thread->holds_gil;
			if (i == 0) {
				/* Newest first: the busy one. It may wait for the GIL for an
				 * instant. */
				for (int k = 0; k < 100; k++)
					running += kb_remote_frames__asleep(
							   &target.remote, thread, &stack, NULL,
							   NULL, NULL) == KB_REMOTE_RUNNING;
				assert_true(running > 50);
				continue;
			}
			stack_text(&target, thread, text, sizeof(text));
			waiting += strstr(text, name) != NULL;
		}
		assert_int_equal(waiting, 5);
		assert_true(holds <= 1);
		assert_int_equal(target.threads.threads[6].tid, target.pid);
		target__end(&target);
	}
	kb_remote_stack__free(&stack);
}

/* A forked child has its parent's thread state, with a thread id of its own. */
static void test_forked(void **state)
{
	static const char script[] = "import os, time\n"
				     "if os.fork(): os.wait()\n"
				     "def work(): time.sleep(60)\n"
				     "print('ready', flush=True)\n"
				     "work()\n";
	struct target target;
	char text[512];

	EACH(python)
	{
		pid_t parent = python__spawn(python, script);
		struct kb_interpreter interp;
		char children[64];
		FILE *file;
		bool found;
		int child;

		assert_true(parent > 0);
		snprintf(children, sizeof(children), "/proc/%d/task/%d/children", parent, parent);
		file = fopen(children, "r");
		assert_non_null(file);
		assert_int_equal(fscanf(file, "%d", &child), 1);
		fclose(file);
		target.pid = child;
		ok(kb_interpreter__find(cache, child, &found, &interp));
		ok(kb_remote__open(child, &interp, &target.remote));
		ok(kb_remote_threads__read(&target.remote, &target.threads));
		assert_int_equal(target.threads.n, 1);
		assert_int_equal(target.threads.threads[0].tid, child);
		stack_text(&target, &target.threads.threads[0], text, sizeof(text));
		assert_string_equal(text, "work:3 <module>:5");
		kill(child, SIGKILL);
		kb_remote_threads__free(&target.threads);
		kb_remote__close(&target.remote);
		python__kill(parent);
	}
}

static void test_gone(void **state)
{
	struct kb_remote_stack stack = {};
	struct target target;

	EACH(python)
	{
		struct kb_remote_threads threads = {};
		struct kb_error *err;

		target__start(&target, python, "import time\nprint('ready'); time.sleep(60)\n");
		python__kill(target.pid);
		err = kb_remote_threads__read(&target.remote, &threads);
		assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
		kb_error__destroy(err);
		assert_int_equal(kb_remote_frames__asleep(&target.remote,
							  &target.threads.threads[0], &stack, NULL,
							  NULL, NULL),
				 KB_REMOTE_GONE);
		kb_remote_threads__free(&target.threads);
		kb_remote__close(&target.remote);
		break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stack),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_forked),
		cmocka_unit_test(test_gone),
	};
	int failed;

	n_pythons = pythons__find(pythons);
	if (kb_image_cache__create(&cache))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kb_image_cache__destroy(cache);
	return failed;
}
