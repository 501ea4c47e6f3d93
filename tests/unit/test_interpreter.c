// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include "base/error.h"
#include "python/interpreter.h"
#include "system/memory.h"
#include "unit/interpreter_util.h"
#include "unit/pythons.h"

static struct python pythons[PYTHONS_MAX];
static size_t n_pythons;
static struct kb_image_cache *cache;

static const char *const scripts[] = {
	/* idle, some frames deep */
	"import time\n"
	"def inner():\n    print('ready'); time.sleep(60)\n"
	"def outer():\n    inner()\n"
	"outer()\n",
	/* idle in the module's own frame */
	"import time\nprint('ready'); time.sleep(60)\n",
	/* busy in one frame */
	"print('ready')\nwhile True: pass\n",
	/* frames come and go all the time */
	"def deep(n):\n    return deep(n - 1) + 1 if n else 0\n"
	"print('ready')\n"
	"while True: deep(200)\n",
	/* four threads, and the main one waits */
	"import threading, time\n"
	"def leaf(x): return x + 1\n"
	"def work():\n    while True: leaf(1)\n"
	"for i in range(4): threading.Thread(target=work, daemon=True).start()\n"
	"time.sleep(0.2); print('ready'); time.sleep(60)\n",
	/* a generator's frame, a class body's, a lambda's, non-ASCII names */
	"import time\n"
	"def g\u00e9n\u00e9rateur():\n    yield time.sleep(60)\n"
	"class \u540d\u524d:\n"
	"    print('ready')\n"
	"    (lambda: list(g\u00e9n\u00e9rateur()))()\n",
};
#define N_SCRIPTS (sizeof(scripts) / sizeof(scripts[0]))

static void check_running(const struct python *python, const char *script)
{
	pid_t pid = python__spawn(python, script);
	struct kb_interpreter interp;
	bool found;

	if (pid < 0)
		fail_msg("%s%s does not start", python->root, python->path);
	find_in(cache, pid, &found, &interp);
	assert_true(found);
	assert_true(interp.initialized);
	assert_false(interp.needs_libpython);
	assert_int_equal(interp.image->layout.version_minor, python->minor);
	assert_ptr_equal(interp.image, kb_image_cache__at(cache, interp.image_index));
	assert_non_null(strstr(python->image, interp.path + strlen(interp.path) - 8));
	validate(pid, &interp);
	python__kill(pid);
}

static void test_all(void **state)
{
	unsigned int ran = 0, not_run = 0;

	for (size_t i = 0; i < n_pythons; i++) {
		if (!python__runs(&pythons[i])) {
			not_run++;
			continue;
		}
		for (size_t j = 0; j < N_SCRIPTS; j++)
			check_running(&pythons[i], scripts[j]);
		ran++;
	}
	if (not_run)
		print_message("%u interpreters in other root file systems: only root runs them\n",
			      not_run);
	if (!ran) {
		print_message("skipped: no Python that runs on this machine\n");
		skip();
	}
	/* Each file was analysed once. */
	assert_int_equal(kb_image_cache__count(cache), ran);
	assert_null(kb_image_cache__at(cache, ran));
}

static const struct python *any_python(bool pyenv)
{
	for (size_t i = 0; i < n_pythons; i++)
		if (pythons[i].pyenv == pyenv && !pythons[i].root[0] &&
		    !!strstr(pythons[i].image, "libpython") == pyenv)
			return &pythons[i];
	print_message("skipped: no such Python on this machine\n");
	skip();
	return NULL;
}

/* Forked workers have their parent's interpreter, and one thread of it. */
static void test_forked(void **state)
{
	static const char script[] = "import os, threading, time\n"
				     "def f(): time.sleep(60)\n"
				     "threading.Thread(target=f, daemon=True).start()\n"
				     "if os.fork(): os.wait()\n"
				     "print(os.getpid(), flush=True)\n"
				     "def work(): time.sleep(60)\n"
				     "work()\n";

	for (size_t i = 0; i < n_pythons; i++) {
		struct kb_interpreter interp;
		char children[64];
		int child = 0;
		pid_t pid;
		FILE *file;
		bool found;

		if (!python__runs(&pythons[i]))
			continue;
		pid = python__spawn(&pythons[i], script);
		assert_true(pid > 0);
		snprintf(children, sizeof(children), "/proc/%d/task/%d/children", pid, pid);
		file = fopen(children, "r");
		assert_non_null(file);
		assert_int_equal(fscanf(file, "%d", &child), 1);
		fclose(file);
		find_in(cache, child, &found, &interp);
		assert_true(found && interp.initialized);
		validate(child, &interp);
		kill(child, SIGKILL);
		python__kill(pid);
	}
}

