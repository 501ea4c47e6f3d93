// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The user-space half of bpf/breakpoints.bpf.c.
 *
 * A function that is not there yet is looked for again, at intervals that grow: nothing tells when
 * a module is imported. Processes are found in the kernel's table. One that was forked while its
 * parent was watched has copies of the parent's breakpoints already; it is known by code objects at
 * the same addresses, which two programs that started apart do not have.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "collect/chosen.h"
#include "collect/chosen_plan.h"
#include "collect/cover.h"
#include "collect/jit.h"
#include "python/opcode.h"
#include "symbols/eval_probes.h"
#include "system/process.h"

#define PROCESSES_MAX 4096 /* as `procs` holds */
#define NEW_MS	      20   /* how often new processes are looked for: a look costs some 10 µs */
#define LOOK_FIRST_MS 5
#define LOOK_LAST_MS  500
#define FORGET_MS     10000 /* after its end: it may have forked others that are not known yet */

struct process {
	pid_t pid;
	uint32_t proc;
	uint64_t start_ns; /* since boot */
	uint64_t
		next_ns; /* when it is looked at, CLOCK_MONOTONIC; 0: all is found, or it is gone */
	unsigned delay_ms;
	uint64_t ended_ns;		   /* when that was seen, likewise; 0: it runs */
	uint32_t spare;			   /* places beyond one for each function */
	uint64_t addresses[KB_CHOSEN_MAX]; /* of its places */
	uint32_t n_addresses;
	struct {
		uint64_t code;	   /* 0: not found yet */
		uint64_t since_ns; /* CLOCK_BOOTTIME: watched from then on */
		bool refused;
	} functions[KB_CHOSEN_MAX];
};

/* What is counted under one number of the kernel. */
struct number {
	char *file, *function;
	int32_t line;
	uint32_t of; /* the chosen name */
};

struct kb_chosen {
	struct kb_session *session;
	struct kb_call_ingest *ingest;
	struct kb_breakpoints *breakpoints;
	struct {
		const char *text;
		struct kb_remote_name name;
		uint32_t function; /* in the statistics; KB_ID_NONE: not found yet */
		bool timed;
		const char *untimed;
		char reason[KB_SEARCH_REASON_MAX + 64]; /* what is there instead */
	} names[KB_CHOSEN_MAX];
	uint32_t n;
	struct number numbers[KB_CHOSEN_NUMBERS_MAX + 1]; /* from 1 */
	uint32_t n_numbers;
	struct process *processes;
	uint32_t n_processes, capacity;
	uint64_t next_new; /* CLOCK_MONOTONIC */
	bool timed, detached;
};

/* ---------------------------------------------------------------- create, destroy */

struct kb_error *kb_chosen__create(struct kb_session *session, struct kb_call_ingest *ingest,
				   const char *const *names, size_t n, bool timed,
				   struct kb_chosen **result)
{
	struct kb_chosen *chosen = calloc(1, sizeof(*chosen));
	struct kb_error *err;

	if (!chosen)
		return kb_error__no_memory();
	chosen->session = session;
	chosen->timed = timed;
	chosen->ingest = ingest;
	err = kb_breakpoints__create(session->programs, &chosen->breakpoints);
	for (size_t i = 0; i < n && !err; i++) {
		chosen->names[i].text = names[i];
		chosen->names[i].function = KB_ID_NONE;
		err = kb_remote_name__parse(names[i], &chosen->names[i].name);
		chosen->n++;
	}
	if (err) {
		kb_chosen__destroy(chosen);
		return err;
	}
	kb_debug("a breakpoint costs %llu ns beside its program",
		 (unsigned long long)kb_breakpoints__measure_trap(chosen->breakpoints));
	*result = chosen;
	return NULL;
}

