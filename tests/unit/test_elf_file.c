// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "python/image.h"
#include "system/dwarf_info.h"
#include "system/elf_file.h"

/* What the tests look for in their own executable. */
const uint64_t kb_test_number = 0x0123456789abcdef;
const char *const kb_test_pointers[2] = { "first", "second" };
uint64_t kb_test_zeros[4];
__thread int kb_test_thread_local = 7;
struct kb_test_inner {
	char pad;
	union {
		int number;
		short half;
	} u;
};
typedef struct {
	uint64_t word;
	struct kb_test_inner inner;
	const struct kb_test_inner *pointer;
	unsigned int low : 3, kind : 5;
} kb_test_outer;
kb_test_outer kb_test_object;

struct opened {
	int fd;
	struct kb_elf_file *file;
};

static int setup(void **state)
{
	static struct opened own;

	own.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(own.fd >= 0);
	assert_null(kb_elf_file__open(own.fd, &own.file));
	assert_non_null(own.file);
	*state = &own;
	return 0;
}

static int teardown(void **state)
{
	struct opened *own = *state;

	kb_elf_file__close(own->file);
	close(own->fd);
	return 0;
}

static uint64_t address_of(const struct kb_elf_file *file, const char *name)
{
	struct kb_elf_symbol symbol;

	assert_true(kb_elf_file__symbol(file, name, &symbol));
	return symbol.address;
}

static void test_symbols(void **state)
{
	struct opened *own = *state;
	struct kb_elf_symbol symbol;

	assert_true(kb_elf_file__symbol(own->file, "kb_test_number", &symbol));
	assert_int_equal(symbol.size, 8);
	assert_false(symbol.function);
	assert_true(kb_elf_file__symbol(own->file, "main", &symbol));
	assert_true(symbol.function);
	assert_true(kb_elf_file__symbol(own->file, "kb_test_thread_local", &symbol));
	assert_true(symbol.tls);
	assert_false(kb_elf_file__symbol(own->file, "kb_test_numbe", &symbol));
	/* Imported, not defined here. */
	assert_false(kb_elf_file__symbol(own->file, "strerror_r", &symbol));
	assert_true(kb_elf_file__has_symtab(own->file));
	assert_false(kb_elf_file__is_shared(own->file));
}

static void test_contents(void **state)
{
	struct opened *own = *state;
	uint64_t bias = (uintptr_t)&kb_test_number - address_of(own->file, "kb_test_number");
	uint64_t words[4] = { 1, 1, 1, 1 };

	assert_true(
		kb_elf_file__read(own->file, address_of(own->file, "kb_test_number"), words, 8));
	assert_int_equal(words[0], kb_test_number);
	assert_true(
		kb_elf_file__read(own->file, address_of(own->file, "kb_test_zeros"), words, 32));
	for (int i = 0; i < 4; i++)
		assert_int_equal(words[i], 0);
	/* Pointers hold what the dynamic linker will put there, less the bias. */
	assert_true(
		kb_elf_file__read(own->file, address_of(own->file, "kb_test_pointers"), words, 16));
	assert_int_equal(words[0] + bias, (uintptr_t)kb_test_pointers[0]);
	assert_int_equal(words[1] + bias, (uintptr_t)kb_test_pointers[1]);
	assert_false(kb_elf_file__read(own->file, 0x7fff00000000, words, 8));
	assert_false(kb_elf_file__read(own->file, UINT64_MAX - 4, words, 8));
}

static void test_offsets(void **state)
{
	struct opened *own = *state;
	uint64_t address = address_of(own->file, "kb_test_number"), offset, word;

	assert_true(kb_elf_file__offset_of(own->file, address, &offset));
	assert_true(kb_elf_file__read_offset(own->file, offset, &word, sizeof(word)));
	assert_int_equal(word, kb_test_number);
	assert_false(
		kb_elf_file__offset_of(own->file, address_of(own->file, "kb_test_zeros"), &offset));
	assert_false(kb_elf_file__read_offset(own->file, INT64_MAX - 2, &word, sizeof(word)));
}

