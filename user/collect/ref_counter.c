// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A session that counts objects: what happens in the kernel is described in bpf/refs.bpf.c, where
 * objects are seen in python/ref_points.h. All figures are the kernel's, and are taken at the end;
 * names of classes are asked for while their processes live.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "collect/jit.h"
#include "collect/memory_snapshot.h"
#include "collect/ref_processes.h"
#include "collect/session.h"
#include "kernel/memory_programs.h"
#include "model/refs.h"
#include "python/remote_object.h"

#define DRAIN_MS      1000
#define DATA_BYTES    (8u << 20) /* as for allocations: stacks are new at about the same rate */
#define STACKS_MAX    (1u << 16) /* likewise */
#define EXEC_DELAY_MS 10	 /* likewise */
#define FRAMES_MAX    2048	 /* KB_FRAMES_MAX */

struct kb_ref_counter {
	struct kb_session session;
	struct kb_ref_counter_opts opts;
	struct kb_ref_processes *processes;
	struct kb_refs *refs;
	char **names; /* of types, by number, as far as they were asked for; NULL: as in BPF */
	uint32_t n_names, names_capacity;
	struct kb_error *failed; /* the first process that could not be observed */
	uint32_t traced;
};

/* ---------------------------------------------------------------- processes */

static void note(struct kb_ref_counter *c, struct kb_error *err)
{
	if (!err) {
		c->traced++;
		return;
	}
	if (!c->failed && !c->traced && !c->session.running) {
		c->failed = err;
		return;
	}
	kb_warn("%s", kb_error__text(err));
	kb_error__destroy(err);
}

/* It runs, or it began without us: its probes come now. */
static void on_process(pid_t pid, uint32_t proc, void *context)
{
	struct kb_ref_counter *c = context;
	struct kb_proc known;

	if (!kb_programs__get_proc(c->session.programs, pid, &known) || known.id != proc)
		return;
	note(c, kb_ref_processes__add(c->processes, pid, proc, known.image));
	kb_jit__note(&c->session, known.image, pid);
}

static void on_identified(pid_t pid, uint32_t proc, const struct kb_interpreter *interp,
			  void *context)
{
	on_process(pid, proc, context);
}

static void executed(pid_t pid, uint32_t image, void *context)
{
	struct kb_ref_counter *c = context;

	note(c, kb_ref_processes__add(c->processes, pid, KB_ID_NONE, image));
}

static struct kb_error *on_image(uint32_t image, const struct kb_image_info *info, const char *path,
				 void *context)
{
	struct kb_ref_counter *c = context;

	return kb_ref_processes__add_image(image, info, path, c->processes);
}

static struct kb_error *attach(struct kb_pids *pids, void *context)
{
	struct kb_ref_counter *c = context;

	if (c->session.launch.pid)
		note(c, kb_ref_processes__add_command(c->processes, c->session.launch.pid));
	/* Stacks are numbered as those of allocations. */
	kb_memory_programs__clear(c->session.programs);
	kb_ref_programs__count(c->session.programs, true);
	if (c->failed && (!c->traced || c->session.target->argv)) {
		struct kb_error *err = c->failed;

		c->failed = NULL;
		return err;
	}
	if (c->failed)
		kb_warn("%s", kb_error__text(c->failed));
	return NULL;
}

static void on_notice(const struct kb_notice *notice, void *context)
{
	struct kb_ref_counter *c = context;

	if (notice->kind == KB_NOTICE_PROCESS)
		c->session.drain_now = true;
}

/* ---------------------------------------------------------------- names of types */

/* The process that types are asked of. */
struct reader {
	struct kb_remote remote;
	uint32_t proc;
	bool open;
};

static bool open_reader(struct kb_ref_counter *c, struct reader *reader, uint32_t proc)
{
	const struct kb_ref_traced *traced;
	struct kb_interpreter interp;
	struct kb_error *err;

	if (reader->proc == proc)
		return reader->open;
	if (reader->open)
		kb_remote__close(&reader->remote);
	*reader = (struct reader){ .proc = proc };
	traced = kb_ref_processes__find(c->processes, proc);
	if (!traced || traced->ended ||
	    !kb_identifier__interpreter(c->session.identifier, traced->pid, &interp))
		return false;
	err = kb_remote__open(traced->pid, &interp, &reader->remote);
	reader->open = !err;
	kb_error__destroy(err);
	return reader->open;
}