void kb_chosen__destroy(struct kb_chosen *chosen)
{
	if (!chosen)
		return;
	for (uint32_t i = 0; i < chosen->n; i++)
		kb_remote_name__free(&chosen->names[i].name);
	for (uint32_t i = 1; i <= chosen->n_numbers; i++) {
		free(chosen->numbers[i].file);
		free(chosen->numbers[i].function);
	}
	kb_breakpoints__destroy(chosen->breakpoints);
	free(chosen->processes);
	free(chosen);
}

/* ---------------------------------------------------------------- images */

/* Where the interpreter's loop lies; without that every reader of an instruction counts. */
static struct kb_error *find_loop(const struct kb_image_info *info, const char *path,
				  struct kb_eval_probes *found)
{
	struct kb_elf_file *elf = NULL;
	struct kb_error *err;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return kb_failed("cannot open %s", path);
	err = kb_elf_file__open(fd, &elf);
	if (!err && elf)
		err = kb_eval_probes__find(elf, info, found);
	kb_elf_file__close(elf);
	close(fd);
	return err;
}

struct kb_error *kb_chosen__add_image(uint32_t image, const struct kb_image_info *info,
				      const char *path, void *context)
{
	int init_check = kb_opcode__number(info->layout.version_minor, "EXIT_INIT_CHECK");
	struct kb_chosen_image chosen = { .init_check = init_check > 0 ? init_check : 0 };
	struct kb_eval_probes found = {};
	struct kb_error *err;

	if (info->free_threaded)
		return kb_unsupported("functions cannot be watched: free-threaded builds run "
				      "copies of the bytecode: not supported yet");
	err = find_loop(info, path, &found);
	if (err) {
		kb_debug("%s: %s", path, kb_error__text(err));
		kb_error__destroy(err);
		found.n_ranges = 0;
	}
	for (uint32_t i = 0; i < found.n_ranges && i < KB_CHOSEN_RANGES_MAX; i++) {
		chosen.ranges[i].start = found.ranges[i].start;
		chosen.ranges[i].end = found.ranges[i].end;
		chosen.n_ranges++;
	}
	return kb_breakpoints__add_image(((struct kb_chosen *)context)->breakpoints, image,
					 &chosen);
}

/* ---------------------------------------------------------------- watching */

/* The number for what was found, the same in all processes. 0: no more. */
static uint32_t number_of(struct kb_chosen *chosen, uint32_t of, const struct kb_chosen_plan *plan)
{
	struct number *number;
	uint32_t function;

	for (uint32_t i = 1; i <= chosen->n_numbers; i++) {
		number = &chosen->numbers[i];
		if (number->of == of && number->line == plan->line &&
		    !strcmp(number->file, plan->file) && !strcmp(number->function, plan->function))
			return i;
	}
	if (chosen->n_numbers == KB_CHOSEN_NUMBERS_MAX)
		return 0;
	number = &chosen->numbers[chosen->n_numbers + 1];
	number->file = strdup(plan->file);
	number->function = strdup(plan->function);
	number->line = plan->line;
	number->of = of;
	function = kb_call_ingest__name(chosen->ingest, chosen->n_numbers + 1, plan->file,
					plan->line, plan->function);
	if (!number->file || !number->function || function == KB_ID_NONE)
		return 0;
	if (chosen->names[of].function == KB_ID_NONE)
		chosen->names[of].function = function;
	return ++chosen->n_numbers;
}

/* What is opened on each thread of a process. */
struct opening {
	struct kb_chosen *chosen;
	const struct kb_chosen_plan *plan;
	bool shared[KB_CHOSEN_MAX]; /* another function has the place as well */
};

static struct kb_error *watch_thread(pid_t tid, void *context)
{
	const struct opening *opening = context;
	const struct kb_target *target = opening->chosen->session->target;
	bool processes = target->filter != KB_FILTER_PIDS || target->children || target->argv;

	if (target->tid && tid != target->tid)
		return NULL;
	for (uint32_t i = 0; i < opening->plan->n; i++)
		if (!opening->shared[i])
			KB_TRY(kb_breakpoints__watch(opening->chosen->breakpoints, tid,
						     opening->plan->places[i].address, processes));
	return NULL;
}

