// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reports of deaths: what is guessed, and records that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "inspect/faults.h"
#include "system/container.h"

#define SP 0x7ffd00010000ull
#define PC 0x401000ull

static struct kb_data_fault fault_of(int number, int code, uint64_t address)
{
	struct kb_data_fault record = {
		.kind = KB_DATA_FAULT, .signal = number, .code = code, .address = address
	};

	record.registers[7] = SP;
	record.registers[16] = PC;
	return record;
}

static void check_guess(struct kb_data_fault record, const char *expected)
{
	char text[512];

	kb_fault__guess(&record, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void test_guesses(void **state)
{
	struct kb_data_fault record;

	check_guess(fault_of(SIGSEGV, SEGV_MAPERR, 0), "NULL dereference");
	check_guess(fault_of(SIGSEGV, SEGV_MAPERR, 24), "NULL dereference, at offset 24");
	check_guess(fault_of(SIGSEGV, SEGV_MAPERR, 0x10000), "");
	check_guess(fault_of(SIGSEGV, SI_KERNEL, 0),
		    "an address that no pointer can have (not canonical)");
	record = fault_of(SIGSEGV, SEGV_MAPERR, 0);
	record.registers[16] = 0;
	check_guess(record, "call through a NULL pointer");
	/* Below the stack, where nothing can be read. */
	record = fault_of(SIGSEGV, SEGV_MAPERR, SP - 8);
	check_guess(record, "");
	record.flags = KB_FAULT_UNREADABLE;
	check_guess(record, "stack overflow");
	record.address = SP - (1 << 20);
	check_guess(record, "");
	check_guess(fault_of(SIGSEGV, SEGV_ACCERR, PC), "memory that may not be executed");
	record = fault_of(SIGSEGV, SEGV_ACCERR, 0x500000);
	record.access = KB_ACCESS_WRITE;
	check_guess(record, "write to read-only memory");
	/* Sent by somebody. */
	check_guess(fault_of(SIGSEGV, SI_USER, 0), "");
	record = fault_of(SIGABRT, SI_TKILL, 0);
	record.sender = record.tgid = 7;
	check_guess(record, "abort()");
	record.flags = KB_FAULT_OOM;
	check_guess(record, "the OOM killer: the machine or the cgroup is out of memory");
}

static void test_signals(void **state)
{
	assert_int_equal(kb_signal__by_name("SEGV"), SIGSEGV);
	assert_int_equal(kb_signal__by_name("sigterm"), SIGTERM);
	assert_int_equal(kb_signal__by_name("64"), 64);
	assert_int_equal(kb_signal__by_name("65"), 0);
	assert_int_equal(kb_signal__by_name("1x"), 0);
	assert_int_equal(kb_signal__by_name("-1"), 0);
	assert_int_equal(kb_signal__by_name(""), 0);
	assert_string_equal(kb_signal__name(SIGBUS), "SIGBUS");
	assert_string_equal(kb_signal__name(40), "");
	assert_true(kb_signal__is_fatal(SIGUSR1) && kb_signal__is_fatal(40));
	assert_false(kb_signal__is_fatal(SIGURG) || kb_signal__is_fatal(0) ||
		     kb_signal__is_fatal(65));
}

static void test_container(void **state)
{
	char name[KB_CONTAINER_NAME_MAX];

	kb_container__of_path(
		"/system.slice/"
		"docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope",
		name, sizeof(name));
	assert_string_equal(name, "0123456789ab");
	kb_container__of_path("/", name, sizeof(name));
	assert_string_equal(name, "");
}

/* ---------------------------------------------------------------- records */

static struct kb_faults *faults;

static int make_faults(void **state)
{
	struct kb_profile_meta meta = {
		.size = sizeof(meta), .target = "", .host = "", .kernel = "", .version = ""
	};

	faults = calloc(1, sizeof(*faults));
	assert_non_null(faults);
	return kb_profile__create(&meta, &faults->session.profile) != NULL;
}

static int free_faults(void **state)
{
	for (int i = 0; i < KB_DEATHS_MAX; i++)
		kb_death__clear(&faults->deaths[i]);
	kb_profile__destroy(faults->session.profile);
	free(faults);
	return 0;
}

static void begin(uint32_t id)
{
	struct kb_data_fault record = { .kind = KB_DATA_FAULT, .proc = id };

	memset(record.comm, 'x', sizeof(record.comm));
	memset(record.cgroups, 'y', sizeof(record.cgroups));
	kb_deaths__record(faults, &record, sizeof(record));
}

static void test_records(void **state)
{
	struct {
		struct kb_data_fault_thread head;
		kb_u64 words[2];
	} thread = { .head = { .kind = KB_DATA_FAULT_THREAD, .proc = 5, .n_words = 2 },
		     .words = { 1, 2 } };
	struct kb_data_fault_task task = { .kind = KB_DATA_FAULT_TASK, .proc = 5 };
	struct kb_death *death;

	/* Of no death. */
	kb_deaths__record(faults, &thread, sizeof(thread));
	assert_null(kb_deaths__find(faults, 5));
	begin(5);
	death = kb_deaths__find(faults, 5);
	assert_non_null(death);
	assert_int_equal(strlen(death->record.comm), KB_COMM_MAX - 1);
	assert_int_equal(strlen(death->record.cgroups[7]), KB_FAULT_CGROUP_NAME - 1);
	kb_deaths__record(faults, &thread, sizeof(thread));
	assert_int_equal(death->n_threads, 1);
	assert_int_equal(death->threads[0].words[1], 2);
	/* Shorter than it says. */
	kb_deaths__record(faults, &thread, sizeof(thread) - 1);
	thread.head.n_words = UINT32_MAX;
	kb_deaths__record(faults, &thread, sizeof(thread));
	kb_deaths__record(faults, &thread, 8);
	kb_deaths__record(faults, &thread, 3);
	assert_int_equal(death->n_threads, 1);
	memset(task.comm, 'z', sizeof(task.comm));
	kb_deaths__record(faults, &task, sizeof(task) - 1);
	assert_int_equal(death->n_tasks, 0);
	kb_deaths__record(faults, &task, sizeof(task));
	assert_int_equal(death->n_tasks, 1);
	assert_int_equal(strlen(death->tasks[0].comm), KB_COMM_MAX - 1);
}

static void test_deaths_without_end(void **state)
{
	for (uint32_t id = 1; id <= KB_DEATHS_MAX + 3; id++)
		begin(id);
	/* The oldest are given up, and counted. */
	assert_null(kb_deaths__find(faults, 1));
	assert_null(kb_deaths__find(faults, 3));
	assert_non_null(kb_deaths__find(faults, 4));
	assert_non_null(kb_deaths__find(faults, KB_DEATHS_MAX + 3));
	assert_int_equal(kb_profile__ledger_get(faults->session.profile, KB_L_LOST_STACK), 3);
}

static void test_captured_pages(void **state)
{
	uint8_t page[4096];
	struct kb_pages *pages;
	uint64_t value;

	memset(page, 0x5a, sizeof(page));
	assert_null(kb_pages__create(-1, 2, &pages));
	assert_false(kb_pages__put(pages, 0x1001, page));
	assert_true(kb_pages__put(pages, 0x1000, page));
	assert_true(kb_pages__put(pages, 0x2000, page));
	assert_false(kb_pages__put(pages, 0x3000, page));
	assert_true(kb_pages__read_u64(pages, 0x1ffc, &value));
	assert_int_equal(value, 0x5a5a5a5a5a5a5a5aull);
	assert_false(kb_pages__read_u64(pages, 0x2ffc, &value));
	kb_pages__destroy(pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guesses),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_container),
		cmocka_unit_test_setup_teardown(test_records, make_faults, free_faults),
		cmocka_unit_test_setup_teardown(test_deaths_without_end, make_faults, free_faults),
		cmocka_unit_test(test_captured_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
