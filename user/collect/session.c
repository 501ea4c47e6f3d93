// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "collect/expect.h"
#include "collect/native.h"
#include "collect/present.h"
#include "collect/session.h"
#include "keelback/inspect.h"
#include "kernel/probes.h"

void kb_session__init(struct kb_session *s)
{
	memset(s, 0, sizeof(*s));
	s->launch.go = s->launch.failed = s->launch.status = -1;
}

void kb_session__meta(const struct kb_session *s, struct kb_profile_meta *meta)
{
	/* The names are copied into the profile before the next call. */
	static struct utsname name;

	uname(&name);
	*meta = (struct kb_profile_meta){
		.size = sizeof(*meta),
		.start_unix_ns = s->started_unix,
		.duration_ns = s->started ? kb_now(CLOCK_MONOTONIC) - s->started : 0,
		.target = s->target->description,
		.version = kb_version(),
		.host = name.nodename,
		.kernel = name.release,
	};
}

void kb_session__filter(const struct kb_target *target, struct kb_config *config)
{
	config->cgroup_id = target->cgroup.id;
	config->cgroup_level = target->cgroup.level;
	config->filter = target->filter;
	config->children = target->children;
	config->tid = target->tid;
	config->self_tgid = getpid();
	config->only_tgid = target->pids.n == 1 && !target->children ? target->pids.ids[0] : 0;
}

/* One descriptor for each thread. */
static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

struct kb_error *kb_session__open(struct kb_session *s, const struct kb_session_opts *opts)
{
	struct kb_ingest_opts ingest = { .layout = kb_identifier__layout,
					 .new_process = kb_identifier__new_process,
					 .read_code = kb_identifier__read_code };
	struct kb_profile_meta meta;
	char detail[128];

	s->target = opts->target;
	s->collector = opts->collector;
	s->context = opts->context;
	s->drain_ms = opts->drain_ms;
	/* The kernel's programs see the machine's PIDs. */
	if (!kb_probe__pid_namespace((struct kb_probe_arg){ 0 }, detail, sizeof(detail)))
		return kb_unsupported("keelback must run in the machine's own PID namespace, with "
				      "'--pid=host' in a container: %s",
				      detail);
	raise_file_limit();
	KB_TRY(kb_programs__create(opts->programs, &s->programs));
	KB_TRY(kb_identifier__create(s->target, s->programs, &s->identifier));
	kb_session__meta(s, &meta);
	KB_TRY(kb_profile__create(&meta, &s->profile));
	if (opts->bare)
		return NULL;
	if (opts->frames_native || opts->frames_kernel)
		KB_TRY(kb_native__create(s->programs, s->profile, &s->native));
	if (opts->frames_native)
		kb_identifier__set_native(s->identifier, s->native);
	ingest.profile = s->profile;
	ingest.native = s->native;
	ingest.context = s->identifier;
	ingest.sample_ns = opts->sample_ns;
	KB_TRY(kb_ingest__create(&ingest, &s->ingest));
	kb_identifier__set_ingest(s->identifier, s->ingest);
	return NULL;
}

void kb_session__close(struct kb_session *s)
{
	if (s->programs && kb_programs__holds(s->programs) != s->holds)
		kb_launch__go_on(&s->launch);
	kb_launch__cancel(&s->launch);
	kb_ingest__destroy(s->ingest);
	kb_identifier__destroy(s->identifier);
	kb_native__destroy(s->native);
	kb_programs__destroy(s->programs);
	kb_profile__destroy(s->profile);
}

static struct kb_error *start_command(struct kb_session *s)
{
	char *const *argv = s->target->argv;

	KB_TRY(kb_expect__command(s->identifier, s->target->interpreter ?: argv[0]));
	KB_TRY(kb_launch__start(argv, s->target->stdio, &s->launch));
	kb_programs__hold(s->programs, s->launch.pid);
	return kb_programs__follow(s->programs, s->launch.pid);
}

static struct kb_error *find_processes(struct kb_session *s, struct kb_pids *pids)
{
	struct kb_present present = { s->target, s->programs, s->identifier, NULL };

	if (s->target->argv)
		return start_command(s);
	if (s->target->filter != KB_FILTER_PIDS)
		kb_expect__installed(s->identifier);
	KB_TRY(kb_target__processes(s->target, pids));
	return kb_present__identify(&present, pids);
}

struct kb_error *kb_session__start(struct kb_session *s)
{
	struct kb_pids pids = {};
	struct kb_error *err;

	KB_TRY(kb_programs__attach_tracker(s->programs));
	err = find_processes(s, &pids);
	s->started = kb_now(CLOCK_MONOTONIC);
	s->started_unix = kb_now(CLOCK_REALTIME);
	if (s->ingest)
		kb_ingest__set_start(s->ingest, s->started);
	s->next_drain = s->started + s->drain_ms * KB_NS_PER_MS;
	if (!err && s->collector->attach)
		err = s->collector->attach(&pids, s->context);
	if (!err && s->target->argv)
		err = kb_launch__release(&s->launch, s->target->argv[0]);
	kb_pids__free(&pids);
	s->running = !err;
	return err;
}

