// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A session of audit events, on what all collectors have in common (session.h). What happens in the
 * kernel is described in bpf/audit.bpf.c, where it is probed in python/audit_points.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "base/strpool.h"
#include "collect/audit_decode.h"
#include "collect/audit_rules.h"
#include "collect/session.h"
#include "kernel/audit_programs.h"
#include "python/audit_points.h"
#include "system/container.h"

#define DRAIN_MS     100
#define DRAIN_MS_MAX 60000
#define DATA_BYTES   (8u << 20) /* 200,000 events of usual size in a second fill it in 0.4 s */
/* Stacks are kept as long as events can refer to them; when there are so many, those that none
 * does are forgotten. */
#define NODES_MANY	(1u << 18)
#define CONTAINERS_MAX	4096
#define CONTAINER_BYTES (1u << 20)
#define COUNTS_MAX	KB_AUDIT_COUNTS_MAX

/* Of a process or, when it has ended before it was looked at, of its cgroup. */
struct known_container {
	uint64_t cgroup;
	uint32_t name; /* in the pool */
};

struct count {
	uint32_t process; /* of the profile */
	const char *container;
	uint64_t n;
	char name[2 * KB_AUDIT_NAME_MAX + 1];
};

struct kb_auditor {
	struct kb_session session;
	struct kb_audit_opts opts;
	struct kb_audit_rules rules;
	kb_audit_fn fn;
	void *context;
	struct kb_audit_decoder *decoder;
	struct kb_strpool *names;	/* of containers */
	uint32_t *container_of_process; /* 1 + the name's id, by process of the profile; 0: not
					   looked at */
	uint32_t n_processes, processes_capacity;
	struct known_container containers[CONTAINERS_MAX];
	uint32_t n_containers;
	struct count *counts;
	uint32_t n_counts, counts_capacity;
	uint64_t received;
	uint32_t nodes_many;
	int64_t unix_offset_ns; /* what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC */
};

static const struct kb_collector collector;

/* ---------------------------------------------------------------- containers */

static const char *known_name(const struct kb_auditor *a, uint64_t cgroup)
{
	for (uint32_t i = 0; i < a->n_containers; i++)
		if (a->containers[i].cgroup == cgroup)
			return kb_strpool__at(a->names, a->containers[i].name);
	return "";
}

static void remember(struct kb_auditor *a, uint64_t cgroup, uint32_t name)
{
	if (!cgroup || a->n_containers == CONTAINERS_MAX || *known_name(a, cgroup))
		return;
	a->containers[a->n_containers++] = (struct known_container){ cgroup, name };
}

static bool reserve_process(struct kb_auditor *a, uint32_t process)
{
	uint32_t *grown = kb_array__grow(a->container_of_process, &a->processes_capacity,
					 process + 1, sizeof(*grown), UINT32_MAX / 2);

	if (!grown)
		return false;
	a->container_of_process = grown;
	while (a->n_processes <= process)
		grown[a->n_processes++] = 0;
	return true;
}

/* The container of a process, looked up when its first event comes: then it mostly still runs. */
static const char *container_of(struct kb_auditor *a, uint32_t process, uint64_t cgroup)
{
	const struct kb_process_info *info = kb_profile__process(a->session.profile, process);
	char name[KB_CONTAINER_NAME_MAX];
	uint32_t id;

	if (!reserve_process(a, process))
		return "";
	if (a->container_of_process[process])
		return kb_strpool__at(a->names, a->container_of_process[process] - 1);
	kb_container__of_pid(info->pid, name, sizeof(name));
	if (!*name)
		snprintf(name, sizeof(name), "%s", known_name(a, cgroup));
	id = kb_strpool__add(a->names, name, strlen(name));
	if (id == KB_STRPOOL_NONE)
		return "";
	if (*name)
		remember(a, cgroup, id);
	a->container_of_process[process] = id + 1;
	return kb_strpool__at(a->names, id);
}

/* ---------------------------------------------------------------- events */

static void report(struct kb_auditor *a, const struct kb_data_audit *record, size_t size)
{
	struct kb_session *s = &a->session;
	uint32_t process = kb_ingest__process(s->ingest, record->proc);
	uint32_t thread = kb_ingest__thread(s->ingest, record->proc, record->tid);
	struct kb_audit_event event = { .size = sizeof(event),
					.tid = (int32_t)record->tid,
					.thread = "",
					.node = KB_ID_NONE,
					.profile = s->profile };

	if (process == KB_ID_NONE || !kb_audit_decoder__decode(a->decoder, record, size, &event))
		return;
	a->received++;
	event.time_unix_ns = (int64_t)record->time + a->unix_offset_ns;
	event.process = kb_profile__process(s->profile, process);
	event.container = container_of(a, process, record->cgroup);
	if (thread != KB_ID_NONE)
		event.thread = kb_profile__thread(s->profile, thread)->name;
	if (record->flags & KB_AUDIT_RECORD_STACK) {
		event.node =
			kb_ingest__stack(s->ingest, record->generation, record->hash, record->proc);
		if (event.node == KB_ID_NONE)
			kb_profile__ledger_add(s->profile, KB_L_AUDIT_NO_STACK, 1);
	}
	a->fn(&event, a->context);
}