static void test_sections(void **state)
{
	struct opened *own = *state;
	struct kb_elf_section section;
	uint64_t size, align;
	uint8_t id[20];

	assert_true(kb_elf_file__section(own->file, ".text", &section));
	assert_true(address_of(own->file, "main") - section.address < section.size);
	assert_false(kb_elf_file__section(own->file, ".no-such", &section));
	assert_true(kb_elf_file__tls_block(own->file, &size, &align));
	assert_true(size >= sizeof(int));
	assert_int_equal(kb_elf_file__build_id(own->file, id), 20);
	assert_non_null(kb_elf_file__needed(own->file, "libc.so"));
	assert_null(kb_elf_file__needed(own->file, "libpython"));
	assert_null(kb_elf_file__soname(own->file));
}

static void test_dwarf(void **state)
{
	static const char *const sources[] = { "unit/test_elf_file.c" };
	struct opened *own = *state;
	struct kb_dwarf_query queries[] = {
		{ .type = "kb_test_outer", .member = "inner.u.half" },
		{ .type = "kb_test_outer", .member = "kind" },
		{ .type = "kb_test_outer" },
		{ .type = "kb_test_inner" },
		{ .type = "kb_test_outer", .member = "no_such" },
		{ .type = "kb_test_outer", .member = "word.no_such" },
		{ .type = "kb_test_outer", .member = "pointer.pad" },
		{ .type = "no_such_type", .member = "x" },
		{ 0 },
	};

	assert_true(kb_dwarf_info__resolve(own->file, "/proc/self/exe", sources, 1, queries,
					   sizeof(queries) / sizeof(queries[0])));
	assert_true(queries[0].found);
	assert_int_equal(queries[0].bits, 8 * (offsetof(kb_test_outer, inner.u.half)));
	assert_true(queries[1].found);
	assert_int_equal(queries[1].bits, 8 * (offsetof(kb_test_outer, pointer) + 8) + 3);
	assert_true(queries[2].found);
	assert_int_equal(queries[2].bits, 8 * sizeof(kb_test_outer));
	assert_true(queries[3].found);
	assert_int_equal(queries[3].bits, 8 * sizeof(struct kb_test_inner));
	for (int i = 4; i < 9; i++)
		assert_false(queries[i].found);
}

static void test_dwarf_of_other_sources(void **state)
{
	static const char *const sources[] = { "unit/other.c" };
	struct opened *own = *state;
	struct kb_dwarf_query query = { .type = "kb_test_outer", .member = "word" };

	assert_true(kb_dwarf_info__resolve(own->file, "/proc/self/exe", sources, 1, &query, 1));
	assert_false(query.found);
}

/* ---------------------------------------------------------------- bad files */

static struct kb_elf_file *open_bytes(const void *bytes, size_t size, int *fd)
{
	struct kb_elf_file *file = (void *)1;

	*fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(write(*fd, bytes, size), size);
	assert_null(kb_elf_file__open(*fd, &file));
	return file;
}

static void test_no_elf(void **state)
{
	static const char text[] = "#!/bin/sh\nexit 0\n";
	Elf64_Ehdr other = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
					  EV_CURRENT },
			     .e_type = ET_EXEC,
			     .e_machine = EM_S390,
			     .e_version = EV_CURRENT };
	int fd;

	assert_null(open_bytes(text, sizeof(text), &fd));
	close(fd);
	assert_null(open_bytes("", 0, &fd));
	close(fd);
	assert_null(open_bytes("\177ELF", 4, &fd));
	close(fd);
	assert_null(open_bytes(&other, sizeof(other), &fd));
	close(fd);
}

static void use_everything(struct kb_elf_file *file, int fd)
{
	struct kb_dwarf_query query = { .type = "kb_test_outer", .member = "word" };
	static const char *const sources[] = { "unit/test_elf_file.c" };
	struct kb_elf_relocation relocation;
	struct kb_elf_section section;
	struct kb_elf_symbol symbol;
	struct kb_image_info info;
	uint8_t id[20], bytes[64];
	bool is_python;

	kb_elf_file__symbol(file, "no such symbol", &symbol);
	kb_elf_file__section(file, ".no-such", &section);
	kb_elf_file__build_id(file, id);
	kb_elf_file__needed(file, "none");
	kb_elf_file__soname(file);
	kb_elf_file__run_path(file);
	kb_elf_file__debug_link(file);
	for (size_t i = 0; kb_elf_file__relocation_at(file, i, &relocation); i++)
		kb_elf_file__read(file, relocation.place, bytes, 8);
	kb_elf_file__read(file, kb_elf_file__load_address(file), bytes, sizeof(bytes));
	kb_dwarf_info__resolve(file, "/x", sources, 1, &query, 1);
	kb_error__destroy(kb_image__read(fd, "/x", &is_python, &info));
}