static bool is_held(const struct kb_session *s, const struct kb_notice *notice)
{
	return notice->kind == KB_NOTICE_EXEC && s->launch.pid == (pid_t)notice->tgid;
}

/*
 * The command may be a shell that executes an interpreter at last. So that nothing of that is
 * missed, the process is held at each execution until we know what it is; but only itself, of which
 * nobody but us is told that it stops.
 */
static void on_execution(struct kb_session *s, const struct kb_notice *notice)
{
	uint32_t image;

	kb_launch__await_hold(&s->launch);
	image = kb_expect__executed(s->identifier, notice);
	if (image == KB_ID_NONE)
		kb_identifier__notice(s->identifier, notice);
	else if (s->collector->executed)
		s->collector->executed(s->launch.pid, image, s->context);
	s->holds++;
	kb_launch__go_on(&s->launch);
}

static void on_notice(const struct kb_notice *notice, void *context)
{
	struct kb_session *s = context;

	switch (notice->kind) {
	case KB_NOTICE_EXIT:
		s->exited = true;
		break;
	case KB_NOTICE_DATA:
		s->drain_now = true;
		break;
	case KB_NOTICE_MAPS:
	case KB_NOTICE_TABLE:
		kb_native__notice(s->native, notice);
		break;
	case KB_NOTICE_CODE:
		if (s->ingest)
			kb_ingest__fetch_code(s->ingest, notice->proc, notice->tgid, notice->code);
		break;
	case KB_NOTICE_EXEC:
	case KB_NOTICE_UNKNOWN:
		if (is_held(s, notice))
			on_execution(s, notice);
		else
			kb_identifier__notice(s->identifier, notice);
		break;
	default:
		if (s->collector->notice)
			s->collector->notice(notice, s->context);
	}
}

void kb_session__record(const void *record, size_t size, void *context)
{
	struct kb_session *s = context;

	if ((!s->ingest || !kb_ingest__record(s->ingest, record, size)) && s->collector->record)
		s->collector->record(record, size, s->context);
}

/* What the kernel's ledger has more than at the last time. */
static struct kb_error *take_ledger(struct kb_session *s)
{
	uint64_t counts[KB_L_COUNT + 1];

	KB_TRY(kb_programs__ledger(s->programs, counts));
	for (int reason = 0; reason < KB_L_COUNT; reason++)
		kb_profile__ledger_add(s->profile, reason, counts[reason] - s->ledger[reason]);
	memcpy(s->ledger, counts, sizeof(counts));
	return NULL;
}

/* Ends a generation and takes everything of it. */
struct kb_error *kb_session__drain(struct kb_session *s)
{
	/* Without tables of counts there is nothing to change over. */
	if (s->ingest)
		kb_programs__flip(s->programs);
	kb_programs__read_data(s->programs, kb_session__record, s);
	if (s->collector->drain)
		KB_TRY(s->collector->drain(s->context));
	if (s->ingest)
		kb_ingest__end_generation(s->ingest, s->generation);
	if (s->native)
		kb_native__end_generation(s->native);
	s->generation++;
	KB_TRY(take_ledger(s));
	s->drain_now = false;
	s->next_drain = kb_now(CLOCK_MONOTONIC) + s->drain_ms * KB_NS_PER_MS;
	return s->collector->drained ? s->collector->drained(s->context) : NULL;
}

static bool has_ended(struct kb_session *s)
{
	if (s->target->argv)
		return kb_launch__ended(&s->launch);
	return s->target->filter == KB_FILTER_PIDS && s->exited &&
	       !kb_programs__any_followed(s->programs);
}

struct kb_error *kb_session__poll(struct kb_session *s, int timeout_ms, bool *done)
{
	int wait = kb_ms_until(kb_now(CLOCK_MONOTONIC), s->next_drain, timeout_ms), again;

	if (s->collector->work)
		wait = s->collector->work(wait, s->context);
	again = kb_identifier__look_again(s->identifier);
	if (again >= 0 && again < wait)
		wait = again;
	if (s->native && kb_native__work(s->native))
		wait = 0;
	if (kb_wake__await(&s->wake, kb_programs__fd(s->programs), wait))
		wait = 0;
	kb_programs__poll(s->programs, wait, on_notice, s);
	*done = has_ended(s);
	if (s->drain_now || kb_now(CLOCK_MONOTONIC) >= s->next_drain)
		return kb_session__drain(s);
	return NULL;
}

struct kb_error *kb_session__finish(struct kb_session *s)
{
	kb_programs__poll(s->programs, 0, on_notice, s);
	/* Both tables: the second may hold what was counted while the first was drained. */
	KB_TRY(kb_session__drain(s));
	KB_TRY(kb_session__drain(s));
	kb_profile__ledger_add(s->profile, KB_L_NOT_IDENTIFIED,
			       kb_identifier__unresolved(s->identifier));
	kb_launch__ended(&s->launch);
	return NULL;
}