static void on_record(const void *record, size_t size, void *context)
{
	const struct kb_data_audit *audit = record;

	if (size >= sizeof(*audit) && audit->kind == KB_DATA_AUDIT)
		report(context, audit, size);
}

/* ---------------------------------------------------------------- probes */

static struct kb_error *find_points(const char *path, const struct kb_image_info *info,
				    struct kb_audit_points *points, struct kb_audit_layout *layout)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct kb_elf_file *elf = NULL;
	struct kb_error *err;

	if (fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot read %s", path);
	err = kb_elf_file__open(fd, &elf);
	if (!err && !elf)
		err = kb_failed("%s has changed", path);
	if (!err)
		err = kb_audit_points__find(elf, info, points);
	if (!err)
		kb_audit_points__layout(elf, info, layout);
	kb_elf_file__close(elf);
	close(fd);
	return err;
}

static struct kb_error *on_image(uint32_t image, const struct kb_image_info *info, const char *path,
				 void *context)
{
	struct kb_audit_probes probes = {};
	struct kb_auditor *a = context;
	const struct kb_target *target = a->session.target;
	struct kb_audit_layout layout;
	struct kb_audit_points points;
	pid_t only = target->filter == KB_FILTER_PIDS && target->pids.n == 1 && !target->children
			     ? target->pids.ids[0]
			     : 0;

	KB_TRY(find_points(path, info, &points, &layout));
	if (points.no_sys)
		kb_warn("%s: sys.audit was not found: what programs raise by it, and "
			"subprocess.Popen, is not seen",
			path);
	if (points.no_tstate)
		kb_warn("%s: _PySys_Audit was not found: import, sys._getframe and some others "
			"are not seen",
			path);
	for (uint32_t i = 0; i < points.n; i++) {
		probes.offsets[i] = points.at[i].offset;
		probes.semaphores[i] = points.at[i].semaphore_offset;
		probes.cookies[i] = KB_AUDIT_COOKIE(image, points.at[i].kind, points.at[i].detail);
		kb_debug("%s: audit point of kind %d at 0x%" PRIx64, path, points.at[i].kind,
			 points.at[i].address);
	}
	probes.n = points.n;
	return kb_audit_programs__add_image(a->session.programs, image, &layout, path, &probes,
					    only);
}

/* ---------------------------------------------------------------- session */

static struct kb_error *check(struct kb_auditor *a)
{
	if (a->opts.drain_ms > DRAIN_MS_MAX)
		return kb_usage("drain interval %u ms is too long: at most %d", a->opts.drain_ms,
				DRAIN_MS_MAX);
	if (!a->opts.drain_ms)
		a->opts.drain_ms = DRAIN_MS;
	if (!a->fn && !a->opts.summary)
		return kb_usage("events without a function that takes them");
	return kb_audit_rules__make(&a->opts, &a->rules);
}

static struct kb_error *create(struct kb_auditor *a, const struct kb_target *target)
{
	struct kb_audit_config audit = { .n_rules = 0 };
	struct kb_programs_opts programs = {
		.runs = KB_RUN_AUDIT, .data_bytes = DATA_BYTES, .counts_max = 1, .audit = &audit
	};
	struct kb_session_opts session = {
		.target = target, .programs = &programs, .collector = &collector, .context = a
	};

	KB_TRY(check(a));
	a->nodes_many = NODES_MANY;
	a->names = kb_strpool__create(CONTAINER_BYTES, CONTAINERS_MAX + 1);
	a->decoder = kb_audit_decoder__create();
	if (!a->names || !a->decoder)
		return kb_error__no_memory();
	audit.n_rules = a->rules.n;
	audit.others = a->rules.others;
	audit.max_rate = a->opts.max_rate;
	audit.summary = a->opts.summary;
	audit.stack = a->opts.stack;
	kb_session__filter(target, &programs.config);
	programs.config.ring_high = DATA_BYTES / 4;
	session.drain_ms = a->opts.drain_ms;
	KB_TRY(kb_session__open(&a->session, &session));
	kb_identifier__on_image(a->session.identifier, on_image, a);
	return kb_audit_programs__set_rules(a->session.programs, a->rules.rules, a->rules.n);
}

struct kb_error *kb_auditor__create(const struct kb_target *target,
				    const struct kb_audit_opts *opts, kb_audit_fn fn, void *context,
				    struct kb_auditor **result)
{
	struct kb_auditor *a = calloc(1, sizeof(*a));
	struct kb_error *err;

	if (!a)
		return kb_error__no_memory();
	kb_session__init(&a->session);
	a->fn = fn;
	a->context = context;
	err = KB_COPY_OPTIONS(&a->opts, opts);
	if (!err)
		err = create(a, target);
	if (err)
		kb_auditor__destroy(a);
	else
		*result = a;
	return err;
}

