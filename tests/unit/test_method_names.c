// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Compared with the symbols that pyenv's interpreters have, and applied to those that have none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include "python/method_names.h"
#include "symbols/code_parts.h"
#include "symbols/elf_symbols.h"
#include "unit/pythons.h"

#define ENTRY_RULE KB_UNWIND_RULE(KB_UNWIND_RSP, 1, 0)

struct opened {
	int fd;
	struct kb_elf_file *file;
	struct kb_unwind_table *table;
	struct kb_symbol_table symbols;
	uint64_t base;
};

static void open_file(const char *path, struct opened *opened)
{
	opened->fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(opened->fd >= 0);
	assert_null(kb_elf_file__open(opened->fd, &opened->file));
	assert_non_null(opened->file);
	opened->base = kb_elf_file__base(opened->file);
	assert_null(kb_unwind_table__build(opened->file, &opened->table));
	kb_symbol_table__init(&opened->symbols);
	kb_elf_symbols__read(opened->file, path, NULL, &opened->symbols);
}

static void close_file(struct opened *opened)
{
	kb_unwind_table__destroy(opened->table);
	kb_symbol_table__free(&opened->symbols);
	kb_elf_file__close(opened->file);
	close(opened->fd);
}

static bool is_start(const struct opened *opened, uint64_t address)
{
	struct kb_unwind_function function;

	return kb_unwind_table__function_range(opened->table, address - opened->base, &function) &&
	       function.start == address - opened->base;
}

static const char *symbol_at(const struct opened *opened, uint64_t relative)
{
	const struct kb_symbol_entry *entry = kb_symbol_table__find(&opened->symbols, relative, 0);

	return entry ? kb_symbol_table__name(&opened->symbols, entry) : NULL;
}

static const char *name_of(const struct kb_method_names *names, uint64_t address)
{
	for (size_t i = 0; i < names->n; i++)
		if (names->names[i].address == address)
			return names->names[i].name;
	return NULL;
}

/* Each name stands at the start of a function, in order. */
static void check_names(const struct opened *opened, const struct kb_method_names *names)
{
	size_t off = 0;

	for (size_t i = 0; i < names->n; i++) {
		assert_true(!i || names->names[i - 1].address < names->names[i].address);
		assert_true(isalpha(names->names[i].name[0]) || names->names[i].name[0] == '_');
		off += !is_start(opened, names->names[i].address);
	}
	assert_true(off <= names->n / 100);
}

static const struct {
	const char *symbol, *name;
} known[] = {
	{ "list_append", "list.append" },      { "unicode_join", "str.join" },
	{ "list_dealloc", "list.tp_dealloc" }, { "long_add", "int.nb_add" },
	{ "builtin_len", "builtins.len" },     { "PyObject_GenericGetAttr", "tp_getattro" },
};

static void check_known(const struct opened *opened, const struct kb_method_names *names)
{
	size_t found = 0;

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		const struct kb_symbol_entry *entry =
			kb_symbol_table__named(&opened->symbols, known[i].symbol);
		const char *name;

		if (!entry)
			continue;
		name = name_of(names, entry->start + opened->base);
		assert_non_null(name);
		assert_string_equal(name, known[i].name);
		found++;
	}
	assert_true(found >= 4);
}

static void test_names(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons);

	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		struct kb_method_names names;
		struct opened opened;

		open_file(pythons[i].image, &opened);
		assert_null(kb_method_names__read(opened.file, &names));
		assert_true(names.n > 1500);
		check_names(&opened, &names);
		if (pythons[i].pyenv)
			check_known(&opened, &names);
		kb_method_names__free(&names);
		close_file(&opened);
	}
}

/* Tables of other programs look like Python's: only its own files are looked into. */
static void test_no_python(void **state)
{
	struct kb_method_names names;
	struct opened opened;

	open_file("/proc/self/exe", &opened);
	assert_null(kb_method_names__read(opened.file, &names));
	assert_int_equal(names.n, 0);
	kb_method_names__free(&names);
	close_file(&opened);
}

/* ---------------------------------------------------------------- parts */

/* x.cold is a part of x. Small parts of several functions, which are equal, share one place. */
static bool is_part_of(const struct opened *opened, uint64_t part, uint64_t owner)
{
	for (uint32_t i = 0; i < opened->symbols.n; i++) {
		const struct kb_symbol_entry *entry = &opened->symbols.entries[i], *cold;
		char name[256];

		if (entry->start != owner)
			continue;
		snprintf(name, sizeof(name), "%s.cold",
			 kb_symbol_table__name(&opened->symbols, entry));
		cold = kb_symbol_table__named(&opened->symbols, name);
		if (cold && cold->start == part)
			return true;
	}
	return false;
}

static void check_cold(const struct opened *opened, int *right, int *wrong, int *none)
{
	struct kb_code_parts *parts = kb_code_parts__find(opened->file, opened->table);

	assert_non_null(parts);
	for (uint32_t i = 0; i < opened->table->n_functions; i++) {
		uint64_t start = opened->table->functions[i].start;
		const char *name = symbol_at(opened, start);
		struct kb_unwind_function owner;

		if (!name || !strstr(name, ".cold") ||
		    kb_unwind_table__rule(opened->table, start) == ENTRY_RULE)
			continue;
		if (!kb_code_parts__owner(parts, start, &owner))
			(*none)++;
		else if (is_part_of(opened, start, owner.start))
			(*right)++;
		else
			(*wrong)++;
	}
	kb_code_parts__free(parts);
}

static void test_parts(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons);
	int right = 0, wrong = 0, none = 0;

	for (size_t i = 0; i < n; i++) {
		struct opened opened;

		if (!pythons[i].pyenv)
			continue;
		open_file(pythons[i].image, &opened);
		check_cold(&opened, &right, &wrong, &none);
		close_file(&opened);
	}
	if (!right)
		skip();
	print_message("parts: %d right, %d wrong, %d not found\n", right, wrong, none);
	assert_true(wrong * 50 <= right);
	assert_true(none * 10 <= right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_python),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
