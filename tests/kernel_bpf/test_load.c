// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * What only the running kernel can tell of the BPF programs: that its verifier takes them in every
 * configuration, at what cost, and that the table of processes follows fork, exec and exit. As
 * root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "kernel/load.h"
#include "kernel/programs.h"
#include "system/process.h"
#include "kernel/programs_object.h"

/*
 * Instructions that the verifier walks through, about 1.3 times what they were when the budget was
 * set (Linux 6.18). The kernel's limit is a million; other versions of it need up to four times as
 * many, which is why a name of a test on the command line leaves that test out.
 */
static const struct {
	const char *program;
	uint32_t budget;
} budgets[] = {
	{ "on_clock", 240000 },
	{ "on_tick", 240000 },
	{ "on_switch", 245000 },
	{ "on_clock_empty", 2 }, /* the yardstick of benchmarks: nothing at all */
	{ "on_allocate", 1450 },
	{ "on_allocated", 126000 },
	{ "on_free", 2550 },
	{ "on_drop_blocks", 1000 },
	{ "on_interpreter_init", 610 },
	{ "on_fork", 430 },
	{ "on_exec", 210 },
	{ "on_exit", 105 },
	{ "on_call", 135000 },
	{ "on_call_empty", 2 },
	{ "on_call_exit", 10000 },
	{ "on_call_exec", 50 },
	{ "on_call_switch", 200 },
	{ "on_signal_deliver", 130000 },
	{ "on_signal_generate", 270 },
	{ "on_signal_hold", 240 },
	{ "on_breakpoint", 132000 },
	{ "on_audit", 140000 },
	{ "on_reference", 126000 },
};
#define N_BUDGETS (sizeof(budgets) / sizeof(*budgets))

static uint32_t most[N_BUDGETS];
static struct kb_programs *programs;

static void need_root(void)
{
	char names[128];

	if (!geteuid() && !kb_load__missing_capabilities(names, sizeof(names)))
		return;
	print_message("skipped: loading BPF programs needs root\n");
	skip();
}

/* ---------------------------------------------------------------- the verifier */

static void take_counts(const struct kb_collect_bpf *bpf)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, bpf->obj)
	{
		struct bpf_prog_info info = {};
		uint32_t size = sizeof(info);
		bool budgeted = false;

		if (!bpf_program__autoload(program))
			continue;
		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), 0);
		assert_true(info.verified_insns);
		for (size_t i = 0; i < N_BUDGETS; i++) {
			if (strcmp(budgets[i].program, bpf_program__name(program)))
				continue;
			budgeted = true;
			if (info.verified_insns > most[i])
				most[i] = info.verified_insns;
		}
		if (!budgeted)
			fail_msg("program %s has no budget", bpf_program__name(program));
	}
}

/* The programs of kernel/faults_programs.h, which go with no other. */
static void choose_faults(struct kb_collect_bpf *bpf, bool faults)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, bpf->obj)
	{
		if (faults || strstr(bpf_program__name(program), "signal"))
			bpf_program__set_autoload(
				program, faults && strstr(bpf_program__name(program), "signal"));
	}
}

/* iterators: where the kernel has them; without, its verifier sees what older ones do. */
static void load_configuration(const struct kb_config *config, bool tick, bool iterators)
{
	struct kb_collect_bpf *bpf = kb_collect_bpf__open();
	struct bpf_program *on_tick;
	int status;

	assert_non_null(bpf);
	bpf->rodata->config = *config;
	bpf->rodata->kb_walk_without_iterators = !iterators;
	on_tick = bpf_object__find_program_by_name(bpf->obj, "on_tick");
	bpf_program__set_autoload(bpf->progs.on_switch,
				  config->mode == KB_MODE_IS_WALL ||
					  config->mode == KB_MODE_IS_GIL_WAIT);
	bpf_program__set_autoload(bpf->progs.on_clock, !tick);
	bpf_program__set_autoload(bpf->progs.on_clock_empty, !tick);
	if (on_tick)
		bpf_program__set_autoload(on_tick, tick);
	choose_faults(bpf, false);
	bpf_program__set_autoload(bpf->progs.on_audit, false);
	status = kb_collect_bpf__load(bpf);
	if (status)
		fail_msg("filter %u, children %u, tid %u, tick %d, iterators %d: %s",
			 config->filter, config->children, config->tid, tick, iterators,
			 strerror(-status));
	take_counts(bpf);
	kb_collect_bpf__destroy(bpf);
}

