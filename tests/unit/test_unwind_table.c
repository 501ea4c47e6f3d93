// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tables are compared with what libdw says of the same file, by giving both the same made-up
 * registers and memory: a CFA, a place of the saved rbp and one of the return address come out of
 * each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/error.h"
#include "symbols/unwind_table.h"
#include "unit/pythons.h"

#define PROBES	     3000 /* addresses asked for in each file */
#define DROPPED_MAX  0.001
#define STACK_MAX    16
#define DAMAGED_RUNS 60

#if defined(__x86_64__)

struct opened {
	int fd;
	struct kb_elf_file *file;
	struct kb_unwind_table *table;
};

static bool open_table(const char *path, struct opened *opened)
{
	memset(opened, 0, sizeof(*opened));
	opened->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (opened->fd < 0)
		return false;
	assert_null(kb_elf_file__open(opened->fd, &opened->file));
	assert_non_null(opened->file);
	assert_null(kb_unwind_table__build(opened->file, &opened->table));
	return true;
}

static void close_table(struct opened *opened)
{
	kb_unwind_table__destroy(opened->table);
	kb_elf_file__close(opened->file);
	close(opened->fd);
}

/* ---------------------------------------------------------------- both sides' arithmetic */

struct outcome {
	bool root, none;
	uint64_t cfa, rip, rsp, rbp; /* places of the caller's registers; rsp and rbp: or values */
};

/* Made up, and the same for both sides. */
static uint64_t reg(int number, uint64_t pc)
{
	return number == KB_UNWIND_REG_RIP ? pc : 0x7000000000ull + (uint64_t)number * 0x100000;
}

static uint64_t memory(uint64_t address)
{
	return address * 0x9e3779b97f4a7c15ull;
}

static uint64_t evaluate(const Dwarf_Op *ops, size_t n, uint64_t pc, uint64_t cfa)
{
	uint64_t stack[STACK_MAX] = { 0 };
	int top = -1;

	for (size_t i = 0; i < n; i++) {
		uint64_t number = ops[i].number;

		assert_true(top < STACK_MAX - 1);
		if (ops[i].atom >= DW_OP_breg0 && ops[i].atom <= DW_OP_breg31)
			stack[++top] = reg(ops[i].atom - DW_OP_breg0, pc) + number;
		else if (ops[i].atom >= DW_OP_lit0 && ops[i].atom <= DW_OP_lit31)
			stack[++top] = ops[i].atom - DW_OP_lit0;
		else if (ops[i].atom == DW_OP_bregx)
			stack[++top] = reg((int)number, pc) + ops[i].number2;
		else if (ops[i].atom == DW_OP_regx) /* in a register: no rule has that */
			stack[++top] = ~reg((int)number, pc);
		else if (ops[i].atom == DW_OP_mul)
			top--, stack[top] *= stack[top + 1];
		else if (ops[i].atom == DW_OP_call_frame_cfa)
			stack[++top] = cfa;
		else if (ops[i].atom == DW_OP_plus_uconst)
			stack[top] += number;
		else if (ops[i].atom == DW_OP_deref)
			stack[top] = memory(stack[top]);
		else if (ops[i].atom == DW_OP_and)
			top--, stack[top] &= stack[top + 1];
		else if (ops[i].atom == DW_OP_plus)
			top--, stack[top] += stack[top + 1];
		else if (ops[i].atom == DW_OP_shl)
			top--, stack[top] <<= stack[top + 1];
		else if (ops[i].atom == DW_OP_ge)
			top--, stack[top] = stack[top] >= stack[top + 1];
		else
			fail_msg("operation 0x%x", ops[i].atom);
		assert_true(top >= 0);
	}
	return stack[top];
}

static struct outcome by_libdw(Dwarf_CFI *cfi, uint64_t pc)
{
	struct outcome out = { 0 };
	Dwarf_Op memory_ops[3], *ops;
	Dwarf_Frame *frame;
	size_t n;

