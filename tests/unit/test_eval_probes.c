// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/error.h"
#include "python/opcode.h"
#include "symbols/eval_probes.h"
#include "unit/pythons.h"

static struct python pythons[PYTHONS_MAX];
static size_t n_pythons;
static char directory[] = "/tmp/keelback-eval-XXXXXX";

static struct kb_error *find(const char *path, struct kb_elf_file **elf, struct kb_image_info *info,
			     struct kb_eval_probes *probes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is_python;

	assert_true(fd >= 0);
	assert_null(kb_elf_file__open(fd, elf));
	assert_non_null(*elf);
	assert_null(kb_image__read(fd, path, &is_python, info));
	assert_true(is_python);
	return kb_eval_probes__find(*elf, info, probes);
}

static void close_elf(struct kb_elf_file *elf)
{
	int fd = kb_elf_file__fd(elf);

	kb_elf_file__close(elf);
	close(fd);
}

static unsigned int count(const struct kb_eval_probes *probes, enum kb_eval_role role)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < probes->n; i++)
		n += probes->probes[i].role == role;
	return n;
}

static bool has(const struct kb_eval_probes *probes, unsigned int minor, enum kb_eval_role role,
		const char *name)
{
	for (uint32_t i = 0; i < probes->n; i++)
		if (probes->probes[i].role == role &&
		    probes->probes[i].opcode == kb_opcode__number(minor, name))
			return true;
	return false;
}

/* What the kernel emulates, by the bytes alone: not as the finder looks at them. */
static bool is_emulated(const uint8_t *at)
{
	while (*at == 0x3e || *at == 0x2e || *at == 0xf2)
		at++;
	if (*at == 0x41)
		return at[1] >= 0x50 && at[1] <= 0x57;
	return *at == 0x90 || (*at == 0x66 && at[1] == 0x90) || (*at >= 0x50 && *at <= 0x57) ||
	       *at == 0xe8 || *at == 0xe9 || *at == 0xeb || (*at >= 0x70 && *at <= 0x7f) ||
	       (*at == 0x0f && ((at[1] >= 0x80 && at[1] <= 0x8f) || at[1] == 0x1f));
}

/* Executed once for nearly every call: these must be cheap. */
static bool is_hot(const struct kb_eval_probe *probe, unsigned int minor)
{
	const char *name = probe->opcode < 0 ? "" : kb_opcode__name(minor, (unsigned)probe->opcode);

	if (probe->role == KB_EVAL_ENTRY)
		return minor < 13 || !strcmp(name, "RESUME_CHECK");
	return probe->role == KB_EVAL_EXIT;
}

static void check_places(const struct kb_elf_file *elf, const struct kb_eval_probes *probes,
			 unsigned int minor)
{
	for (uint32_t i = 0; i < probes->n; i++) {
		const struct kb_eval_probe *probe = &probes->probes[i];
		uint8_t by_address[8], by_offset[8];

		assert_true(kb_elf_file__read(elf, probe->at.address, by_address, 8));
		assert_true(kb_elf_file__read_offset(elf, probe->at.offset, by_offset, 8));
		assert_memory_equal(by_address, by_offset, 8);
		assert_int_equal(is_emulated(by_offset), probe->at.kind != KB_PROBE_STEPPED);
		if (is_hot(probe, minor))
			assert_int_not_equal(probe->at.kind, KB_PROBE_STEPPED);
		assert_int_equal(probe->frame == KB_EVAL_FRAME_REGISTER,
				 probe->frame_register != KB_REGISTER_NONE);
		assert_int_equal(probe->role == KB_EVAL_C_CALL, probe->callable.base != 0);
		/* Where the call stands is in the frame, or in a register that still has it. */
		if (probe->role == KB_EVAL_C_CALL && !probe->instr_stored) {
			assert_int_not_equal(probes->instr, KB_REGISTER_NONE);
			assert_false(probe->at.written & KB_REGISTER_BIT(probes->instr));
		}
	}
}

/* Exits: the function that clears frames, or from 3.12 on RETURN_VALUE and RETURN_CONST, and the
 * calls of that function elsewhere. Debian's 3.11 clears frames in two places of the loop. */
static void check_exits(const struct python *python, const struct kb_eval_probes *probes)
{
	bool in_loop = has(probes, python->minor, KB_EVAL_EXIT, "RETURN_VALUE");

	if (python->minor < 12 || !in_loop) {
		assert_int_equal(count(probes, KB_EVAL_EXIT),
				 python->minor == 11 && !python->pyenv ? 2 : 1);
		return;
	}
	assert_true(count(probes, KB_EVAL_EXIT) >= 3);
	for (uint32_t i = 0; i < probes->n; i++) {
		const struct kb_eval_probe *probe = &probes->probes[i];

		if (probe->role != KB_EVAL_EXIT)
			continue;
		assert_int_equal(probe->frame == KB_EVAL_FRAME_REGISTER, probe->opcode < 0);
		assert_int_equal(probe->at.kind == KB_PROBE_CALL, probe->opcode < 0);
	}
}