/* Has it copies of another process's breakpoints for the function? */
static bool has_copies(const struct kb_chosen *chosen, const struct process *process, uint32_t of,
		       uint64_t code)
{
	for (uint32_t i = 0; i < chosen->n_processes; i++) {
		const struct process *other = &chosen->processes[i];

		if (other != process && other->functions[of].code == code &&
		    !other->functions[of].refused &&
		    other->functions[of].since_ns < process->start_ns)
			return true;
	}
	return false;
}

static struct kb_error *watch(struct kb_chosen *chosen, struct process *process, uint32_t of,
			      const struct kb_chosen_plan *plan)
{
	struct opening opening = { .chosen = chosen, .plan = plan };
	uint32_t number = number_of(chosen, of, plan);
	struct kb_cover *cover;
	struct kb_error *err;

	if (!number)
		return kb_failed("more than %d different functions of the chosen names",
				 KB_CHOSEN_NUMBERS_MAX);
	for (uint32_t i = 0; i < plan->n; i++) {
		struct kb_chosen_place place = kb_chosen_plan__place(plan, i, number);

		KB_TRY(kb_breakpoints__add_place(chosen->breakpoints, process->pid,
						 plan->places[i].address, &place,
						 &opening.shared[i]));
		if (process->n_addresses < KB_CHOSEN_MAX)
			process->addresses[process->n_addresses++] = plan->places[i].address;
	}
	if (has_copies(chosen, process, of, plan->code))
		return NULL;
	KB_TRY(kb_cover__create(chosen->session->programs, watch_thread, &opening, &cover));
	err = kb_cover__process(cover, process->pid);
	kb_cover__destroy(cover);
	return err;
}

/* ---------------------------------------------------------------- looking */

static struct kb_error *look_for(struct kb_chosen *chosen, struct process *process,
				 struct kb_remote *remote, uint32_t of, bool late)
{
	char reason[KB_SEARCH_REASON_MAX];
	struct kb_remote_found found;
	struct kb_chosen_plan plan;
	struct kb_error *err;

	if (!kb_remote_search__find(remote, &chosen->names[of].name, &found, reason)) {
		snprintf(chosen->names[of].reason, sizeof(chosen->names[of].reason), "%s", reason);
		return NULL;
	}
	process->functions[of].code = found.code;
	if (!kb_chosen_plan__make(remote, &chosen->names[of].name, &found, process->spare,
				  chosen->timed, &plan, reason)) {
		process->functions[of].refused = true;
		snprintf(chosen->names[of].reason, sizeof(chosen->names[of].reason),
			 "it cannot be counted: %s", reason);
		return kb_unsupported("%s cannot be counted: %s", chosen->names[of].text, reason);
	}
	process->spare -= plan.n - 1;
	chosen->names[of].timed |= plan.timed;
	chosen->names[of].untimed = plan.untimed;
	err = watch(chosen, process, of, &plan);
	process->functions[of].since_ns = kb_now(CLOCK_BOOTTIME);
	if (!err && late)
		kb_profile__ledger_add(chosen->session->profile, KB_L_CHOSEN_LATE, 1);
	kb_debug("process %d: %s is watched at %u places%s%s", process->pid, chosen->names[of].text,
		 plan.n, plan.untimed ? ", without times: " : "", plan.untimed ? plan.untimed : "");
	kb_chosen_plan__free(&plan);
	return err;
}