	if (dwarf_cfi_addrframe(cfi, pc, &frame)) {
		out.none = true;
		return out;
	}
	assert_int_equal(dwarf_frame_register(frame, KB_UNWIND_REG_RIP, memory_ops, &ops, &n), 0);
	out.root = !n && ops;
	if (!out.root) {
		Dwarf_Op *cfa_ops;
		size_t cfa_n;

		assert_int_equal(dwarf_frame_cfa(frame, &cfa_ops, &cfa_n), 0);
		out.cfa = evaluate(cfa_ops, cfa_n, pc, 0);
		out.rip = evaluate(ops, n, pc, out.cfa);
		assert_int_equal(
			dwarf_frame_register(frame, KB_UNWIND_REG_RBP, memory_ops, &ops, &n), 0);
		out.rbp = n ? evaluate(ops, n, pc, out.cfa) : reg(KB_UNWIND_REG_RBP, pc);
	}
	free(frame);
	return out;
}

static uint64_t special_cfa(uint32_t rule, uint64_t pc)
{
	int64_t offset = kb_unwind__special_offset(rule);
	uint32_t operand = kb_unwind__operand(rule);

	switch (kb_unwind__special(rule)) {
	case KB_UNWIND_PLT:
		return reg(KB_UNWIND_REG_RSP, pc) + 8 + ((pc & 15) >= 11 ? 8 : 0);
	case KB_UNWIND_SIGNAL:
		return memory(reg(KB_UNWIND_REG_RSP, pc) + KB_UNWIND_SIGNAL_RSP);
	case KB_UNWIND_DEREF_RSP:
		return memory(reg(KB_UNWIND_REG_RSP, pc) + offset) + operand * 8;
	case KB_UNWIND_DEREF_RBP:
		return memory(reg(KB_UNWIND_REG_RBP, pc) + offset) + operand * 8;
	case KB_UNWIND_REGISTER:
		return reg((int)operand, pc) + offset;
	}
	fail_msg("rule 0x%x", rule);
	return 0;
}

static struct outcome by_rule(uint32_t rule, uint64_t pc)
{
	struct outcome out = { 0 };
	int32_t fp = kb_unwind__fp_offset(rule);

	switch (kb_unwind__base(rule)) {
	case KB_UNWIND_NO_RULE:
		out.root = kb_unwind__end(rule) == KB_UNWIND_END;
		out.none = !out.root;
		return out;
	case KB_UNWIND_RSP:
		out.cfa = reg(KB_UNWIND_REG_RSP, pc) + (int64_t)kb_unwind__cfa_offset(rule);
		break;
	case KB_UNWIND_RBP:
		out.cfa = reg(KB_UNWIND_REG_RBP, pc) + (int64_t)kb_unwind__cfa_offset(rule);
		break;
	default:
		out.cfa = special_cfa(rule, pc);
	}
	out.rip = out.cfa - 8;
	out.rbp = fp ? out.cfa + (int64_t)fp : reg(KB_UNWIND_REG_RBP, pc);
	if (fp == KB_UNWIND_FP_AT_FP)
		out.rbp = reg(KB_UNWIND_REG_RBP, pc);
	if (kb_unwind__base(rule) == KB_UNWIND_SPECIAL &&
	    kb_unwind__special(rule) == KB_UNWIND_SIGNAL) {
		out.rip = reg(KB_UNWIND_REG_RSP, pc) + KB_UNWIND_SIGNAL_RIP;
		out.rbp = reg(KB_UNWIND_REG_RSP, pc) + KB_UNWIND_SIGNAL_RBP;
	}
	return out;
}

/* ---------------------------------------------------------------- comparing */

static void check_order(const struct kb_unwind_table *table)
{
	assert_int_equal(table->rows[0].pc, 0);
	for (uint32_t i = 1; i < table->n_rows; i++) {
		assert_true(table->rows[i - 1].pc < table->rows[i].pc);
		assert_int_not_equal(table->rows[i - 1].rule, table->rows[i].rule);
	}
	assert_true(by_rule(table->rows[table->n_rows - 1].rule, 0).none);
	for (uint32_t i = 0; i < table->n_functions; i++) {
		assert_true(table->functions[i].start < table->functions[i].end);
		assert_true(!i || table->functions[i - 1].end <= table->functions[i].start);
	}
}

/* The number of addresses that libdw has a rule for and the table has not. */
static int compare_at(const struct opened *opened, Dwarf_CFI *cfi, uint64_t relative)
{
	uint64_t pc = relative + kb_elf_file__base(opened->file);
	struct outcome expected = by_libdw(cfi, pc);
	struct outcome got = by_rule(kb_unwind_table__rule(opened->table, relative), pc);

	if (got.none)
		return !expected.none;
	assert_int_equal(got.root, expected.root);
	assert_int_equal(got.cfa, expected.cfa);
	assert_int_equal(got.rip, expected.rip);
	assert_int_equal(got.rbp, expected.rbp);
	return 0;
}