/* As long as it is the type that was met. */
static char *read_name(struct kb_ref_counter *c, struct reader *reader, uint32_t number,
		       const struct kb_ref_type *type)
{
	struct kb_ref_type after;
	char *name;

	if (type->gone || !open_reader(c, reader, type->proc))
		return NULL;
	name = kb_remote_type__full_name(&reader->remote, type->address);
	if (name && (!kb_ref_programs__type(c->session.programs, number, &after) || after.gone)) {
		free(name);
		name = NULL;
	}
	return name;
}

/* Those that were met since the last time. */
static struct kb_error *read_names(void *context)
{
	struct kb_ref_counter *c = context;
	uint32_t n = kb_ref_programs__n_types(c->session.programs) + 1;
	struct reader reader = {};
	struct kb_ref_type type;
	char **names = kb_array__grow(c->names, &c->names_capacity, n, sizeof(*names), UINT32_MAX);

	if (!names)
		return kb_error__no_memory();
	c->names = names;
	for (; c->n_names < n; c->n_names++) {
		names[c->n_names] = NULL;
		if (c->n_names && kb_ref_programs__type(c->session.programs, c->n_names, &type) &&
		    type.proc)
			names[c->n_names] = read_name(c, &reader, c->n_names, &type);
	}
	if (reader.open)
		kb_remote__close(&reader.remote);
	kb_ref_processes__look(c->processes);
	return NULL;
}

static const struct kb_collector collector = {
	.attach = attach, .executed = executed, .notice = on_notice, .drained = read_names
};

/* ---------------------------------------------------------------- figures */

struct taking {
	struct kb_ref_counter *counter;
	uint32_t *types; /* in the result, by number; KB_ID_NONE: not yet */
	uint32_t n_types;
	struct kb_memory_stack *stacks; /* by number */
	uint32_t n_stacks;
	uint64_t counts[KB_L_COUNT]; /* what the ledger is to have */
	bool full;
};

static void take_process(uint32_t proc, const struct kb_ref_process *process, void *context)
{
	struct taking *t = context;
	struct kb_ref_counter *c = t->counter;
	const struct kb_ref_traced *traced = kb_ref_processes__find(c->processes, proc);
	struct kb_refs_process info = {
		.process = kb_ingest__process(c->session.ingest, proc),
		.created_only = c->opts.created_only,
		.created = process->created,
		.destroyed = process->destroyed,
		.before = process->before,
		.replaced = process->replaced,
		.lost = process->lost,
		.not_followed = process->not_alive,
		.without_type = process->unreadable,
		.without_stack = process->no_stack,
	};

	if (!traced || info.process == KB_ID_NONE)
		return;
	info.way = traced->way;
	if (traced->attached > c->session.started)
		info.attached_ns = traced->attached - c->session.started;
	t->counts[KB_L_REFS_LOST] += process->lost;
	t->counts[KB_L_REFS_UNTYPED] += process->unreadable;
	t->counts[KB_L_REFS_NOT_FOLLOWED] += process->not_alive;
	t->counts[KB_L_REFS_BEFORE] += process->before;
	t->counts[KB_L_REFS_MOVED] += process->replaced;
	t->full |= !kb_refs__add_process(c->refs, &info);
}

static void take_stack(uint32_t id, const struct kb_memory_stack *stack, void *context)
{
	struct taking *t = context;

	if (id < t->n_stacks)
		t->stacks[id] = *stack;
}