void kb_auditor__destroy(struct kb_auditor *a)
{
	if (!a)
		return;
	kb_session__close(&a->session);
	kb_audit_decoder__destroy(a->decoder);
	kb_strpool__destroy(a->names);
	free(a->container_of_process);
	free(a->counts);
	free(a);
}

/* Anew each time: the clocks are set apart as time goes by. */
static void compare_clocks(struct kb_auditor *a)
{
	a->unix_offset_ns = (int64_t)(kb_now(CLOCK_REALTIME) - kb_now(CLOCK_MONOTONIC));
}

static struct kb_error *drained(void *context)
{
	struct kb_auditor *a = context;
	const struct kb_profile *profile = a->session.profile;

	compare_clocks(a);
	if (kb_profile__n_nodes(profile) >= a->nodes_many &&
	    kb_ingest__forget_stacks(a->session.ingest) &&
	    kb_profile__n_nodes(profile) * 2 > NODES_MANY)
		a->nodes_many = kb_profile__n_nodes(profile) * 2;
	return NULL;
}

static const struct kb_collector collector = { .record = on_record, .drained = drained };

struct kb_error *kb_auditor__start(struct kb_auditor *a)
{
	compare_clocks(a);
	return kb_session__start(&a->session);
}

struct kb_error *kb_auditor__poll(struct kb_auditor *a, int timeout_ms, bool *done)
{
	return kb_session__poll(&a->session, timeout_ms, done);
}

/*
 * The kernel counts the events that it sees and, apart from that, what becomes of each, and what it
 * has sent arrives here. A difference is a defect of ours that nobody should have to guess.
 */
static void check_ledger(const struct kb_auditor *a)
{
	const struct kb_profile *profile = a->session.profile;
	uint64_t seen = a->session.ledger[KB_L_COUNT] +
			kb_profile__ledger_get(profile, KB_L_NOT_IDENTIFIED);
	uint64_t accounted = kb_profile__attempted(profile);
	uint64_t sent = kb_profile__ledger_get(profile, KB_L_GOOD);

	if (seen != accounted)
		kb_warn("the ledger does not add up: %" PRIu64 " events seen, %" PRIu64
			" accounted for",
			seen, accounted);
	if (!a->opts.summary && sent != a->received)
		kb_warn("the ledger does not add up: %" PRIu64 " events sent, %" PRIu64 " received",
			sent, a->received);
}

struct kb_error *kb_auditor__stop(struct kb_auditor *a)
{
	if (!a->session.running)
		return NULL;
	a->session.running = false;
	kb_audit_programs__detach(a->session.programs);
	KB_TRY(kb_session__finish(&a->session));
	check_ledger(a);
	return a->opts.summary ? kb_auditor__take_counts(a) : NULL;
}

const struct kb_profile *kb_auditor__profile(const struct kb_auditor *a)
{
	return a->session.profile;
}

pid_t kb_auditor__command_pid(const struct kb_auditor *a)
{
	return a->session.launch.pid;
}

int kb_auditor__command_status(const struct kb_auditor *a)
{
	return a->session.launch.status;
}

/* ---------------------------------------------------------------- summaries */

static void add_count(const struct kb_audit_tally_key *key, const struct kb_audit_tally *tally,
		      void *context)
{
	struct kb_auditor *a = context;
	uint32_t process = kb_ingest__process(a->session.ingest, key->proc);
	struct count *counts = kb_array__grow(a->counts, &a->counts_capacity, a->n_counts + 1,
					      sizeof(*counts), COUNTS_MAX),
		     *count;

	if (!counts || process == KB_ID_NONE)
		return;
	a->counts = counts;
	count = &counts[a->n_counts++];
	kb_audit__to_utf8(key->name, strnlen(key->name, sizeof(key->name)), key->name_kind & 7,
			  count->name, sizeof(count->name));
	count->process = process;
	count->container = container_of(a, process, tally->cgroup);
	count->n = tally->n;
}

static int compare_counts(const void *x, const void *y)
{
	const struct count *a = x, *b = y;

	if (a->n != b->n)
		return a->n < b->n ? 1 : -1;
	if (a->process != b->process)
		return a->process < b->process ? -1 : 1;
	return strcmp(a->name, b->name);
}

struct kb_error *kb_auditor__take_counts(struct kb_auditor *a)
{
	a->n_counts = 0;
	KB_TRY(kb_audit_programs__each_tally(a->session.programs, add_count, a));
	if (a->n_counts)
		qsort(a->counts, a->n_counts, sizeof(*a->counts), compare_counts);
	return NULL;
}

size_t kb_auditor__n_counts(const struct kb_auditor *a)
{
	return a->n_counts;
}

struct kb_audit_count kb_auditor__count(const struct kb_auditor *a, size_t index)
{
	const struct count *count = &a->counts[index];

	return (struct kb_audit_count){ .name = count->name,
					.process = kb_profile__process(a->session.profile,
								       count->process),
					.container = count->container,
					.count = count->n };
}
