// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A session that tells what processes die of (bpf/faults.bpf.c). It is a bare one (session.h):
 * whatever it knows of a process goes with the process, so that it can run for ever.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "inspect/faults.h"
#include "kernel/faults_programs.h"
#include "kernel/probes.h"
#include "system/arch.h"

#define DRAIN_MS 100
/*
 * A death takes 10 to 100 kB, 40 more with its C stack. The ring is read within milliseconds
 * of a notice, so this is for a hundred that die at once.
 */
#define DATA_BYTES	  (8u << 20)
#define DATA_BYTES_NATIVE (16u << 20)
#define TOLD_MAX	  65536

static const struct kb_collector collector;

static struct kb_error *set_opts(struct kb_faults *faults, const struct kb_faults_opts *given)
{
	struct kb_faults_opts *opts = &faults->opts;
	char detail[KB_PROBE_DETAIL_MAX];

	KB_TRY(KB_COPY_OPTIONS(opts, given));
	if (!opts->report)
		return kb_usage("nobody to report to");
	if (!opts->signals)
		opts->signals = KB_FAULTS_DEFAULT_SIGNALS;
	if (!opts->frames)
		opts->frames = KB_DUMP_FRAMES_DEFAULT;
	if (opts->native && !KB_ARCH_HAS_UNWIND)
		return kb_unsupported("native stacks cannot be unwound on this processor: leave "
				      "--native out");
	if (opts->locals &&
	    !kb_probe__kernel_function(
		    (struct kb_probe_arg){ .name = "bpf_task_work_schedule_signal_impl" }, detail,
		    sizeof(detail)))
		return kb_unsupported(
			"this kernel cannot hold a process that dies, which is needed "
			"for its values (bpf_task_work_schedule_signal, Linux 6.18): "
			"leave --locals out");
	if ((opts->repeat || opts->end_it) && !opts->later_s)
		return kb_usage("%s goes with a time after which it is done",
				opts->repeat ? "repeating" : "ending a process");
	return NULL;
}

static struct kb_error *open_session(struct kb_faults *faults, const struct kb_target *target)
{
	const struct kb_faults_opts *opts = &faults->opts;
	struct kb_programs_opts programs = {
		.runs = KB_RUN_FAULTS | (opts->locals ? KB_RUN_HOLD : 0),
		.data_bytes = opts->native ? DATA_BYTES_NATIVE : DATA_BYTES,
		.counts_max = 1,
		.config = { .cgroup_id = target->cgroup.id,
			    .cgroup_level = target->cgroup.level,
			    .filter = target->filter,
			    .children = target->children,
			    .self_tgid = getpid(),
			    .want = KB_WANT_GC },
		.faults = { .fatal = opts->signals,
			    .watched = opts->registered,
			    .frames = opts->frames < KB_FRAMES_MAX ? opts->frames : KB_FRAMES_MAX,
			    .want_stack = opts->native,
			    .want_oom = opts->oom,
			    .hold_ms = KB_FAULTS_HOLD_MS },
	};
	struct kb_session_opts session = { .target = target,
					   .programs = &programs,
					   .collector = &collector,
					   .context = faults,
					   .drain_ms = DRAIN_MS,
					   .bare = true };

	return kb_session__open(&faults->session, &session);
}

static void on_identified(pid_t pid, uint32_t proc, const struct kb_interpreter *interp,
			  void *context)
{
	struct kb_faults *faults = context;

	if (faults->native)
		kb_fault_native__add(faults->native, pid, true);
	if (faults->watch)
		kb_fault_watch__add(faults->watch, pid, 0);
}

static struct kb_error *create(struct kb_faults *faults, const struct kb_target *target)
{
	const struct kb_faults_opts *opts = &faults->opts;

	KB_TRY(open_session(faults, target));
	if (opts->native) {
		KB_TRY(kb_fault_native__create(&faults->native));
		KB_TRY(kb_wake__add(&faults->session.wake, kb_fault_native__fd(faults->native)));
	}
	if (opts->locals)
		KB_TRY(kb_fault_holder__create(faults, &faults->holder));
	if (opts->registered || opts->later_s || opts->hang_s)
		KB_TRY(kb_fault_watch__create(faults, &faults->watch));
	kb_identifier__on_identified(faults->session.identifier, on_identified, faults);
	return NULL;
}

struct kb_error *kb_faults__create(const struct kb_target *target,
				   const struct kb_faults_opts *opts, struct kb_faults **result)
{
	struct kb_faults *faults = calloc(1, sizeof(*faults));
	struct kb_error *err;

	if (!faults)
		return kb_error__no_memory();
	kb_session__init(&faults->session);
	err = set_opts(faults, opts);
	if (!err)
		err = create(faults, target);
	if (err)
		kb_faults__destroy(faults);
	else
		*result = faults;
	return err;
}

void kb_faults__destroy(struct kb_faults *faults)
{
	if (!faults)
		return;
	for (int i = 0; i < KB_DEATHS_MAX; i++)
		kb_death__clear(&faults->deaths[i]);
	kb_fault_holder__destroy(faults->holder);
	kb_fault_watch__destroy(faults->watch);
	kb_fault_native__destroy(faults->native);
	kb_session__close(&faults->session);
	free(faults->told);
	free(faults);
}