/* Headers, tables and all the rest with bytes turned over: nothing may crash or hang. */
static void test_damaged(void **state)
{
	struct opened *own = *state;
	struct stat st;
	unsigned int random = 1;
	uint8_t *bytes;

	assert_int_equal(fstat(own->fd, &st), 0);
	bytes = malloc(st.st_size);
	assert_int_equal(pread(own->fd, bytes, st.st_size, 0), st.st_size);
	for (int round = 0; round < 150; round++) {
		/* A third each: the headers, the section headers, anywhere. */
		size_t from = round % 3 == 1 ? ((Elf64_Ehdr *)bytes)->e_shoff : 0;
		size_t span = round % 3 == 0 ? 1024 : st.st_size - from;
		uint8_t saved[4];
		size_t at[4];
		struct kb_elf_file *file;
		int fd;

		for (int i = 0; i < 4; i++) {
			at[i] = from + (size_t)rand_r(&random) % span;
			saved[i] = bytes[at[i]];
			bytes[at[i]] = (uint8_t)rand_r(&random);
		}
		file = open_bytes(bytes, st.st_size, &fd);
		if (file)
			use_everything(file, fd);
		kb_elf_file__close(file);
		close(fd);
		for (int i = 3; i >= 0; i--)
			bytes[at[i]] = saved[i];
	}
	free(bytes);
}

static void test_cut_short(void **state)
{
	struct opened *own = *state;
	static uint8_t bytes[1 << 16];
	ssize_t n = pread(own->fd, bytes, sizeof(bytes), 0);

	assert_int_equal(n, sizeof(bytes));
	for (size_t size = 0; size < sizeof(bytes); size = size * 2 + 17) {
		struct kb_elf_file *file;
		int fd;

		file = open_bytes(bytes, size, &fd);
		if (file)
			use_everything(file, fd);
		kb_elf_file__close(file);
		close(fd);
	}
}

/* A section that claims more than there may be: a sparse file makes it plausible. */
static void test_huge_section(void **state)
{
	struct opened *own = *state;
	struct kb_elf_file *file;
	struct kb_elf_symbol symbol;
	struct stat st;
	uint8_t *bytes;
	Elf64_Ehdr *header;
	Elf64_Shdr *sections;
	int fd;

	assert_int_equal(fstat(own->fd, &st), 0);
	bytes = malloc(st.st_size);
	assert_int_equal(pread(own->fd, bytes, st.st_size, 0), st.st_size);
	header = (Elf64_Ehdr *)bytes;
	sections = (Elf64_Shdr *)(bytes + header->e_shoff);
	for (int i = 0; i < header->e_shnum; i++)
		if (sections[i].sh_type == SHT_SYMTAB || sections[i].sh_type == SHT_DYNSYM)
			sections[i].sh_size = 1ull << 36;
	file = open_bytes(bytes, st.st_size, &fd);
	kb_elf_file__close(file);
	assert_int_equal(ftruncate(fd, 1ll << 37), 0);
	assert_null(kb_elf_file__open(fd, &file));
	assert_non_null(file);
	assert_false(kb_elf_file__symbol(file, "main", &symbol));
	kb_elf_file__close(file);
	close(fd);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_symbols),	  cmocka_unit_test(test_contents),
		cmocka_unit_test(test_offsets),	  cmocka_unit_test(test_sections),
		cmocka_unit_test(test_dwarf),	  cmocka_unit_test(test_dwarf_of_other_sources),
		cmocka_unit_test(test_no_elf),	  cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_cut_short), cmocka_unit_test(test_huge_section),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
