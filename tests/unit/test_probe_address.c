// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>
#include "base/error.h"
#include "python/probe_address.h"

#if defined(__x86_64__)
/* Functions of this program's own, each with a label `NAME_at` where a probe belongs. */
#define FUNCTION(name, body)                                                                       \
	__asm__(".text\n.balign 16\n.globl " name "\n.globl " name "_at\n.type " name              \
		", @function\n" name ":\n" body ".size " name ", . - " name "\n")

FUNCTION("t_push",
	 "endbr64\nmov %rdi, %rax\nt_push_at: push %rbx\nmov %rax, %rbx\npop %rbx\nret\n");
FUNCTION("t_push_high", "endbr64\nt_push_high_at: push %r12\npop %r12\nret\n");
FUNCTION("t_first", "t_first_at: push %rbp\npop %rbp\nret\n");
FUNCTION("t_jump", "xor %eax, %eax\nt_jump_at: test %edi, %edi\n.globl t_jump_real\n"
		   "t_jump_real: je 1f\ninc %eax\n1: ret\n");
FUNCTION("t_call", "sub $8, %rsp\nt_call_at: call t_first\nadd $8, %rsp\nret\n");
/* rdi is overwritten before the only place that is cheap. */
FUNCTION("t_clobbered", "t_clobbered_at: mov $1, %edi\n.globl t_clobbered_cheap\n"
			"t_clobbered_cheap: push %rbx\npop %rbx\nret\n");
/* A loop leads behind the start. */
FUNCTION("t_loop", "t_loop_at: endbr64\n1: dec %edi\njne 1b\nret\n");
/* Nothing but slow ones. */
FUNCTION("t_plain", "t_plain_at: endbr64\nmov %edi, %eax\nret\n");
/* As before calls of __tls_get_addr: such a call gives no events. */
FUNCTION("t_prefix", "t_prefix_at: .byte 0x66, 0xe8, 0, 0, 0, 0\npush %rbx\npop %rbx\nret\n");
/* Long nops are stepped by older kernels; what is not comes first, if it is there. */
FUNCTION("t_long_nop", "nopl 0(%rax)\nmov %edi, %eax\nt_long_nop_at: push %rbx\npop %rbx\nret\n");
FUNCTION("t_only_nop", "endbr64\nt_only_nop_at: nopl 0(%rax)\nmov %edi, %eax\nret\n");
FUNCTION("t_nop", "endbr64\nt_nop_at: xchg %ax, %ax\nret\n");
/* No nop: exchanges r8 and rax. */
FUNCTION("t_exchange", "xchg %r8, %rax\nt_exchange_at: nop\nret\n");

static int fd;
static struct kb_elf_file *elf;

static uint64_t address_of(const char *name)
{
	struct kb_elf_symbol symbol;

	assert_true(kb_elf_file__symbol(elf, name, &symbol));
	return symbol.address;
}

static void expect_at(const char *name, const char *at, kb_register_set intact,
		      enum kb_probe_kind kind)
{
	struct kb_probe_address probe;
	struct kb_error *err = kb_probe_address__find(elf, address_of(name), 0, intact, &probe);
	uint64_t offset;

	assert_null(err);
	print_message("%s\n", name);
	assert_int_equal(probe.address, address_of(at));
	assert_int_equal(probe.kind, kind);
	assert_true(kb_elf_file__offset_of(elf, probe.address, &offset));
	assert_int_equal(probe.offset, offset);
}

static void test_kinds(void **state)
{
	expect_at("t_push", "t_push_at", 0, KB_PROBE_PUSH);
	expect_at("t_push_high", "t_push_high_at", 0, KB_PROBE_PUSH);
	expect_at("t_first", "t_first_at", 0, KB_PROBE_PUSH);
	expect_at("t_jump", "t_jump_real", 0, KB_PROBE_CONDITIONAL);
	expect_at("t_call", "t_call_at", 0, KB_PROBE_CALL);
	expect_at("t_loop", "t_loop_at", 0, KB_PROBE_STEPPED);
	expect_at("t_plain", "t_plain_at", 0, KB_PROBE_STEPPED);
	expect_at("t_prefix", "t_prefix_at", 0, KB_PROBE_STEPPED);
	expect_at("t_long_nop", "t_long_nop_at", 0, KB_PROBE_PUSH);
	expect_at("t_only_nop", "t_only_nop_at", 0, KB_PROBE_LONG_NOP);
	expect_at("t_nop", "t_nop_at", 0, KB_PROBE_NOP);
	expect_at("t_exchange", "t_exchange_at", 0, KB_PROBE_NOP);
}

static void test_registers(void **state)
{
	expect_at("t_clobbered", "t_clobbered_cheap", 0, KB_PROBE_PUSH);
	expect_at("t_clobbered", "t_clobbered_cheap",
		  kb_registers__arguments(2) & ~kb_registers__arguments(1), KB_PROBE_PUSH);
	expect_at("t_clobbered", "t_clobbered_at", kb_registers__arguments(1), KB_PROBE_STEPPED);
	/* A push is not yet executed where its probe fires, but what lies before it is. */
	expect_at("t_first", "t_first_at", KB_REGISTER_STACK, KB_PROBE_PUSH);
	expect_at("t_call", "t_call", KB_REGISTER_STACK, KB_PROBE_STEPPED);
	assert_int_equal(kb_register__argument(0), 5);
	assert_string_equal(kb_register__name(kb_register__argument(1)), "rsi");
	assert_int_equal(kb_register__argument(6), KB_REGISTER_NONE);
}

static void test_no_code(void **state)
{
	struct kb_probe_address probe;
	struct kb_error *err = kb_probe_address__find(elf, 1, 0, 0, &probe);

	assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
	kb_error__destroy(err);
}

static int setup(void **state)
{
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return fd < 0 || kb_elf_file__open(fd, &elf) || !elf;
}

static int teardown(void **state)
{
	kb_elf_file__close(elf);
	close(fd);
	return 0;
}
#endif

int main(void)
{
#if defined(__x86_64__)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_no_code),
	};

	return cmocka_run_group_tests_name("probe_address", tests, setup, teardown);
#else
	print_message("skipped: no decoder for this processor\n");
	return 0;
#endif
}