/* ---------------------------------------------------------------- the collector */

static struct kb_error *attach(struct kb_pids *pids, void *context)
{
	struct kb_faults *faults = context;

	return kb_faults_programs__attach(faults->session.programs);
}

static void on_record(const void *record, size_t size, void *context)
{
	const struct kb_data_proc *proc = record;
	struct kb_faults *faults = context;

	if (size < sizeof(*proc) || proc->kind != KB_DATA_PROC) {
		kb_deaths__record(faults, record, size);
		return;
	}
	if (faults->native)
		kb_fault_native__add(faults->native, (pid_t)proc->tgid, false);
	if (faults->watch)
		kb_fault_watch__add(faults->watch, (pid_t)proc->tgid, proc->start_time);
}

/* Its records may not have been read yet: that comes first. */
static void on_notice(const struct kb_notice *notice, void *context)
{
	struct kb_faults *faults = context;
	struct kb_notice *grown;

	if (notice->kind == KB_NOTICE_HELD && faults->holder)
		kb_fault_holder__notice(faults->holder, notice);
	if (notice->kind == KB_NOTICE_SIGNAL && faults->watch)
		kb_fault_watch__signal(faults->watch, notice);
	if (notice->kind != KB_NOTICE_FAULT)
		return;
	grown = kb_array__grow(faults->told, &faults->told_capacity, faults->n_told + 1,
			       sizeof(*grown), TOLD_MAX);
	if (!grown) {
		kb_profile__ledger_add(faults->session.profile, KB_L_LOST_STACK, 1);
		return;
	}
	faults->told = grown;
	grown[faults->n_told++] = *notice;
	faults->session.drain_now = true;
}

static void update_mappings(struct kb_faults *faults)
{
	uint64_t lost;

	kb_fault_native__update(faults->native);
	lost = kb_fault_native__lost(faults->native);
	kb_profile__ledger_add(faults->session.profile, KB_L_LOST_EVENTS,
			       lost - faults->lost_events);
	faults->lost_events = lost;
}

static struct kb_error *drained(void *context)
{
	struct kb_faults *faults = context;

	if (faults->native)
		update_mappings(faults);
	for (uint32_t i = 0; i < faults->n_told; i++) {
		struct kb_death *death = kb_deaths__find(faults, faults->told[i].proc);

		/* Without one it was counted when its place was taken. */
		if (!death)
			continue;
		kb_faults__report_death(faults, death, &faults->told[i]);
		kb_death__clear(death);
	}
	faults->n_told = 0;
	return NULL;
}

static int work(int wait_ms, void *context)
{
	struct kb_faults *faults = context;

	return faults->watch ? kb_fault_watch__work(faults->watch, wait_ms) : wait_ms;
}

static const struct kb_collector collector = {
	.attach = attach, .record = on_record, .notice = on_notice, .drained = drained, .work = work
};

/* ---------------------------------------------------------------- running */

struct kb_error *kb_faults__start(struct kb_faults *faults)
{
	return kb_session__start(&faults->session);
}

struct kb_error *kb_faults__poll(struct kb_faults *faults, int timeout_ms, bool *done)
{
	return kb_session__poll(&faults->session, timeout_ms, done);
}

/* What the kernel has seen and what became of it are counted apart. */
static void check_ledger(const struct kb_faults *faults)
{
	uint64_t seen = kb_faults__seen(faults);
	uint64_t accounted = kb_profile__attempted(faults->session.profile);

	if (seen != accounted)
		kb_warn("the ledger does not add up: %" PRIu64 " deaths seen, %" PRIu64
			" accounted for",
			seen, accounted);
}

struct kb_error *kb_faults__stop(struct kb_faults *faults)
{
	struct kb_profile *ledger = faults->session.profile;

	if (!faults->session.running)
		return NULL;
	faults->session.running = false;
	KB_TRY(kb_session__finish(&faults->session));
	/* Whose end was not told. */
	for (int i = 0; i < KB_DEATHS_MAX; i++) {
		if (!faults->deaths[i].id)
			continue;
		kb_profile__ledger_add(ledger, KB_L_LOST_STACK, 1);
		kb_death__clear(&faults->deaths[i]);
	}
	check_ledger(faults);
	return NULL;
}

size_t kb_faults__n_ledger(const struct kb_faults *faults)
{
	return kb_profile__n_ledger(faults->session.profile);
}

struct kb_ledger_entry kb_faults__ledger(const struct kb_faults *faults, size_t index)
{
	return kb_profile__ledger(faults->session.profile, index);
}

uint64_t kb_faults__seen(const struct kb_faults *faults)
{
	return faults->session.ledger[KB_L_COUNT];
}

pid_t kb_faults__command_pid(const struct kb_faults *faults)
{
	return faults->session.launch.pid;
}

int kb_faults__command_status(const struct kb_faults *faults)
{
	return faults->session.launch.status;
}
