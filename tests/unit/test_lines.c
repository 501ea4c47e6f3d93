// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What lines cost, the sources that they are in, and files as a process sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "format/line_table.h"
#include "format/source.h"
#include "model/profile.h"
#include "system/process.h"
#include "system/process_file.h"

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

/* ---------------------------------------------------------------- lines */

static struct kb_profile *new_profile(pid_t pid, uint32_t *thread)
{
	struct kb_profile_meta meta = { .size = sizeof(meta), .rate_hz = 100, .target = "t" };
	struct kb_process_info process = { .size = sizeof(process), .pid = pid, .ns_pid = pid };
	struct kb_thread_info info = { .size = sizeof(info), .tid = pid };
	struct kb_process_stat stat;
	struct kb_profile *profile;
	struct utsname us;

	uname(&us);
	meta.host = us.nodename;
	if (kb_process__stat(pid, &stat))
		process.start_ns = stat.start_ns;
	assert_no_error(kb_profile__create(&meta, &profile));
	info.process = kb_profile__add_process(profile, &process);
	*thread = kb_profile__add_thread(profile, &info);
	return profile;
}

static uint32_t call(struct kb_profile *profile, uint32_t parent, enum kb_frame_kind kind,
		     const char *file, const char *name, int32_t line, const char *opcode)
{
	struct kb_function_info function = {
		.size = sizeof(function), .kind = kind, .file = file, .name = name, .first_line = 1
	};
	uint32_t frame = kb_profile__add_place(profile, &function, line);

	return kb_profile__add_node(profile, parent,
				    kb_profile__add_opcode(profile, frame, opcode));
}

static const struct kb_line_row *row_at(const struct kb_line_table *table, const char *file,
					int32_t line)
{
	for (uint32_t i = 0; i < table->n_rows; i++)
		if (table->rows[i].line == line &&
		    !strcmp(table->files[table->rows[i].file].name, file))
			return &table->rows[i];
	fail_msg("no line %s:%d", file, line);
	return NULL;
}

/*
 * a.py:5 f → a.py:5 f → native deflate → kernel: 3 samples; a comprehension in line 5, of
 * another function: 2; native calls back b.py:7 g: 4, of which 1 in an instruction.
 */
static struct kb_profile *make_profile(uint32_t *thread)
{
	struct kb_profile *profile = new_profile(getpid(), thread);
	uint32_t outer, inner, native, node;

	outer = call(profile, KB_ID_NONE, KB_FRAME_PYTHON, "a.py", "f", 5, "");
	inner = call(profile, outer, KB_FRAME_PYTHON, "a.py", "f", 5, "CALL");
	native = call(profile, inner, KB_FRAME_NATIVE, "libz.so", "deflate", 0, "");
	node = call(profile, native, KB_FRAME_KERNEL, "", "page_fault", 0, "");
	kb_profile__add_samples(profile, *thread, node, 3);
	node = call(profile, outer, KB_FRAME_PYTHON, "a.py", "<listcomp>", 5, "FOR_ITER");
	kb_profile__add_samples(profile, *thread, node, 2);
	node = call(profile, native, KB_FRAME_PYTHON, "b.py", "g", 7, "");
	kb_profile__add_samples(profile, *thread, node, 3);
	node = call(profile, native, KB_FRAME_PYTHON, "b.py", "g", 7, "LOAD_FAST");
	kb_profile__add_samples(profile, *thread, node, 1);
	return profile;
}

static void test_lines(void **state)
{
	const struct kb_line_row *a, *b;
	struct kb_line_table *table;
	struct kb_profile *profile;
	uint32_t thread;

	profile = make_profile(&thread);
	assert_no_error(kb_line_table__create(profile, &table));
	assert_int_equal(table->total, 9);
	assert_int_equal(table->n_files, 2);
	assert_int_equal(table->n_rows, 2);
	a = row_at(table, "a.py", 5);
	b = row_at(table, "b.py", 7);
	/* Once for each stack, though two or three of its frames are on this line; what native
	 * code does is the line's own. */
	assert_int_equal(a->total, 9);
	assert_int_equal(a->self, 5);
	assert_int_equal(b->total, 4);
	assert_int_equal(b->self, 4);
	assert_int_equal(table->files[0].total, 9);
	assert_int_equal(table->files[0].self, 5);
	assert_int_equal(table->files[0].n_processes, 1);
	assert_ptr_equal(kb_line_table__file(table, "b.py"), &table->files[1]);
	assert_null(kb_line_table__file(table, "c.py"));
	kb_line_table__destroy(table);
	kb_profile__destroy(profile);
}