/* Looks for what was not found yet. */
static struct kb_error *look(struct kb_chosen *chosen, struct process *process, bool late)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC);
	struct kb_error *err = NULL;
	struct kb_remote remote;
	bool complete = true;

	process->next_ns = 0;
	if (!kb_identifier__open(chosen->session->identifier, process->pid, process->start_ns,
				 &remote))
		return NULL;
	for (uint32_t i = 0; i < chosen->n && !err; i++) {
		if (!process->functions[i].code)
			err = look_for(chosen, process, &remote, i, late);
		complete &= process->functions[i].code != 0;
	}
	kb_remote__close(&remote);
	if (complete || err)
		return err;
	process->delay_ms = process->delay_ms ? process->delay_ms * 2 : LOOK_FIRST_MS;
	if (process->delay_ms > LOOK_LAST_MS)
		process->delay_ms = LOOK_LAST_MS;
	process->next_ns = now + process->delay_ms * KB_NS_PER_MS;
	return NULL;
}

static struct process *find_process(struct kb_chosen *chosen, uint32_t proc)
{
	for (uint32_t i = 0; i < chosen->n_processes; i++)
		if (chosen->processes[i].proc == proc)
			return &chosen->processes[i];
	return NULL;
}

static struct process *add_process(struct kb_chosen *chosen, pid_t pid, const struct kb_proc *proc)
{
	struct process *processes =
		kb_array__grow(chosen->processes, &chosen->capacity, chosen->n_processes + 1,
			       sizeof(*processes), PROCESSES_MAX);

	if (!processes)
		return NULL;
	chosen->processes = processes;
	processes[chosen->n_processes] = (struct process){ .pid = pid,
							   .proc = proc->id,
							   .start_ns = proc->start_time,
							   .spare = KB_CHOSEN_MAX - chosen->n };
	return &processes[chosen->n_processes++];
}

/* Those that the kernel has found to run an interpreter and that are not known here. */
static struct kb_error *look_at_new(struct kb_chosen *chosen, bool late)
{
	struct kb_programs *programs = chosen->session->programs;
	struct process *process;
	struct kb_proc proc;
	uint32_t tgid = 0;

	while (kb_programs__next_proc(programs, &tgid)) {
		if (!kb_programs__get_proc(programs, tgid, &proc) || proc.state != KB_PROC_PYTHON ||
		    find_process(chosen, proc.id))
			continue;
		process = add_process(chosen, tgid, &proc);
		if (!process)
			continue;
		kb_jit__note(chosen->session, proc.image, process->pid);
		KB_TRY(look(chosen, process, late));
	}
	return NULL;
}

/* Gives back what the kernel keeps for processes that have ended. */
static void forget_ended(struct kb_chosen *chosen, uint64_t now)
{
	struct kb_proc proc;

	for (uint32_t i = 0; i < chosen->n_processes; i++) {
		struct process *process = &chosen->processes[i];

		if (kb_programs__get_proc(chosen->session->programs, process->pid, &proc) &&
		    proc.id == process->proc)
			continue;
		if (!process->ended_ns)
			process->ended_ns = now;
		if (now - process->ended_ns < FORGET_MS * KB_NS_PER_MS)
			continue;
		for (uint32_t j = 0; j < process->n_addresses; j++)
			kb_breakpoints__remove_place(chosen->breakpoints, process->pid,
						     process->addresses[j]);
		*process = chosen->processes[--chosen->n_processes];
		i--;
	}
}

/* ---------------------------------------------------------------- from outside */

/* May processes come that are not there yet? */
static bool more_may_come(const struct kb_chosen *chosen)
{
	const struct kb_target *target = chosen->session->target;

	return target->argv || target->children || target->filter != KB_FILTER_PIDS;
}

static struct kb_error *not_found(const struct kb_chosen *chosen, uint32_t i)
{
	return kb_failed("%s was not found: %s", chosen->names[i].text,
			 *chosen->names[i].reason ? chosen->names[i].reason
						  : "no Python process was seen");
}

struct kb_error *kb_chosen__attach(struct kb_chosen *chosen, const struct kb_pids *pids)
{
	KB_TRY(look_at_new(chosen, false));
	chosen->next_new = kb_now(CLOCK_MONOTONIC) + NEW_MS * KB_NS_PER_MS;
	for (uint32_t i = 0; i < chosen->n && !more_may_come(chosen); i++)
		if (chosen->names[i].function == KB_ID_NONE)
			return not_found(chosen, i);
	return NULL;
}