static void test_every_configuration_loads(void **state)
{
	need_root();
	kb_load__prepare();
	for (unsigned i = 0; i < 3 * 2 * 2 * 2 * 2 * 2; i++) {
		struct kb_config config = {
			.filter = i / 32,
			.children = i & 1,
			.tid = i & 2 ? 1234 : 0,
			.self_tgid = getpid(),
			.tick_min_ns = 500000,
			.stacks_high = 1000,
			.ring_high = 1 << 20,
			.cgroup_id = 1,
			.cgroup_level = 1,
			.want = i & 16 ? ~0u : 0, /* everything that there is, or nothing */
		};

		load_configuration(&config, i & 4, i & 8);
	}
}

static void test_every_wish_loads(void **state)
{
	static const uint32_t wishes[] = { KB_WANT_NATIVE, KB_WANT_KERNEL,
					   KB_WANT_NATIVE | KB_WANT_KERNEL, KB_WANT_TASKS };

	need_root();
	kb_load__prepare();
	for (unsigned i = 0; i < sizeof(wishes) / sizeof(*wishes) * 4; i++) {
		struct kb_config config = { .self_tgid = getpid(), .want = wishes[i / 4] };

		load_configuration(&config, i & 1, i & 2);
	}
}

static void test_every_mode_loads(void **state)
{
	need_root();
	kb_load__prepare();
	/* With nothing more wanted, and with all that a stack can have. */
	for (unsigned i = 0; i < 5 * 2; i++) {
		struct kb_config config = { .self_tgid = getpid(),
					    .mode = i / 2,
					    .want = i & 1 ? ~0u : 0,
					    .wait_min_ns = 1000,
					    .filter = i % 3 };

		load_configuration(&config, false, (i & 1) == (i / 2 & 1));
	}
}

static void test_faults_load(void **state)
{
	need_root();
	kb_load__prepare();
	for (unsigned i = 0; i < 3 * 2 * 2; i++) {
		struct kb_collect_bpf *bpf = kb_collect_bpf__open();
		int status;

		assert_non_null(bpf);
		bpf->rodata->config = (struct kb_config){ .filter = i / 4,
							  .self_tgid = getpid(),
							  .want = KB_WANT_GC };
		bpf->rodata->fault_config =
			(struct kb_fault_config){ .fatal = 1 << 10,
						  .watched = i & 1 ? 1 << 22 : 0,
						  .frames = 100,
						  .want_stack = i & 1,
						  .want_oom = i & 1,
						  .hold_ms = 500 };
		bpf->rodata->kb_walk_without_iterators = i & 2;
		choose_faults(bpf, true);
		status = kb_collect_bpf__load(bpf);
		if (status)
			fail_msg("configuration %u: %s", i, strerror(-status));
		take_counts(bpf);
		kb_collect_bpf__destroy(bpf);
	}
}

static void test_every_audit_loads(void **state)
{
	need_root();
	kb_load__prepare();
	for (unsigned i = 0; i < 3 * 2 * 2 * 2 * 2; i++) {
		struct kb_config config = { .self_tgid = getpid(),
					    .filter = i / 16,
					    .cgroup_level = 1,
					    .tid = i & 1 ? 1234 : 0 };
		struct kb_audit_config audit = { .n_rules = i & 2 ? KB_AUDIT_RULES_MAX : 0,
						 .others = !(i & 2),
						 .max_rate = i & 2 ? 1000 : 0,
						 .summary = !!(i & 4),
						 .stack = !!(i & 8) };
		struct kb_programs_opts opts = { .config = config,
						 .counts_max = 1024,
						 .data_bytes = 1 << 20,
						 .runs = KB_RUN_AUDIT,
						 .audit = &audit };
		struct kb_error *err = kb_programs__create(&opts, &programs);

		if (err)
			fail_msg("rules %u, summary %u, stack %u: %s", audit.n_rules, audit.summary,
				 audit.stack, kb_error__text(err));
		take_counts(programs->bpf);
		kb_programs__destroy(programs);
	}
}

static void test_verifier_budgets(void **state)
{
	bool over = false;

	need_root();
	for (size_t i = 0; i < N_BUDGETS; i++) {
		print_message("%-20s %6u instructions verified, budget %6u\n", budgets[i].program,
			      most[i], budgets[i].budget);
		over |= most[i] > budgets[i].budget;
#ifdef __x86_64__
		assert_true(most[i]); /* not one that is never loaded */
#endif
	}
	assert_false(over);
}

/* ---------------------------------------------------------------- the table of processes */

#define CHILDREN 150 /* each with a child of its own */