static void compare(const char *path)
{
	struct kb_unwind_function function;
	struct opened opened;
	int dropped = 0;
	Dwarf_CFI *cfi;
	Elf *elf;

	if (!open_table(path, &opened))
		fail_msg("cannot open %s", path);
	check_order(opened.table);
	elf = elf_begin(opened.fd, ELF_C_READ, NULL);
	cfi = dwarf_getcfi_elf(elf);
	assert_non_null(cfi);
	srandom(1);
	for (int i = 0; i < PROBES; i++) {
		const struct kb_unwind_function *in =
			&opened.table->functions[(uint32_t)random() % opened.table->n_functions];
		uint64_t relative = in->start + (uint32_t)random() % (in->end - in->start);

		dropped += compare_at(&opened, cfi, relative);
		assert_true(kb_unwind_table__function_range(opened.table, relative, &function));
		assert_memory_equal(&function, in, sizeof(function));
	}
	print_message("%s: %u rows, %u functions, %u without a rule\n", path, opened.table->n_rows,
		      opened.table->n_functions, opened.table->n_dropped);
	assert_true(dropped <= PROBES * DROPPED_MAX * 10);
	assert_true(opened.table->n_dropped <= opened.table->n_rows * DROPPED_MAX);
	dwarf_cfi_end(cfi);
	elf_end(elf);
	close_table(&opened);
}

static void test_interpreters(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons);

	assert_true(n > 0);
	for (size_t i = 0; i < n; i++)
		compare(pythons[i].image);
}

/* The libraries that this program, or any Python, has mapped. */
static const char *const libraries[] = { "libc.so.6", "libcrypto.so.3", "libstdc++.so.6",
					 "libm.so.6", "libz.so.1",	"libelf.so.1" };

static void test_libraries(void **state)
{
	int found = 0;

	for (size_t i = 0; i < sizeof(libraries) / sizeof(*libraries); i++) {
		char path[128];

		snprintf(path, sizeof(path), "/usr/lib/x86_64-linux-gnu/%s", libraries[i]);
		if (!access(path, R_OK)) {
			compare(path);
			found++;
		}
	}
	assert_true(found >= 2);
}

/* ---------------------------------------------------------------- special rows */

/* Of the bytes of a section, or of the whole file, the table has which rules how often? */
static uint32_t count_special(const struct kb_unwind_table *table, enum kb_unwind_special special)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < table->n_rows; i++)
		n += kb_unwind__base(table->rows[i].rule) == KB_UNWIND_SPECIAL &&
		     kb_unwind__special(table->rows[i].rule) == special;
	return n;
}

static void test_special(void **state)
{
	struct kb_elf_section plt;
	struct opened opened;
	uint32_t rule;

	assert_true(open_table("/usr/lib/x86_64-linux-gnu/libc.so.6", &opened));
	assert_int_equal(count_special(opened.table, KB_UNWIND_SIGNAL), 1);
	close_table(&opened);

	assert_true(open_table("/usr/lib/x86_64-linux-gnu/libz.so.1", &opened));
	assert_true(kb_elf_file__section(opened.file, ".plt", &plt));
	rule = kb_unwind_table__rule(opened.table,
				     plt.address + 16 - kb_elf_file__base(opened.file));
	assert_int_equal(kb_unwind__base(rule), KB_UNWIND_SPECIAL);
	assert_int_equal(kb_unwind__special(rule), KB_UNWIND_PLT);
	close_table(&opened);
}

/* The root of every stack of this program: the entry point. */
static void test_root(void **state)
{
	struct opened opened;
	Elf64_Ehdr header;
	uint32_t rule;

	assert_true(open_table("/proc/self/exe", &opened));
	assert_true(kb_elf_file__read_offset(opened.file, 0, &header, sizeof(header)));
	rule = kb_unwind_table__rule(opened.table, header.e_entry - kb_elf_file__base(opened.file));
	assert_int_equal(kb_unwind__base(rule), KB_UNWIND_NO_RULE);
	assert_int_equal(kb_unwind__end(rule), KB_UNWIND_END);
	/* Before the first function, and far behind the last. */
	assert_true(by_rule(kb_unwind_table__rule(opened.table, 0), 0).none);
	assert_true(by_rule(kb_unwind_table__rule(opened.table, UINT32_MAX), 0).none);
	assert_true(by_rule(kb_unwind_table__rule(opened.table, 1ull << 40), 0).none);
	close_table(&opened);
}