/* ---------------------------------------------------------------- thread states */

#if defined(__x86_64__)

/* glibc's: struct pthread begins with the tcbhead_t {tcb, dtv, ...}; two words in each slot of the
 * dtv. */
#define DTV_OFFSET     8
#define DTV_ENTRY_SIZE 16
#define SPECIFIC_OFFSET                                                                            \
	0x310 /* specific_1stblock of struct pthread: {sequence, data} for 32 keys */

static uint64_t word(pid_t pid, uint64_t address)
{
	uint64_t value = 0;

	assert_true(kb_memory__read_u64(pid, address, &value));
	return value;
}

static uint64_t tls_word(pid_t pid, const struct kb_interpreter *interp, const struct kb_tls *tls,
			 uint64_t thread)
{
	uint64_t at = tls->value + interp->bias, block;

	switch (tls->kind) {
	case KB_TLS_STATIC:
		return word(pid, thread + tls->value);
	case KB_TLS_GOT:
		return word(pid, thread + word(pid, at) + tls->displacement);
	case KB_TLS_DYNAMIC:
		block = word(pid, word(pid, thread + DTV_OFFSET) + word(pid, at) * DTV_ENTRY_SIZE);
		return word(pid, block + word(pid, at + 8) + tls->displacement);
	}
	fail();
	return 0;
}

/* Which way of finding the thread state of the process's only thread. */
enum way { GLOBAL, TLS, GILSTATE_TLS, KEY };

static uint64_t by_way(pid_t pid, const struct kb_interpreter *interp, uint64_t thread,
		       enum way way)
{
	const struct kb_image *image = &interp->image->image;
	uint32_t key = 0;

	switch (way) {
	case GLOBAL:
		return word(pid, image->tstate_current + interp->bias);
	case TLS:
		return tls_word(pid, interp, &image->tstate_tls, thread);
	case GILSTATE_TLS:
		return tls_word(pid, interp, &image->gilstate_tls, thread);
	case KEY:
		assert_true(kb_memory__read_u32(pid, image->tss_key + interp->bias, &key));
		assert_true(key < 32);
		return word(pid, thread + SPECIFIC_OFFSET + key * 16 + 8);
	}
	return 0;
}

/* It may have released the GIL for an instant, when it wrote its line. */
static void assert_leads_to(pid_t pid, const struct kb_interpreter *interp, uint64_t thread,
			    enum way way, uint64_t tstate)
{
	uint64_t found = 0;

	for (int i = 0; i < 1000 && found != tstate; i++) {
		if (i)
			usleep(1000);
		found = by_way(pid, interp, thread, way);
	}
	assert_int_equal(found, tstate);
}

static void check_places(const struct python *python)
{
	pid_t pid = python__spawn(python, scripts[2]);
	const struct kb_layout *layout;
	struct kb_interpreter interp;
	uint64_t tstate, thread;
	bool found;

	assert_true(pid > 0);
	find_in(cache, pid, &found, &interp);
	assert_true(found && interp.initialized);
	layout = &interp.image->layout;
	tstate = word(pid, word(pid, interp.image->image.interp_head + interp.bias) +
				   layout->interp_threads_head);
	thread = word(pid, tstate + layout->tstate_thread_id);
	if (python->minor <= 11)
		assert_leads_to(pid, &interp, thread, GLOBAL, tstate);
	if (python->minor >= 12)
		assert_leads_to(pid, &interp, thread, TLS, tstate);
	if (python->minor >= 15)
		assert_leads_to(pid, &interp, thread, GILSTATE_TLS, tstate);
	if (python->minor <= 14)
		assert_leads_to(pid, &interp, thread, KEY, tstate);
	if (layout->tstate_native_thread_id != KB_NO_OFFSET)
		assert_int_equal(word(pid, tstate + layout->tstate_native_thread_id), pid);
	python__kill(pid);
}