static unsigned n_records, n_known_parents;

static void on_record(const void *record, size_t size, void *context)
{
	const struct kb_data_proc *proc = record;

	if (proc->kind != KB_DATA_PROC)
		return;
	n_records++;
	n_known_parents += proc->proc && proc->parent_tgid && proc->tgid;
}

static unsigned known_processes(void)
{
	uint32_t tgid = 0;
	unsigned n = 0;

	while (kb_programs__next_proc(programs, &tgid))
		n++;
	return n;
}

static void die_at_once(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, 0);
	_exit(child < 0);
}

/* At each byte: 'f' forks many that fork and end, 'e' one that executes another program. */
static void run_family(int commands, int answers)
{
	char command;

	while (read(commands, &command, 1) == 1) {
		bool good = true;
		int status;

		for (int i = 0; i < (command == 'f' ? CHILDREN : 1); i++) {
			pid_t child = fork();

			if (!child && command == 'f')
				die_at_once();
			if (!child) {
				execl("/bin/true", "true", NULL);
				_exit(1);
			}
			good &= child > 0 && waitpid(child, &status, 0) == child && !status;
		}
		if (write(answers, good ? "y" : "n", 1) != 1)
			break;
	}
	_exit(0);
}

static void command_family(int commands, int answers, char command)
{
	char answer = 0;

	assert_int_equal(write(commands, &command, 1), 1);
	assert_int_equal(read(answers, &answer, 1), 1);
	assert_int_equal(answer, 'y');
}

static void start_programs(enum kb_filter filter)
{
	struct kb_programs_opts opts = {
		.config = { .filter = filter, .children = 1, .self_tgid = getpid() },
		.counts_max = 1024,
		.data_bytes = 1 << 20,
	};
	struct kb_error *err = kb_programs__create(&opts, &programs);

	if (!err)
		err = kb_programs__attach_tracker(programs);
	if (err)
		fail_msg("%s", kb_error__text(err));
	n_records = n_known_parents = 0;
}

static void ignore_notice(const struct kb_notice *notice, void *context)
{
	*(unsigned *)context += 1u << (8 * (notice->kind - 1));
}

static void follow_family(enum kb_filter filter)
{
	struct kb_process_stat stat;
	struct kb_proc proc = { .state = KB_PROC_PYTHON };
	int commands[2], answers[2];
	unsigned notices = 0;
	pid_t family;

	start_programs(filter);
	assert_int_equal(pipe(commands) | pipe(answers), 0);
	family = fork();
	assert_true(family >= 0);
	if (!family) {
		close(commands[1]);
		run_family(commands[0], answers[1]);
	}
	assert_true(kb_process__stat(family, &stat));
	proc.start_time = stat.start_ns;
	proc.id = kb_programs__new_proc(programs);
	assert_null(kb_programs__follow(programs, family));
	assert_null(kb_programs__set_proc(programs, family, &proc, true));
	assert_int_equal(known_processes(), 1);

	command_family(commands[1], answers[0], 'f');
	kb_programs__read_data(programs, on_record, NULL);
	assert_int_equal(n_records, 2 * CHILDREN);
	assert_int_equal(n_known_parents, 2 * CHILDREN);
	assert_int_equal(known_processes(), 1);

	/* Execution forgets what the child was a copy of. */
	command_family(commands[1], answers[0], 'e');
	assert_int_equal(known_processes(), 1);
	kb_programs__poll(programs, 0, ignore_notice, &notices);
	assert_true(notices & 0xff);

	close(commands[1]);
	assert_int_equal(waitpid(family, NULL, 0), family);
	assert_int_equal(known_processes(), 0);
	if (filter == KB_FILTER_PIDS)
		assert_false(kb_programs__any_followed(programs));
	kb_programs__destroy(programs);
	close(commands[0]);
	close(answers[0]);
	close(answers[1]);
}

static void test_followed_processes_vanish(void **state)
{
	need_root();
	follow_family(KB_FILTER_PIDS);
}

static void test_all_processes_vanish(void **state)
{
	need_root();
	follow_family(KB_FILTER_ALL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_configuration_loads),
		cmocka_unit_test(test_every_wish_loads),
		cmocka_unit_test(test_every_mode_loads),
		cmocka_unit_test(test_faults_load),
		cmocka_unit_test(test_every_audit_loads),
		cmocka_unit_test(test_verifier_budgets),
		cmocka_unit_test(test_followed_processes_vanish),
		cmocka_unit_test(test_all_processes_vanish),
	};

	if (argc > 1)
		cmocka_set_skip_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
