// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "symbols/display_name.h"
#include "symbols/elf_symbols.h"
#include "symbols/kernel_symbols.h"
#include "symbols/symbol_table.h"
#include "system/arch.h"

/* ---------------------------------------------------------------- display names */

static const struct {
	const char *linkage, *plain, *demangled;
} names[] = {
	{ "main", "main", "main" },
	{ "_PyEval_EvalFrameDefault.cold", "_PyEval_EvalFrameDefault", NULL },
	{ "unicode_decode.part.0", "unicode_decode", NULL },
	{ "insertdict.constprop.0.isra.0", "insertdict", NULL },
	{ "method_get.lto_priv.0.cold", "method_get", NULL },
	{ "lookup.llvm.1234567890", "lookup", NULL },
	{ "malloc@@GLIBC_2.2.5", "malloc", NULL },
	{ "realpath@GLIBC_2.2.5", "realpath", NULL },
	/* Dots that belong to the name. */
	{ "odd.name", "odd.name", NULL },
	{ "odd.coldest", "odd.coldest", NULL },
	{ ".part.0", ".part.0", NULL },
	{ "_ZN3foo3barEi", "_ZN3foo3barEi", "foo::bar" },
	{ "_ZN3foo3barEi.cold", "_ZN3foo3barEi", "foo::bar" },
	{ "_ZNSt6vectorIiSaIiEE9push_backERKi", "_ZNSt6vectorIiSaIiEE9push_backERKi",
	  "std::vector<int, std::allocator<int> >::push_back" },
	{ "_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE",
	  "_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE",
	  "core::fmt::Formatter::write_str" },
	{ "_RNvCs1234_7mycrate3foo", "_RNvCs1234_7mycrate3foo", "mycrate::foo" },
	{ "_Z", "_Z", "_Z" },
	{ "", "", "" },
};

static void test_display_names(void **state)
{
	char text[KB_DISPLAY_NAME_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		kb_display_name__make(names[i].linkage, false, text);
		assert_string_equal(text, names[i].plain);
		kb_display_name__make(names[i].linkage, true, text);
		assert_string_equal(text, names[i].demangled ? names[i].demangled : names[i].plain);
	}
}

/* Each pair is of two of the pair before: 2^17 leaves from 200 bytes. */
static void test_exploding_name(void **state)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char text[KB_DISPLAY_NAME_MAX], name[600];
	int n = sprintf(name, "_Z1fI1a");

	for (int i = 0; i < 18; i++)
		n += sprintf(name + n, "St4pairIS%c_S%c_E", digits[2 * i], digits[2 * i]);
	sprintf(name + n, "Evv");
	kb_display_name__make(name, true, text);
	assert_memory_equal(text, "f<a, std::pair<a, a>, ", 22);
	assert_true(strlen(text) < KB_DISPLAY_NAME_MAX);
	assert_true(strlen(text) > KB_DISPLAY_NAME_MAX / 2);
	assert_string_equal(text + strlen(text) - 3, "\xe2\x80\xa6");
}

static void test_long_name(void **state)
{
	char text[KB_DISPLAY_NAME_MAX], *name = malloc(3 * KB_DISPLAY_NAME_MAX);

	memset(name, 'a', 3 * KB_DISPLAY_NAME_MAX);
	name[3 * KB_DISPLAY_NAME_MAX - 1] = '\0';
	kb_display_name__make(name, true, text);
	assert_int_equal(strlen(text), KB_DISPLAY_NAME_MAX - 1);
	assert_string_equal(text + strlen(text) - 3, "\xe2\x80\xa6");
	/* A character of two bytes where it is cut. */
	for (size_t i = 0; i + 2 < 3 * KB_DISPLAY_NAME_MAX; i += 2)
		memcpy(name + i + 1, "\xc3\xa4", 2);
	name[3 * KB_DISPLAY_NAME_MAX - 1] = '\0';
	kb_display_name__make(name, true, text);
	assert_string_equal(text + strlen(text) - 3, "\xe2\x80\xa6");
	assert_int_equal((unsigned char)text[strlen(text) - 4], 0xa4);
	free(name);
}

/* ---------------------------------------------------------------- tables */

static void add(struct kb_symbol_table *table, uint64_t start, uint64_t size, const char *name)
{
	kb_symbol_table__add(table, start, size, name, strlen(name));
}

static const char *at(const struct kb_symbol_table *table, uint64_t address, uint64_t limit)
{
	const struct kb_symbol_entry *entry = kb_symbol_table__find(table, address, limit);

	return entry ? kb_symbol_table__name(table, entry) : "-";
}