/* The type's index in the result. */
static uint32_t type_of(struct taking *t, const struct kb_ref_key *key, uint32_t process)
{
	struct kb_ref_counter *c = t->counter;
	const char *name = "<unknown type>";
	struct kb_ref_type type;
	bool known = key->type && key->type < t->n_types;

	if (known && t->types[key->type] != KB_ID_NONE)
		return t->types[key->type];
	if (known && key->type < c->n_names && c->names[key->type]) {
		name = c->names[key->type];
	} else if (known && kb_ref_programs__type(c->session.programs, key->type, &type)) {
		type.name[sizeof(type.name) - 1] = '\0';
		if (*type.name)
			name = type.name;
	}
	if (!known)
		return kb_refs__add_type(c->refs, process, name);
	return t->types[key->type] = kb_refs__add_type(c->refs, process, name);
}

static void take_count(const struct kb_ref_key *key, const struct kb_ref_count *count,
		       void *context)
{
	struct taking *t = context;
	struct kb_ref_counter *c = t->counter;
	uint32_t process = kb_ingest__process(c->session.ingest, key->proc);
	/* Number 0 has none. */
	static const struct kb_memory_stack none = { .key.hash = KB_L_STACKS_FULL };
	const struct kb_memory_stack *stack =
		key->stack && key->stack < t->n_stacks ? &t->stacks[key->stack] : &none;
	struct kb_refs_row row = { .created = count->created,
				   .destroyed = count->destroyed,
				   .alive = count->alive };
	unsigned reason;

	if (process == KB_ID_NONE || !kb_ref_processes__find(c->processes, key->proc))
		return;
	row.type = type_of(t, key, process);
	row.node = kb_memory_stack__node(&c->session, stack, &reason);
	t->counts[reason] += count->created + count->destroyed;
	t->full |= row.type == KB_ID_NONE || row.node == KB_ID_NONE ||
		   !kb_refs__add_row(c->refs, &row);
}