static void warn(struct kb_error *err)
{
	if (err)
		kb_warn("%s", kb_error__text(err));
	kb_error__destroy(err);
}

int kb_chosen__work(struct kb_chosen *chosen, int wait_ms)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), next = UINT64_MAX;

	if (chosen->detached)
		return wait_ms;
	if (more_may_come(chosen)) {
		if (now >= chosen->next_new) {
			warn(look_at_new(chosen, true));
			forget_ended(chosen, now);
			chosen->next_new = now + NEW_MS * KB_NS_PER_MS;
		}
		next = chosen->next_new;
	}
	for (uint32_t i = 0; i < chosen->n_processes; i++) {
		struct process *process = &chosen->processes[i];

		if (process->next_ns && process->next_ns <= now)
			warn(look(chosen, process, true));
		if (process->next_ns && process->next_ns < next)
			next = process->next_ns;
	}
	return next == UINT64_MAX ? wait_ms : kb_ms_until(now, next, wait_ms);
}

void kb_chosen__detach(struct kb_chosen *chosen)
{
	chosen->detached = true;
	kb_breakpoints__remove(chosen->breakpoints);
}

const struct kb_call_edge *kb_chosen__edges(const struct kb_chosen *chosen, uint32_t *n)
{
	return kb_breakpoints__edges(chosen->breakpoints, n);
}

bool kb_chosen__timed(const struct kb_chosen *chosen)
{
	bool timed = false;

	for (uint32_t i = 0; i < chosen->n; i++)
		timed |= chosen->names[i].timed;
	return timed;
}

/* ---------------------------------------------------------------- latencies */

static struct kb_error *set_chosen(struct kb_chosen *chosen, uint32_t of)
{
	const struct kb_chosen_times *times = kb_breakpoints__times(chosen->breakpoints);
	uint64_t buckets[KB_CHOSEN_BUCKETS] = {};
	const char *remark = chosen->names[of].timed ? "" : chosen->names[of].untimed;
	struct kb_calls_chosen result = { .size = sizeof(result),
					  .name = chosen->names[of].text,
					  .function = chosen->names[of].function,
					  .n_buckets = KB_CHOSEN_BUCKETS,
					  .buckets = buckets };

	if (result.function == KB_ID_NONE)
		remark = chosen->names[of].reason;
	result.remark = remark ? remark : "";
	for (uint32_t i = 1; i <= chosen->n_numbers; i++) {
		if (chosen->numbers[i].of != of)
			continue;
		result.n += times[i].n;
		result.sum += (double)times[i].sum_ns / KB_NS_PER_SECOND;
		for (uint32_t j = 0; j < KB_CHOSEN_BUCKETS; j++)
			buckets[j] += times[i].buckets[j];
	}
	while (result.n_buckets && !buckets[result.n_buckets - 1])
		result.n_buckets--;
	return kb_calls__set_chosen(chosen->ingest->calls, of, &result);
}

struct kb_error *kb_chosen__finish(struct kb_chosen *chosen)
{
	static const struct kb_call_stats none;
	uint32_t n_found = 0;

	for (uint32_t i = 0; i < chosen->n; i++) {
		KB_TRY(set_chosen(chosen, i));
		if (chosen->names[i].function == KB_ID_NONE)
			continue;
		n_found++;
		/* It is listed, also without any calls. */
		if (!kb_calls__add_stats(chosen->ingest->calls, KB_ID_NONE,
					 chosen->names[i].function, &none))
			return kb_error__no_memory();
	}
	if (!n_found)
		return not_found(chosen, 0);
	for (uint32_t i = 0; i < chosen->n; i++)
		if (chosen->names[i].function == KB_ID_NONE)
			warn(not_found(chosen, i));
	return NULL;
}