static void test_thread_state_places(void **state)
{
	for (size_t i = 0; i < n_pythons; i++)
		if (python__runs(&pythons[i]))
			check_places(&pythons[i]);
}

#endif

/* ---------------------------------------------------------------- the file is gone */

static void test_deleted(void **state)
{
	struct python copy = *any_python(false);
	struct kb_interpreter interp;
	char command[3 * PATH_MAX], program[64];
	bool found;
	pid_t pid;

	snprintf(program, sizeof(program), "/tmp/keelback-program-%d", getpid());
	snprintf(command, sizeof(command), "cp %s %s", copy.path, program);
	assert_int_equal(system(command), 0);
	strcpy(copy.path, program);
	pid = python__spawn(&copy, scripts[0]);
	assert_int_equal(unlink(copy.path), 0);
	assert_true(pid > 0);
	find_in(cache, pid, &found, &interp);
	assert_true(found && interp.initialized);
	assert_string_equal(interp.path, program);
	assert_int_equal(interp.image->layout.version_minor, copy.minor);
	validate(pid, &interp);
	python__kill(pid);
}

#if defined(__x86_64__)
/* The dynamic linker as the program: the interpreter is just a mapped file. */
static void test_run_by_linker(void **state)
{
	const struct python *python = any_python(false);
	struct kb_interpreter interp;
	int ready[2];
	bool found;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		dup2(ready[1], STDOUT_FILENO);
		execl("/lib64/ld-linux-x86-64.so.2", "ld.so", python->path, "-S", "-u", "-c",
		      "import time, os; os.write(1, b'!'); time.sleep(60)", (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	find_in(cache, pid, &found, &interp);
	assert_true(found && interp.initialized);
	assert_string_equal(interp.path, python->path);
	validate(pid, &interp);
	python__kill(pid);
}

#endif

/* ---------------------------------------------------------------- before the interpreter runs */

/* A process that is stopped at its first instruction, in the dynamic linker. */
static pid_t spawn_stopped(const char *path)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(path, path, "-c", "pass", (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void test_library_not_mapped_yet(void **state)
{
	const struct python *python = any_python(true);
	struct kb_interpreter interp;
	bool found;
	pid_t pid = spawn_stopped(python->path);

	find_in(cache, pid, &found, &interp);
	assert_false(found);
	assert_true(interp.needs_libpython);
	python__kill(pid);
}

static void test_not_initialized_yet(void **state)
{
	const struct python *python = any_python(false);
	struct kb_interpreter interp;
	bool found;
	pid_t pid = spawn_stopped(python->path);

	find_in(cache, pid, &found, &interp);
	assert_true(found);
	assert_false(interp.initialized);
	python__kill(pid);
}

static void test_not_python(void **state)
{
	pid_t pid = spawn_stopped("/bin/sh");
	uint32_t before = kb_image_cache__count(cache);
	struct kb_interpreter interp;
	bool found;

	find_in(cache, pid, &found, &interp);
	assert_false(found);
	assert_false(interp.needs_libpython);
	find_in(cache, pid, &found, &interp);
	assert_false(found);
	assert_int_equal(kb_image_cache__count(cache), before);
	python__kill(pid);
}

static void test_no_process(void **state)
{
	struct kb_interpreter interp;
	struct kb_error *err;
	bool found;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	err = kb_interpreter__find(cache, pid, &found, &interp);
	assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
	kb_error__destroy(err);
}

static void test_zombie(void **state)
{
	struct kb_interpreter interp;
	siginfo_t info;
	bool found;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	find_in(cache, pid, &found, &interp);
	assert_false(found);
	waitpid(pid, NULL, 0);
}

/* ---------------------------------------------------------------- layouts that do not fit */

struct change {
	const char *name;
	size_t at, size; /* in struct kb_layout */
	int add;
};

#define CHANGE(field, add)                                                                         \
	{                                                                                          \
#field, offsetof(struct kb_layout, field), sizeof(((struct kb_layout *)0)->field), \
			add                                                                        \
	}
static const struct change changes[] = {
	CHANGE(interp_threads_head, 8), CHANGE(tstate_interp, 8),  CHANGE(tstate_interp, -8),
	CHANGE(tstate_frame, -8),	CHANGE(frame_code, 8),	   CHANGE(frame_instr, 8),
	CHANGE(code_filename, -8),	CHANGE(code_name, 8),	   CHANGE(code_linetable, 16),
	CHANGE(object_type, 8),		CHANGE(unicode_length, 8), CHANGE(unicode_state, 8),
	CHANGE(frame_previous, 16),
};

static void change_layout(struct kb_layout *layout, const struct change *change)
{
	uint64_t value = 0;

	memcpy(&value, (char *)layout + change->at, change->size);
	value += change->add;
	memcpy((char *)layout + change->at, &value, change->size);
}

/* Each offset that the walk rests on, moved: refused on the live process, by name of what is wrong.
 */
static void check_changes(const struct python *python)
{
	pid_t pid = python__spawn(python, scripts[0]);
	struct kb_interpreter interp;
	bool found;

	assert_true(pid > 0);
	find_in(cache, pid, &found, &interp);
	assert_true(found);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct kb_image_info info = *interp.image;
		struct kb_interpreter changed = interp;
		struct kb_error *err;

		/* A wrong f_lasti is just another number. */
		if (info.layout.lasti_kind != KB_LASTI_POINTER &&
		    changes[i].at == offsetof(struct kb_layout, frame_instr))
			continue;
		change_layout(&info.layout, &changes[i]);
		changed.image = &info;
		err = kb_interpreter__validate(pid, &changed);
		if (!err)
			fail_msg("3.%u: validated with a wrong %s", python->minor, changes[i].name);
		assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
		assert_non_null(strstr(kb_error__text(err), "does not fit"));
		kb_error__destroy(err);
	}
	validate(pid, &interp);
	python__kill(pid);
}

static void test_wrong_layout(void **state)
{
	check_changes(any_python(true));
	check_changes(any_python(false));
}

static void test_wrong_bias(void **state)
{
	const struct python *python = any_python(false);
	pid_t pid = python__spawn(python, scripts[0]);
	struct kb_interpreter interp;
	struct kb_error *err;
	bool found;

	assert_true(pid > 0);
	find_in(cache, pid, &found, &interp);
	interp.bias += 4096;
	err = kb_interpreter__validate(pid, &interp);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	kb_error__destroy(err);
	python__kill(pid);
}

/* ---------------------------------------------------------------- files that will be run */

static void test_paths(void **state)
{
	uint32_t before = kb_image_cache__count(cache), index = 0;
	const struct python *shared = any_python(true);
	struct kb_error *err;
	char file[PATH_MAX];
	bool is_python = true;

	assert_null(kb_image_cache__add_path(cache, "/bin/sh", &is_python, &index, file));
	assert_false(is_python);
	/* The executable is thin: its libpython is what is found. */
	assert_null(kb_image_cache__add_path(cache, shared->path, &is_python, &index, file));
	assert_true(is_python);
	assert_true(kb_image_cache__at(cache, index)->shared);
	assert_int_equal(kb_image_cache__at(cache, index)->layout.version_minor, shared->minor);
	assert_true(kb_image_cache__count(cache) <= before + 1);
	err = kb_image_cache__add_path(cache, "/no/such/file", &is_python, &index, file);
	assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
	assert_string_equal(kb_error__text(err), "/no/such/file: No such file or directory");
	kb_error__destroy(err);
}

static int setup(void **state)
{
	n_pythons = pythons__find(pythons);
	kb_error__destroy(kb_image_cache__create(&cache));
	return cache ? 0 : -1;
}

static int teardown(void **state)
{
	kb_image_cache__destroy(cache);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_forked),
#if defined(__x86_64__)
		cmocka_unit_test(test_thread_state_places),
#endif
		cmocka_unit_test(test_deleted),
#if defined(__x86_64__)
		cmocka_unit_test(test_run_by_linker),
#endif
		cmocka_unit_test(test_library_not_mapped_yet),
		cmocka_unit_test(test_not_initialized_yet),
		cmocka_unit_test(test_not_python),
		cmocka_unit_test(test_no_process),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_wrong_layout),
		cmocka_unit_test(test_wrong_bias),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