static void test_calls_and_opcodes(void **state)
{
	static const struct {
		const char *name;
		uint64_t count;
	} expected[] = { { "deflate", 7 }, { "f", 7 }, { "g", 4 }, { "<listcomp>", 2 } };
	struct kb_line_table *table;
	struct kb_profile *profile;
	uint32_t thread, found = 0;

	profile = make_profile(&thread);
	assert_no_error(kb_line_table__create(profile, &table));
	/* The kernel is no callee of the line; g is, through native code. */
	assert_int_equal(table->n_calls, 4);
	for (uint32_t i = 0; i < 4; i++)
		for (uint32_t k = 0; k < 4; k++) {
			const char *name =
				kb_profile__function(profile, table->calls[k].function)->name;

			if (strcmp(name, expected[i].name))
				continue;
			assert_int_equal(table->calls[k].count, expected[i].count);
			found++;
		}
	assert_int_equal(found, 4);
	/* CALL has the native code that it called; g's samples without an instruction are in none.
	 */
	assert_int_equal(table->n_opcodes, 3);
	assert_int_equal(table->opcodes[0].count, 3);
	assert_string_equal(kb_profile__frame(profile, table->opcodes[0].frame)->opcode, "CALL");
	assert_int_equal(table->opcodes[1].count, 2);
	assert_string_equal(kb_profile__frame(profile, table->opcodes[2].frame)->opcode,
			    "LOAD_FAST");
	assert_int_equal(table->opcodes[2].count, 1);
	kb_line_table__destroy(table);
	kb_profile__destroy(profile);
}

static void test_no_lines(void **state)
{
	struct kb_line_table *table;
	struct kb_profile *profile;
	uint32_t thread;

	profile = new_profile(getpid(), &thread);
	assert_no_error(kb_line_table__create(profile, &table));
	assert_int_equal(table->n_files + table->n_rows + table->n_calls, 0);
	kb_line_table__destroy(table);
	kb_profile__add_samples(
		profile, thread,
		call(profile, KB_ID_NONE, KB_FRAME_MARKER, "", "<truncated>", 0, ""), 3);
	assert_no_error(kb_line_table__create(profile, &table));
	assert_int_equal(table->n_rows, 0);
	assert_int_equal(table->total, 3);
	kb_line_table__destroy(table);
	kb_profile__destroy(profile);
}

/* ---------------------------------------------------------------- encodings */

static void assert_decoded(const char *bytes, size_t size, const char *second, const char *note)
{
	struct kb_source source = {};

	assert_no_error(kb_source__decode(bytes, size, &source));
	assert_true(source.n_lines >= 2);
	assert_string_equal(source.lines[1], second);
	assert_string_equal(source.note, note);
	kb_source__free(&source);
}

#define DECODED(bytes, second, note) assert_decoded((bytes), sizeof(bytes) - 1, (second), (note))

static void test_encodings(void **state)
{
	DECODED("a\nb\xc3\xa4", "bä", "");
	DECODED("\xef\xbb\xbf# coding: latin-1\nb\xc3\xa4", "bä", "");
	DECODED("# -*- coding: latin-1 -*-\nb\xe4\n", "bä", "");
	DECODED("#!/usr/bin/python\n# vim: set fileencoding=ISO_8859_15 :\n\xa4",
		"# vim: set fileencoding=ISO_8859_15 :", "");
	DECODED("# coding=cp1251\n\xcf\xf0", "Пр", "");
	DECODED("# coding: shift_jis\n\x93\xfa\x96\x7b", "日本", "");
	DECODED("# coding: euc-jp\n\xc6\xfc\xff", "日\xef\xbf\xbd", "");
	/* Declared where Python does not look, or where no comment is. */
	DECODED("x = 1\n# coding: latin-1 \xc3\xa4", "# coding: latin-1 ä", "");
	DECODED("x = '# coding: latin-1'\n\xc3\xa4", "ä", "");
	DECODED("# coding: utf_8\n\xc3\xa4", "ä", "");
	DECODED("# coding: utf-7\nb+AOQ-", "b+AOQ-",
		"shown as UTF-8: its encoding, utf-7, is not known here");
	DECODED("# coding: ../../evil\nb", "b",
		"shown as UTF-8: its encoding, .., is not known here");
}

static void test_line_ends(void **state)
{
	struct kb_source source = {};
	static const char text[] = "a\r\nb\rc\n\n\td\te\0f\n\x0c"
				   "g";
	char *longest = malloc(KB_SOURCE_LINE_MAX * 2);

	assert_no_error(kb_source__decode(text, sizeof(text) - 1, &source));
	assert_int_equal(source.n_lines, 6);
	assert_string_equal(source.lines[0], "a");
	assert_string_equal(source.lines[1], "b");
	assert_string_equal(source.lines[2], "c");
	assert_string_equal(source.lines[3], "");
	assert_string_equal(source.lines[4], "        d       e\xef\xbf\xbd"
					     "f");
	assert_string_equal(source.lines[5], "\x0c"
					     "g");
	kb_source__free(&source);
	memset(longest, 'x', KB_SOURCE_LINE_MAX * 2);
	assert_no_error(kb_source__decode(longest, KB_SOURCE_LINE_MAX * 2, &source));
	assert_int_equal(source.n_lines, 1);
	assert_int_equal(strlen(source.lines[0]), KB_SOURCE_LINE_MAX + strlen("…"));
	kb_source__free(&source);
	assert_no_error(kb_source__decode("", 0, &source));
	assert_int_equal(source.n_lines, 0);
	kb_source__free(&source);
	free(longest);
}