static void test_packing(void **state)
{
	static const int offsets[] = { 0, 1, -1, 2, 100, -32768, 32767 };
	static const int places[] = { 0, -2, -1, 5, -8191, 8191 };

	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++)
		for (size_t j = 0; j < sizeof(places) / sizeof(*places); j++) {
			uint32_t rule = KB_UNWIND_RULE(KB_UNWIND_RBP, offsets[i], places[j]);

			assert_int_equal(kb_unwind__base(rule), KB_UNWIND_RBP);
			assert_int_equal(kb_unwind__cfa_offset(rule), offsets[i] * 8);
			assert_int_equal(kb_unwind__fp_offset(rule), places[j] * 8);
		}
	for (int offset = -256; offset < 256; offset++) {
		uint32_t value = KB_UNWIND_VALUE(KB_UNWIND_REGISTER, 13, offset);
		uint32_t rule = KB_UNWIND_RULE(KB_UNWIND_SPECIAL, value, -3);

		assert_int_equal(kb_unwind__base(rule), KB_UNWIND_SPECIAL);
		assert_int_equal(kb_unwind__special(rule), KB_UNWIND_REGISTER);
		assert_int_equal(kb_unwind__operand(rule), 13);
		assert_int_equal(kb_unwind__special_offset(rule), offset * 8);
		assert_int_equal(kb_unwind__fp_offset(rule), -24);
	}
}

/* ---------------------------------------------------------------- damaged files */

/* Builds, and frees, the table of some bytes. */
static struct kb_error *build_bytes(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("damaged", MFD_CLOEXEC);
	struct kb_unwind_table *table = NULL;
	struct kb_elf_file *file = NULL;
	struct kb_error *err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_null(kb_elf_file__open(fd, &file));
	assert_non_null(file);
	err = kb_unwind_table__build(file, &table);
	if (!err)
		check_order(table);
	kb_unwind_table__destroy(table);
	kb_elf_file__close(file);
	close(fd);
	return err;
}

static void test_damaged(void **state)
{
	struct kb_elf_section section;
	struct opened opened;
	uint8_t *bytes;
	off_t size;

	assert_true(open_table("/usr/lib/x86_64-linux-gnu/libz.so.1", &opened));
	assert_true(kb_elf_file__section(opened.file, ".eh_frame", &section));
	size = lseek(opened.fd, 0, SEEK_END);
	bytes = malloc(size);
	srandom(2);
	for (int run = 0; run < DAMAGED_RUNS; run++) {
		assert_int_equal(pread(opened.fd, bytes, size, 0), size);
		for (int i = 0; i <= run; i++)
			bytes[section.offset + (uint64_t)random() % section.size] =
				(uint8_t)random();
		kb_error__destroy(build_bytes(bytes, size));
	}
	close_table(&opened);
	free(bytes);
}

static void test_without(void **state)
{
	struct kb_elf_section section;
	struct kb_error *err;
	struct opened opened;
	uint8_t *bytes;
	off_t size;

	assert_true(open_table("/usr/lib/x86_64-linux-gnu/libz.so.1", &opened));
	assert_true(kb_elf_file__section(opened.file, ".eh_frame", &section));
	size = lseek(opened.fd, 0, SEEK_END);
	bytes = malloc(size);
	assert_int_equal(pread(opened.fd, bytes, size, 0), size);
	memset(bytes + section.offset, 0, section.size);
	err = build_bytes(bytes, size);
	assert_non_null(err);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	kb_error__destroy(err);
	close_table(&opened);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packing),	  cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_libraries), cmocka_unit_test(test_special),
		cmocka_unit_test(test_root),	  cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_refused(void **state)
{
	struct kb_unwind_table *table = NULL;
	struct kb_elf_file *file = NULL;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct kb_error *err;

	assert_null(kb_elf_file__open(fd, &file));
	err = kb_unwind_table__build(file, &table);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	kb_error__destroy(err);
	kb_elf_file__close(file);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
