// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs with an interpreter inside, as application servers and frozen
 * applications have it: linked statically, stripped, and of any name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/error.h"
#include "python/interpreter.h"
#include "unit/interpreter_util.h"
#include "unit/pythons.h"

static struct python pythons[PYTHONS_MAX];
static size_t n_pythons;
static struct kb_image_cache *cache;
static char directory[] = "/tmp/keelback-embedding-XXXXXX";

static const char program[] = "#include <Python.h>\n"
			      "#include <unistd.h>\n"
			      "int main(int argc, char **argv)\n"
			      "{\n"
			      "	Py_Initialize();\n"
			      "	if (argc > 1)\n"
			      "		PyRun_SimpleString(argv[1]);\n"
			      "	if (write(1, \"\\n\", 1) == 1)\n"
			      "		sleep(60);\n"
			      "	return 0;\n"
			      "}\n";

static void shell(const char *format, ...)
{
	static char command[8 * PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

/* Starts the embedding program, with a script or without, and waits for its line. */
static pid_t start_program(const char *path, const char *home, const char *script)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], STDOUT_FILENO);
		setenv("PYTHONHOME", home, 1);
		execl(path, path, script, (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* Stripped, of a name that tells nothing; with nothing to run, and running a script. */
static void check_embedded(const struct python *python, const char *options)
{
	static const char *const runs[] = { NULL,
					    "import os, time\nos.write(1, b'!')\ntime.sleep(60)" };
	char home[PATH_MAX], path[64], source[80];
	FILE *file;

	snprintf(home, sizeof(home), "%.*s", (int)(strstr(python->path, "/bin/") - python->path),
		 python->path);
	snprintf(path, sizeof(path), "%s/program", directory);
	snprintf(source, sizeof(source), "%s.c", path);
	file = fopen(source, "w");
	assert_non_null(file);
	fputs(program, file);
	fclose(file);
	shell("cc -w %s -o %s %s.c -I$(echo %s/include/python3.%u*) "
	      "%s/lib/python3.%u/config-*/libpython3.%u*.a "
	      "-Wl,--export-dynamic -lm -ldl -lpthread -lutil 2>/dev/null && strip %s",
	      options, path, path, home, python->minor, home, python->minor, python->minor, path);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		pid_t pid = start_program(path, home, runs[i]);
		struct kb_interpreter interp;
		bool found;

		find_in(cache, pid, &found, &interp);
		assert_true(found && interp.initialized);
		assert_string_equal(interp.path, path);
		assert_int_equal(interp.image->layout.version_minor, python->minor);
		/* A release, of which the micro version is known: from the code of Py_GetVersion up
		 * to 3.10. */
		assert_int_equal(interp.image->version_hex >> 4 & 0xf, 0xf);
		assert_false(interp.image->symbols);
		assert_false(interp.image->shared);
		validate(pid, &interp);
		python__kill(pid);
	}
}

static void test_embedded(void **state)
{
	static const struct {
		unsigned int minor;
		const char *options;
	} builds[] = { { 6, "-pie" }, { 9, "-no-pie" }, { 11, "-no-pie" }, { 12, "-pie" } };
	unsigned int tested = 0;

	for (size_t i = 0; i < n_pythons; i++)
		for (size_t j = 0; j < sizeof(builds) / sizeof(builds[0]); j++)
			if (pythons[i].pyenv && pythons[i].minor == builds[j].minor) {
				check_embedded(&pythons[i], builds[j].options);
				tested++;
			}
	if (!tested) {
		print_message("skipped: no pyenv Python to link with\n");
		skip();
	}
}

static int setup(void **state)
{
	n_pythons = pythons__find(pythons);
	kb_error__destroy(kb_image_cache__create(&cache));
	return cache && mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
	kb_image_cache__destroy(cache);
	shell("rm -rf %s", directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_embedded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