/* ---------------------------------------------------------------- files */

static char directory[] = "/tmp/kb-test-lines-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
	const char *path = path_of(name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* A process in our directory; of another user, if we are root. */
static pid_t start_stranger(void)
{
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		if (chdir(directory) || (!geteuid() && (setgid(65534) || setuid(65534))))
			_exit(1);
		close(ready[1]);
		close(ready[0]);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0); /* its end is closed */
	close(ready[0]);
	return pid;
}

static int read_as(pid_t pid, const char *name, char **text)
{
	struct stat st;
	size_t size;

	*text = NULL;
	return kb_process_file__read(pid, name, 100, text, &size, &st);
}

static void assert_read_as(pid_t pid, const char *name, const char *text)
{
	char *found;

	assert_int_equal(read_as(pid, name, &found), 0);
	assert_string_equal(found, text);
	free(found);
}

static void assert_not_read(pid_t pid, const char *name, int err)
{
	char *found;

	assert_int_equal(read_as(pid, name, &found), err);
	assert_null(found);
}

static void test_files_of_a_process(void **state)
{
	pid_t pid = start_stranger();
	char big[102];

	memset(big, 'x', 101);
	big[101] = 0;
	assert_read_as(pid, write_file("open.py", "open", 0644), "open");
	assert_read_as(pid, "open.py", "open");
	assert_read_as(pid, "./open.py", "open");
	write_file("secret.py", "secret", 0600);
	if (!geteuid())
		assert_not_read(pid, path_of("secret.py"), EACCES);
	assert_read_as(0, path_of("secret.py"), "secret");
	/* And our rights are back. */
	assert_int_equal(access(path_of("secret.py"), R_OK), 0);
	assert_read_as(getpid(), path_of("secret.py"), "secret");
	assert_not_read(pid, write_file("big.py", big, 0644), EFBIG);
	assert_not_read(pid, directory, EINVAL);
	assert_not_read(pid, "/dev/zero", EINVAL);
	assert_not_read(pid, "no-such.py", ENOENT);
	assert_not_read(pid, "../etc/passwd", EXDEV);
	assert_int_equal(mkfifo(path_of("fifo.py"), 0644), 0);
	assert_not_read(pid, "fifo.py", EINVAL);
	assert_not_read(0, path_of("fifo.py"), EINVAL);
	assert_int_equal(symlink("/proc/self/root/etc/passwd", path_of("magic.py")), 0);
	assert_not_read(pid, path_of("magic.py"), ELOOP);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_not_read(pid, "open.py", ESRCH);
}

static void assert_source(const char *name, const char *first, const char *note)
{
	uint32_t thread, process = 0;
	struct kb_profile *profile = new_profile(getpid(), &thread);
	struct kb_source source;

	assert_no_error(kb_source__read(profile, name, &process, 1, &source));
	if (first)
		assert_string_equal(source.lines[0], first);
	else
		assert_null(source.lines);
	assert_string_equal(source.note, note);
	kb_source__free(&source);
	kb_profile__destroy(profile);
}

static void test_sources(void **state)
{
	assert_source(write_file("a.py", "x = 1\n", 0644), "x = 1", "");
	assert_source(write_file("script", "#!/usr/bin/env python3\n", 0755),
		      "#!/usr/bin/env python3", "");
	/* Names come from the target: it shall not have us show what is no program of its own. */
	assert_source(write_file("key", "secret\n", 0600), NULL,
		      "neither its name nor its first line says that it is Python");
	assert_source("/etc/passwd", NULL,
		      "neither its name nor its first line says that it is Python");
	assert_source("<string>", NULL, "compiled from text that is in no file");
	assert_source("", NULL, "compiled from text that is in no file");
	assert_source("/no/such/file.py", NULL, "no such file");
}

static int set_up(void **state)
{
	return mkdtemp(directory) && !chmod(directory, 0755) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "open.py",	 "secret.py", "big.py", "fifo.py",
					     "magic.py", "a.py",      "script", "key" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	  cmocka_unit_test(test_calls_and_opcodes),
		cmocka_unit_test(test_no_lines),  cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_line_ends), cmocka_unit_test(test_files_of_a_process),
		cmocka_unit_test(test_sources),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