static void test_table(void **state)
{
	struct kb_symbol_table table = { 0 };

	assert_null(kb_symbol_table__find(&table, 5, UINT64_MAX));
	assert_null(kb_symbol_table__named(&table, "x"));
	kb_symbol_table__init(&table);
	add(&table, 300, 0, "unsized");
	add(&table, 100, 100, "outer");
	add(&table, 120, 10, "inner");
	add(&table, 200, 20, "__libc_read");
	add(&table, 200, 20, "__read");
	add(&table, 200, 20, "read");
	add(&table, 200, 0, "a");
	add(&table, 400, UINT64_MAX, "end");
	kb_symbol_table__close(&table);
	assert_int_equal(kb_symbol_table__named(&table, "__libc_read")->start, 200);
	assert_string_equal(at(&table, 99, 0), "-");
	assert_string_equal(at(&table, 100, 0), "outer");
	assert_string_equal(at(&table, 125, 0), "inner");
	assert_string_equal(at(&table, 130, 0), "outer");
	assert_string_equal(at(&table, 199, 0), "outer");
	assert_string_equal(at(&table, 219, 0), "read");
	assert_string_equal(at(&table, 220, 0), "-");
	assert_string_equal(at(&table, 300, 0), "-");
	assert_string_equal(at(&table, 349, 50), "unsized");
	assert_string_equal(at(&table, 350, 50), "-");
	assert_string_equal(at(&table, 399, UINT64_MAX), "unsized");
	assert_string_equal(at(&table, UINT64_MAX - 1, 0), "end");
	assert_int_equal(kb_symbol_table__named(&table, "inner")->start, 120);
	assert_int_equal(kb_symbol_table__before(&table, 299)->start, 200);
	assert_null(kb_symbol_table__before(&table, 99));
	kb_symbol_table__free(&table);
}

static void test_last_wins(void **state)
{
	struct kb_symbol_table table;

	kb_symbol_table__init(&table);
	table.last_wins = true;
	add(&table, 100, 10, "old");
	add(&table, 100, 20, "renewed");
	kb_symbol_table__close(&table);
	assert_string_equal(at(&table, 105, 0), "renewed");
	kb_symbol_table__free(&table);
}

static void test_kernel_lines(void **state)
{
	static const char text[] = "0000000000000000 A zero\n"
				   "ffffffff81000000 T startup\n"
				   "ffffffff81000100 D data\n"
				   "ffffffff81000200 t helper\t[module]\n"
				   "garbage\n\n"
				   "ffffffff81000300 T ";
	struct kb_symbol_table table;
	char path[64];
	int fd = memfd_create("kallsyms", 0);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	kb_symbol_table__init(&table);
	assert_true(kb_kernel_symbols__read(path, &table));
	assert_int_equal(table.n, 2);
	assert_string_equal(at(&table, 0xffffffff810001ff, 4096), "startup");
	assert_string_equal(at(&table, 0xffffffff81000204, 4096), "helper");
	kb_symbol_table__free(&table);
	kb_symbol_table__init(&table);
	assert_false(kb_kernel_symbols__read("/proc/self/fd/-1", &table));
	kb_symbol_table__free(&table);
	close(fd);
}

/* ---------------------------------------------------------------- ELF files */

static enum kb_elf_symbols read_symbols(int fd, const char *debug_root,
					struct kb_symbol_table *table)
{
	struct kb_elf_file *file = NULL;
	enum kb_elf_symbols source;

	assert_null(kb_elf_file__open(fd, &file));
	assert_non_null(file);
	kb_symbol_table__init(table);
	source = kb_elf_symbols__read(file, "/nowhere/file", debug_root, table);
	kb_elf_file__close(file);
	return source;
}

static uint8_t *file_bytes(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *bytes;

	assert_true(fd >= 0);
	*size = lseek(fd, 0, SEEK_END);
	bytes = malloc(*size);
	assert_int_equal(pread(fd, bytes, *size, 0), *size);
	close(fd);
	return bytes;
}

