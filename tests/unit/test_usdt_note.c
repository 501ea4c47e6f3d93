// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/error.h"
#include "system/usdt_note.h"
#include "unit/pythons.h"

/*
 * Notes of this program's own: one whose last text does not end, one that is too short, and
 * between them one as sys/sdt.h makes it.
 */
uint16_t kb_test_semaphore __attribute__((section(".probes"))) = 0;
void kb_test_probed(void);

__asm__(".text\n.globl kb_test_probed\n.type kb_test_probed, @function\nkb_test_probed:\n"
	"990: nop\nret\n"
	".pushsection .note.stapsdt,\"\",\"note\"\n"
	".balign 4\n.4byte 8, 26, 3\n.asciz \"stapsdt\"\n.8byte 0, 0, 0\n.ascii \"ab\"\n.balign 4\n"
	".balign 4\n.4byte 8, 4, 3\n.asciz \"stapsdt\"\n.4byte 0\n"
	".balign 4\n.4byte 8, 992f-991f, 3\n.asciz \"stapsdt\"\n"
	"991: .8byte 990b, 0, kb_test_semaphore\n"
	".asciz \"keelback\"\n.asciz \"test\"\n.asciz \"8@%rdi -4@$1\"\n"
	"992: .balign 4\n.popsection\n");

static void open_file(const char *path, int *fd, struct kb_elf_file **file)
{
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(*fd >= 0);
	assert_null(kb_elf_file__open(*fd, file));
	assert_non_null(*file);
}

static void test_own(void **state)
{
	struct kb_elf_symbol probed, semaphore;
	struct kb_usdt_note note;
	struct kb_elf_file *file;
	uint64_t offset;
	size_t at = 0;
	int fd;

	open_file("/proc/self/exe", &fd, &file);
	assert_true(kb_elf_file__symbol(file, "kb_test_probed", &probed));
	assert_true(kb_elf_file__symbol(file, "kb_test_semaphore", &semaphore));
	assert_true(kb_usdt_note__next(file, &at, &note));
	assert_string_equal(note.provider, "keelback");
	assert_string_equal(note.name, "test");
	assert_string_equal(note.arguments, "8@%rdi -4@$1");
	/* Without relocations: the linker of a position-independent program leaves the addresses
	 * as linked in a section that is not loaded. */
	assert_int_equal(note.address, probed.address);
	assert_true(kb_elf_file__offset_of(file, probed.address, &offset));
	assert_int_equal(note.offset, offset);
	assert_int_equal(note.semaphore, semaphore.address);
	assert_true(kb_elf_file__offset_of(file, semaphore.address, &offset));
	assert_int_equal(note.semaphore_offset, offset);
	assert_false(kb_usdt_note__next(file, &at, &note));
	kb_elf_file__close(file);
	close(fd);
}

/* What readelf says, as lines of our own form. */
static void by_readelf(const char *path, char *text, size_t size)
{
	char command[PATH_MAX + 256];
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command),
		 "readelf --wide --notes '%s' | sed -nE -e '/^  stapsdt/{s/.*Provider: //;h}' "
		 "-e '/^    Name: /{s///;H}' -e '/^    Location: /{s/0x0*([0-9a-f])/\\1/g;"
		 "s/^ *Location: ([0-9a-f]+).*Semaphore: ([0-9a-f]+)/\\1 \\2/;H}' "
		 "-e '/^    Arguments: /{s/^ *Arguments: //;H;x;s/\\n/ /g;s/ *$//;p}'",
		 path);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(text, 1, size - 1, pipe);
	text[n] = '\0';
	assert_int_equal(pclose(pipe), 0);
}

static unsigned int by_us(const char *path, char *text, size_t size)
{
	struct kb_usdt_note note;
	struct kb_elf_file *file;
	unsigned int n = 0;
	size_t at = 0;
	int fd;

	open_file(path, &fd, &file);
	text[0] = '\0';
	while (kb_usdt_note__next(file, &at, &note)) {
		size_t used = strlen(text);
		uint8_t byte;

		snprintf(text + used, size - used, "%s %s %lx %lx%s%s\n", note.provider, note.name,
			 note.address, note.semaphore, *note.arguments ? " " : "", note.arguments);
		assert_true(kb_elf_file__read_offset(file, note.offset, &byte, 1));
		assert_int_equal(byte, 0x90);
		n++;
	}
	kb_elf_file__close(file);
	close(fd);
	return n;
}

static void test_interpreters(void **state)
{
	static char theirs[65536], ours[65536];
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons);

	if (!n) {
		print_message("skipped: no Python on this machine\n");
		skip();
	}
	for (size_t i = 0; i < n; i++) {
		unsigned int found = by_us(pythons[i].image, ours, sizeof(ours));

		print_message("%s: %u notes\n", pythons[i].image, found);
		by_readelf(pythons[i].image, theirs, sizeof(theirs));
		assert_string_equal(ours, theirs);
		/* Debian's are built --with-dtrace. */
		assert_int_equal(found > 0, !pythons[i].pyenv);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_interpreters),
	};

	return cmocka_run_group_tests_name("usdt_note", tests, NULL, NULL);
}