/* The number of points of each role, as CPython's sources have them in this version. */
static void check_roles(const struct python *python, const struct kb_eval_probes *probes)
{
	static const unsigned int entries[] = { [11] = 2, 2, 3, 3, 4 };
	unsigned int minor = python->minor;

	assert_null(probes->exits_missing);
	assert_null(probes->c_calls_missing);
	assert_int_equal(count(probes, KB_EVAL_ENTRY), minor < 11 ? 1 : entries[minor]);
	check_exits(python, probes);
	assert_int_equal(count(probes, KB_EVAL_YIELD), minor < 11 ? 0 : minor == 11 ? 1 : 2);
	assert_int_equal(count(probes, KB_EVAL_RAISE), minor >= 11);
	assert_true(count(probes, KB_EVAL_C_CALL) >= (minor < 11 ? 3 : 13));
	if (minor >= 11)
		assert_true(has(probes, minor, KB_EVAL_ENTRY, "RESUME"));
	if (minor >= 12) {
		assert_true(has(probes, minor, KB_EVAL_ENTRY, "INSTRUMENTED_RESUME"));
		assert_true(has(probes, minor, KB_EVAL_YIELD, "INSTRUMENTED_YIELD_VALUE"));
	}
	if (minor >= 13)
		assert_true(has(probes, minor, KB_EVAL_ENTRY, "RESUME_CHECK"));
	if (minor >= 15)
		assert_true(has(probes, minor, KB_EVAL_ENTRY, "RESUME_CHECK_JIT"));
	for (uint32_t i = 0; i < probes->n; i++)
		if (minor < 11 && probes->probes[i].role == KB_EVAL_ENTRY)
			assert_string_equal(kb_register__name(probes->probes[i].frame_register),
					    minor < 9 ? "rdi" : "rsi");
}

/* The table's symbol is local to a file of CPython's: "opcode_targets.13". */
static uint64_t table_by_nm(const char *path)
{
	char command[PATH_MAX + 64], line[256] = "";
	FILE *pipe;

	snprintf(command, sizeof(command), "nm '%s' | grep ' opcode_targets'", path);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_non_null(fgets(line, sizeof(line), pipe));
	pclose(pipe);
	return strtoull(line, NULL, 16);
}

static void test_all(void **state)
{
	if (!n_pythons) {
		print_message("skipped: no Python on this machine\n");
		skip();
	}
	for (size_t i = 0; i < n_pythons; i++) {
		const struct python *python = &pythons[i];
		struct kb_eval_probes probes;
		struct kb_image_info info;
		struct kb_elf_file *elf;
		unsigned int slow = 0;

		assert_null(find(python->image, &elf, &info, &probes));
		for (uint32_t j = 0; j < probes.n; j++)
			slow += probes.probes[j].at.kind == KB_PROBE_STEPPED;
		print_message("%s: %u points, %u slow, next best table has %u mismatches\n",
			      python->image, probes.n, slow, probes.targets.runner_up);
		assert_int_equal(probes.targets.mismatches, 0);
		assert_true(probes.targets.runner_up >= 4);
		assert_false(probes.tail_calls);
		assert_true(probes.n_ranges >= 1 && probes.n_ranges <= 2);
		check_roles(python, &probes);
		check_places(elf, &probes, python->minor);
		if (python->pyenv)
			assert_int_equal(probes.targets.table, table_by_nm(python->image));
		close_elf(elf);
	}
}

/* Without symbols the same points are found. */
static void test_stripped(void **state)
{
	char path[PATH_MAX], command[3 * PATH_MAX];
	unsigned int tested = 0;

	snprintf(path, sizeof(path), "%s/program", directory);
	for (size_t i = 0; i < n_pythons; i++) {
		static struct kb_eval_probes whole, stripped;
		struct kb_image_info info;
		struct kb_elf_file *elf;

		if (!pythons[i].pyenv)
			continue;
		snprintf(command, sizeof(command), "strip -o '%s' '%s'", path, pythons[i].image);
		assert_int_equal(system(command), 0);
		assert_null(find(pythons[i].image, &elf, &info, &whole));
		close_elf(elf);
		assert_null(find(path, &elf, &info, &stripped));
		close_elf(elf);
		assert_false(info.symbols);
		assert_int_equal(stripped.n, whole.n);
		for (uint32_t j = 0; j < whole.n; j++) {
			assert_int_equal(stripped.probes[j].at.address, whole.probes[j].at.address);
			assert_int_equal(stripped.probes[j].role, whole.probes[j].role);
		}
		unlink(path);
		tested++;
	}
	if (!tested) {
		print_message("skipped: no Python with symbols on this machine\n");
		skip();
	}
}

/* The table of another version matches worse than a caller accepts, or not at all. */
static void test_other_version(void **state)
{
	for (size_t i = 0; i < n_pythons; i++) {
		struct kb_opcode_targets targets;
		struct kb_image_info info;
		struct kb_eval_probes probes;
		struct kb_elf_file *elf;
		struct kb_error *err;
		unsigned int other = pythons[i].minor == 12 ? 14 : 12;

		assert_null(find(pythons[i].image, &elf, &info, &probes));
		err = kb_opcode_targets__find(elf, other, &targets);
		if (err)
			assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
		else
			assert_true(targets.mismatches > 0);
		kb_error__destroy(err);
		err = kb_opcode_targets__find(elf, 99, &targets);
		assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
		kb_error__destroy(err);
		close_elf(elf);
	}
}

static int group_setup(void **state)
{
	n_pythons = pythons__find(pythons);
	return mkdtemp(directory) ? 0 : -1;
}

static int group_teardown(void **state)
{
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_other_version),
	};

	return cmocka_run_group_tests_name("eval_probes", tests, group_setup, group_teardown);
}