static void set_ledger(const struct taking *t)
{
	static const enum kb_ledger_reason ours[] = {
		KB_L_GOOD,
		KB_L_TRUNCATED,
		KB_L_NO_FRAME,
		KB_L_NOT_PYTHON_THREAD,
		KB_L_TSTATE_UNREADABLE,
		KB_L_FRAME_UNREADABLE,
		KB_L_STACKS_FULL,
		KB_L_LOST_STACK,
		KB_L_REFS_LOST,
		KB_L_REFS_UNTYPED,
		KB_L_REFS_NOT_FOLLOWED,
		KB_L_REFS_BEFORE,
		KB_L_REFS_MOVED,
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		kb_profile__ledger_set(t->counter->session.profile, ours[i], t->counts[ours[i]]);
}

static struct kb_error *take_tables(struct taking *t)
{
	struct kb_ref_counter *c = t->counter;
	struct kb_programs *programs = c->session.programs;

	t->n_types = kb_ref_programs__n_types(programs) + 1;
	t->n_stacks = STACKS_MAX;
	t->types = calloc(t->n_types, sizeof(*t->types));
	t->stacks = calloc(t->n_stacks, sizeof(*t->stacks));
	if (!t->types || !t->stacks)
		return kb_error__no_memory();
	memset(t->types, 0xff, t->n_types * sizeof(*t->types));
	kb_ref_programs__each_process(programs, take_process, t);
	KB_TRY(kb_memory_programs__each_stack(programs, take_stack, t));
	return kb_ref_programs__each_count(programs, take_count, t);
}

static struct kb_error *take(struct kb_ref_counter *c)
{
	struct taking t = { .counter = c };
	struct kb_profile_meta meta;
	struct kb_error *err;

	KB_TRY(kb_refs__create(c->session.profile, c->opts.frames_max,
			       kb_now(CLOCK_MONOTONIC) - c->session.started, &c->refs));
	err = take_tables(&t);
	free(t.types);
	free(t.stacks);
	KB_TRY(err);
	set_ledger(&t);
	kb_session__meta(&c->session, &meta);
	KB_TRY(kb_profile__set_meta(c->session.profile, &meta));
	return t.full ? kb_failed("more types or stacks than can be shown") : NULL;
}

/* ---------------------------------------------------------------- the session */

static struct kb_error *complete(struct kb_ref_counter_opts *opts)
{
	if (opts->frames_max > FRAMES_MAX)
		return kb_usage("%u frames are too many: at most %d", opts->frames_max, FRAMES_MAX);
	if (!opts->objects_max)
		opts->objects_max = KB_REFS_OBJECTS_DEFAULT;
	if (opts->objects_max > KB_REFS_OBJECTS_MAX)
		return kb_usage("%u live objects are too many: at most %u", opts->objects_max,
				KB_REFS_OBJECTS_MAX);
	return NULL;
}

static struct kb_error *create(struct kb_ref_counter *c, const struct kb_target *target)
{
	struct kb_programs_opts programs = {
		.runs = KB_RUN_REFS,
		.data_bytes = DATA_BYTES,
		.counts_max = 1,
		.memory_stacks_max = STACKS_MAX,
		.ref_objects_max = c->opts.objects_max,
		.config = { .ring_high = DATA_BYTES / 4,
			    .frames_max = c->opts.frames_max,
			    .want = KB_WANT_PROCESSES },
	};
	struct kb_session_opts session = { .target = target,
					   .programs = &programs,
					   .collector = &collector,
					   .context = c,
					   .drain_ms = DRAIN_MS };

	kb_session__filter(target, &programs.config);
	KB_TRY(kb_session__open(&c->session, &session));
	KB_TRY(kb_ref_processes__create(c->session.programs, c->opts.created_only, &c->processes));
	kb_identifier__set_exec_delay(c->session.identifier, EXEC_DELAY_MS);
	kb_identifier__on_image(c->session.identifier, on_image, c);
	kb_identifier__on_identified(c->session.identifier, on_identified, c);
	kb_identifier__on_new_process(c->session.identifier, on_process, c);
	return NULL;
}

struct kb_error *kb_ref_counter__create(const struct kb_target *target,
					const struct kb_ref_counter_opts *opts,
					struct kb_ref_counter **result)
{
	struct kb_ref_counter *c = calloc(1, sizeof(*c));
	struct kb_error *err;

	if (!c)
		return kb_error__no_memory();
	kb_session__init(&c->session);
	err = KB_COPY_OPTIONS(&c->opts, opts);
	if (!err)
		err = complete(&c->opts);
	if (!err)
		err = create(c, target);
	if (err)
		kb_ref_counter__destroy(c);
	else
		*result = c;
	return err;
}

struct kb_error *kb_ref_counter__start(struct kb_ref_counter *c)
{
	return kb_session__start(&c->session);
}

struct kb_error *kb_ref_counter__poll(struct kb_ref_counter *c, int timeout_ms, bool *done)
{
	return kb_session__poll(&c->session, timeout_ms, done);
}

static void add_events(uint32_t proc, const struct kb_ref_process *process, void *context)
{
	*(uint64_t *)context += process->created + process->destroyed;
}

uint64_t kb_ref_counter__events(struct kb_ref_counter *c)
{
	uint64_t events = 0;

	kb_ref_programs__each_process(c->session.programs, add_events, &events);
	return events;
}

struct kb_error *kb_ref_counter__stop(struct kb_ref_counter *c)
{
	if (!c->session.running)
		return NULL;
	c->session.running = false;
	kb_ref_programs__count(c->session.programs, false);
	kb_ref_processes__detach(c->processes);
	KB_TRY(kb_session__finish(&c->session));
	return take(c);
}

const struct kb_refs *kb_ref_counter__refs(const struct kb_ref_counter *c)
{
	return c->refs;
}

pid_t kb_ref_counter__command_pid(const struct kb_ref_counter *c)
{
	return c->session.launch.pid;
}

int kb_ref_counter__command_status(const struct kb_ref_counter *c)
{
	return c->session.launch.status;
}

void kb_ref_counter__destroy(struct kb_ref_counter *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->n_names; i++)
		free(c->names[i]);
	free(c->names);
	kb_refs__destroy(c->refs);
	kb_ref_processes__destroy(c->processes);
	kb_error__destroy(c->failed);
	kb_session__close(&c->session);
	free(c);
}