/* An ELF file with a segment at `base` and one section: .gnu_debugdata. */
static int make_packed(uint64_t base, const uint8_t *packed, size_t packed_size)
{
	static const char strings[] = "\0.gnu_debugdata\0.shstrtab";
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
		Elf64_Shdr sections[3];
		char strings[sizeof(strings)];
	} file = { 0 };
	int fd = memfd_create("packed", MFD_CLOEXEC);

	memcpy(file.header.e_ident, ELFMAG, SELFMAG);
	file.header.e_ident[EI_CLASS] = ELFCLASS64;
	file.header.e_ident[EI_DATA] = ELFDATA2LSB;
	file.header.e_ident[EI_VERSION] = EV_CURRENT;
	file.header.e_type = ET_DYN;
	file.header.e_machine = KB_ARCH_ELF;
	file.header.e_version = EV_CURRENT;
	file.header.e_ehsize = sizeof(Elf64_Ehdr);
	file.header.e_phentsize = sizeof(Elf64_Phdr);
	file.header.e_phnum = 1;
	file.header.e_phoff = (char *)&file.segment - (char *)&file;
	file.header.e_shentsize = sizeof(Elf64_Shdr);
	file.header.e_shnum = 3;
	file.header.e_shoff = (char *)file.sections - (char *)&file;
	file.header.e_shstrndx = 2;
	file.segment = (Elf64_Phdr){ .p_type = PT_LOAD, .p_vaddr = base, .p_filesz = 64 };
	file.sections[1] = (Elf64_Shdr){ .sh_name = 1,
					 .sh_type = SHT_PROGBITS,
					 .sh_offset = sizeof(file),
					 .sh_size = packed_size };
	file.sections[2] = (Elf64_Shdr){ .sh_name = 16,
					 .sh_type = SHT_STRTAB,
					 .sh_offset = file.strings - (char *)&file,
					 .sh_size = sizeof(strings) };
	memcpy(file.strings, strings, sizeof(strings));
	assert_int_equal(write(fd, &file, sizeof(file)), sizeof(file));
	assert_int_equal(write(fd, packed, packed_size), packed_size);
	return fd;
}

/* This program's own symbols, packed, in a file that has none. */
static void test_debugdata(void **state)
{
	size_t size, packed_size = 0, room;
	uint8_t *own = file_bytes("/proc/self/exe", &size), *packed;
	struct kb_symbol_table table;
	int fd;

	room = lzma_stream_buffer_bound(size);
	packed = malloc(room);
	assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, own, size, packed,
						 &packed_size, room),
			 LZMA_OK);
	fd = make_packed(0, packed, packed_size);
	assert_int_equal(read_symbols(fd, "/nowhere", &table), KB_ELF_SYMBOLS_MINI);
	assert_non_null(kb_symbol_table__named(&table, "test_debugdata"));
	kb_symbol_table__free(&table);
	/* Not asked for; damaged; cut short. */
	assert_int_equal(read_symbols(fd, NULL, &table), KB_ELF_SYMBOLS_DYNAMIC);
	assert_int_equal(table.n, 0);
	kb_symbol_table__free(&table);
	close(fd);
	packed[packed_size / 2] ^= 0x55;
	fd = make_packed(0, packed, packed_size);
	assert_int_equal(read_symbols(fd, "/nowhere", &table), KB_ELF_SYMBOLS_DYNAMIC);
	kb_symbol_table__free(&table);
	close(fd);
	fd = make_packed(0, packed, packed_size / 3);
	assert_int_equal(read_symbols(fd, "/nowhere", &table), KB_ELF_SYMBOLS_DYNAMIC);
	kb_symbol_table__free(&table);
	close(fd);
	free(packed);
	free(own);
}

/* 200 MB of zeros have 30 kB packed. */
static void test_bomb(void **state)
{
	size_t size = 200u << 20, packed_size = 0, room = lzma_stream_buffer_bound(size);
	uint8_t *zeros = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *packed = malloc(room);
	struct kb_symbol_table table;
	int fd;

	assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_NONE, NULL, zeros, size, packed,
						 &packed_size, room),
			 LZMA_OK);
	fd = make_packed(0, packed, packed_size);
	assert_int_equal(read_symbols(fd, "/nowhere", &table), KB_ELF_SYMBOLS_DYNAMIC);
	kb_symbol_table__free(&table);
	close(fd);
	munmap(zeros, size);
	free(packed);
}

/* Addresses count from the lowest segment. */
static void test_base(void **state)
{
	size_t size, packed_size = 0, room;
	uint8_t *own = file_bytes("/proc/self/exe", &size), *packed;
	struct kb_symbol_table table, shifted;
	const struct kb_symbol_entry *entry;
	uint64_t start;
	int fd;

	room = lzma_stream_buffer_bound(size);
	packed = malloc(room);
	assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, own, size, packed,
						 &packed_size, room),
			 LZMA_OK);
	fd = make_packed(0, packed, packed_size);
	read_symbols(fd, "/nowhere", &table);
	close(fd);
	entry = kb_symbol_table__named(&table, "test_base");
	assert_non_null(entry);
	start = entry->start;
	fd = make_packed(0x1000, packed, packed_size);
	read_symbols(fd, "/nowhere", &shifted);
	close(fd);
	entry = kb_symbol_table__named(&shifted, "test_base");
	assert_non_null(entry);
	assert_int_equal(entry->start, start - 0x1000);
	kb_symbol_table__free(&table);
	kb_symbol_table__free(&shifted);
	free(packed);
	free(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_display_names), cmocka_unit_test(test_exploding_name),
		cmocka_unit_test(test_long_name),     cmocka_unit_test(test_table),
		cmocka_unit_test(test_last_wins),     cmocka_unit_test(test_kernel_lines),
		cmocka_unit_test(test_debugdata),     cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
