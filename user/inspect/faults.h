/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_INSPECT_FAULTS_H
#define KB_INSPECT_FAULTS_H

#include "bpf/shared/faults.h"
#include "collect/code_decoder.h"
#include "collect/session.h"
#include "inspect/dump.h"
#include "inspect/faults_maps.h"
#include "keelback/faults.h"

/* A thread state of a process that died, as it came from the kernel. */
struct kb_death_thread {
	struct kb_data_fault_thread head;
	kb_u64 *words; /* head.n_words of them */
};

/*
 * A death while its records arrive. It has a table of code of its own, which is forgotten with it:
 * so a session that runs for ever keeps nothing.
 */
struct kb_death {
	uint32_t id; /* 0: a free place */
	uint64_t age;
	struct kb_data_fault record;
	struct kb_data_fault_stack *stack; /* NULL: none */
	struct kb_data_fault_task *tasks;
	uint32_t n_tasks, tasks_capacity;
	struct kb_death_thread *threads;
	uint32_t n_threads, threads_capacity;
	struct kb_profile *profile;
	struct kb_code_decoder *decoder;
};

/* A report, with what belongs to it. */
struct kb_fault_data {
	struct kb_fault info; /* first: the public half */
	struct kb_fault_native *native;
	struct kb_dump *dump; /* what info.stacks is; owned unless it was taken elsewhere */
};

struct kb_fault_native_tools;
struct kb_fault_watch;
struct kb_fault_holder;

#define KB_DEATHS_MAX 256 /* told of at the same time; the ring holds no more with C stacks */

struct kb_faults {
	struct kb_session session;
	struct kb_faults_opts opts;
	struct kb_death deaths[KB_DEATHS_MAX];
	uint64_t now;			      /* counts deaths: their age */
	struct kb_fault_native_tools *native; /* NULL: no C stacks */
	struct kb_fault_holder *holder;	      /* NULL: no values of what dies */
	struct kb_fault_watch *watch;	      /* NULL: only deaths */
	struct kb_notice *told;		      /* notices whose records are to be read */
	uint32_t n_told, told_capacity;
	uint64_t lost_events; /* of mappings, as far as the ledger has them */
};

/* ---- deaths.c: from records to deaths */

void kb_deaths__record(struct kb_faults *faults, const void *record, size_t size);
/* NULL: nothing of it has arrived. */
struct kb_death *kb_deaths__find(struct kb_faults *faults, uint32_t id);
void kb_death__clear(struct kb_death *death);

/* ---- faults_report.c */

/* Reports a death, as its notice tells that all is there. */
void kb_faults__report_death(struct kb_faults *faults, struct kb_death *death,
			     const struct kb_notice *notice);
/* One process's stacks that were taken from outside. info: what is known of why. */
void kb_faults__report_dump(struct kb_faults *faults, const struct kb_fault *info,
			    struct kb_dump *dump);

/* ---- faults_guess.c */

/* What ended the process, in faulthandler's words; why it may be, or "". */
const char *kb_fault__what(int signal);
void kb_fault__guess(const struct kb_data_fault *record, char *text, size_t size);

/* ---- faults_native.c: the C stack */

struct kb_error *kb_fault_native__create(struct kb_fault_native_tools **tools);
void kb_fault_native__destroy(struct kb_fault_native_tools *tools);
/* A Python process was found running, or started. */
void kb_fault_native__add(struct kb_fault_native_tools *tools, pid_t pid, bool ran_already);
/* Takes what the kernel tells of mappings. */
void kb_fault_native__update(struct kb_fault_native_tools *tools);
/* Mappings that the kernel had no room to tell of, so far. */
uint64_t kb_fault_native__lost(const struct kb_fault_native_tools *tools);
int kb_fault_native__fd(const struct kb_fault_native_tools *tools);
/* Fills the frames in and says why they end, if that is not the root; what is missing is counted.
 */
void kb_fault_native__walk(struct kb_fault_native_tools *tools, struct kb_faults *faults,
			   const struct kb_death *death, struct kb_fault_data *fault);

/* ---- faults_hold.c: values */

struct kb_error *kb_fault_holder__create(struct kb_faults *faults, struct kb_fault_holder **holder);
void kb_fault_holder__destroy(struct kb_fault_holder *holder);
/* A thread is held: reads what there is and lets it go. */
void kb_fault_holder__notice(struct kb_fault_holder *holder, const struct kb_notice *notice);
/* Adds what was read to the stacks of a death; false: nothing was. */
bool kb_fault_holder__merge(struct kb_fault_holder *holder, pid_t pid, pid_t tid,
			    struct kb_dump *dump);

/* ---- faults_watch.c: what runs on */

struct kb_error *kb_fault_watch__create(struct kb_faults *faults, struct kb_fault_watch **watch);
void kb_fault_watch__destroy(struct kb_fault_watch *watch);
void kb_fault_watch__add(struct kb_fault_watch *watch, pid_t pid, uint64_t start_ns);
/* A signal was sent to an observed process. */
void kb_fault_watch__signal(struct kb_fault_watch *watch, const struct kb_notice *notice);
/* Takes the dumps that are due; returns ms until the next, at most wait_ms. */
int kb_fault_watch__work(struct kb_fault_watch *watch, int wait_ms);

#endif
