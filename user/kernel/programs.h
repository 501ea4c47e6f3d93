/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_PROGRAMS_H
#define KB_KERNEL_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "bpf/shared/audit.h"
#include "bpf/shared/calls.h"
#include "bpf/shared/chosen.h"
#include "bpf/shared/config.h"
#include "bpf/shared/events.h"
#include "bpf/shared/faults.h"
#include "bpf/shared/layout.h"
#include "bpf/shared/ledger.h"
#include "bpf/shared/memory.h"
#include "bpf/shared/process.h"
#include "bpf/shared/refs.h"
#include "bpf/shared/wait.h"
#include "keelback/error.h"
#include "kernel/native_maps.h"
#include "kernel/task_maps.h"

/*
 * The BPF side of a session: its programs and maps behind functions, so
 * that the collector knows neither libbpf nor the skeleton. Everything that is
 * attached lives in file descriptors of this process: when it ends, however it
 * ends, the kernel takes all of it away.
 */
struct kb_programs;

enum {
	KB_RUN_CLOCK = 1,	/* samples by a perf event */
	KB_RUN_TICK = 2,	/* samples at timer interrupts */
	KB_RUN_WAITS = 4,	/* kb_programs__attach_switch() */
	KB_RUN_CALLS = 8,	/* call_programs.h */
	KB_RUN_CALL_CLOCK = 16, /* likewise, clocked by time on a CPU */
	KB_RUN_FAULTS = 256,	/* processes that die: kernel/faults_programs.h */
	KB_RUN_HOLD = 512,	/* and are held before: likewise */
	KB_RUN_CHOSEN = 1024,	/* breakpoints.h */
	KB_RUN_MEMORY = 2048,	/* memory_programs.h */
	KB_RUN_AUDIT = 64,	/* audit_programs.h */
	KB_RUN_REFS = 4096,	/* ref_programs.h */
};

struct kb_programs_opts {
	struct kb_config config;
	uint32_t counts_max;		     /* entries in each table of counts */
	uint32_t data_bytes;		     /* size of the data ring, a power of two */
	uint32_t runs;			     /* KB_RUN_*: what is loaded */
	struct kb_fault_config faults;	     /* with KB_RUN_FAULTS */
	const struct kb_audit_config *audit; /* with KB_RUN_AUDIT */
	uint32_t blocks_max;	    /* with KB_RUN_MEMORY: live blocks, and stacks that allocate */
	uint32_t memory_stacks_max; /* with KB_RUN_REFS, too */
	uint32_t ref_objects_max;   /* with KB_RUN_REFS */
};

/* Opens, sizes, loads; KB_STATUS_UNSUPPORTED when the kernel or the capabilities do not allow it.
 */
struct kb_error *kb_programs__create(const struct kb_programs_opts *opts,
				     struct kb_programs **programs);
void kb_programs__destroy(struct kb_programs *programs);

/* Follows fork, exec and exit from here on. */
struct kb_error *kb_programs__attach_tracker(struct kb_programs *programs);
/* Tick mode's clock. Detaching takes a few milliseconds. */
struct kb_error *kb_programs__attach_tick(struct kb_programs *programs, bool attach);
/* For kb_clock: the program that takes a sample, or the empty one that benchmarks compare with. */
int kb_programs__clock_fd(const struct kb_programs *programs, bool empty);

/* Waits begin and end from here on, or no more. */
struct kb_error *kb_programs__attach_switch(struct kb_programs *programs, bool attach);

/*
 * Makes an image known. path names a file with the image's inode (may be in
 * /proc/PID/map_files); offsets are the file offsets of image->init[0 … n).
 */
struct kb_error *kb_programs__add_image(struct kb_programs *programs, const struct kb_image *image,
					const struct kb_layout *layout, const char *path,
					const uint64_t *offsets, uint32_t n);

/* A process id that is not in use on either side. */
uint32_t kb_programs__new_proc(struct kb_programs *programs);
/* Sets what is known of a process; what BPF found out itself in the meantime wins unless replace is
 * set. */
struct kb_error *kb_programs__set_proc(struct kb_programs *programs, pid_t tgid,
				       const struct kb_proc *proc, bool replace);
bool kb_programs__get_proc(struct kb_programs *programs, pid_t tgid, struct kb_proc *proc);

struct kb_error *kb_programs__follow(struct kb_programs *programs, pid_t tgid);
/*
 * Stops this process (SIGSTOP) each time that it executes a file that is not known yet, before the
 * first instruction; a notice tells of it, and who reads that sends SIGCONT. Only for a child of
 * ours: nobody else is told that it stops. How often it was stopped.
 */
void kb_programs__hold(struct kb_programs *programs, pid_t tgid);
uint32_t kb_programs__holds(const struct kb_programs *programs);
bool kb_programs__any_followed(struct kb_programs *programs);
/* Notes the threads that start, machine-wide: for the moments in which events are opened. */
void kb_programs__watch_births(struct kb_programs *programs, bool watch);
bool kb_programs__birth(struct kb_programs *programs, pid_t tid, struct kb_birth *birth);
/* Answers notices about this executable in the kernel from now on. */
void kb_programs__set_exe(struct kb_programs *programs, const struct kb_exe_key *exe,
			  enum kb_exe_state state);
/* Iterates over the thread groups that BPF knows; start with 0. False: no more. */
bool kb_programs__next_proc(struct kb_programs *programs, uint32_t *tgid);

typedef void (*kb_notice_fn)(const struct kb_notice *notice, void *context);
typedef void (*kb_record_fn)(const void *record, size_t size, void *context);
/* Handles waiting notices; waits up to timeout_ms for the first. False: a signal ended the wait. */
bool kb_programs__poll(struct kb_programs *programs, int timeout_ms, kb_notice_fn fn,
		       void *context);
/* Can be read when a notice waits; for poll(2) only. */
int kb_programs__fd(const struct kb_programs *programs);
/* Hands over all records that wait in the data ring. Returns their number. */
size_t kb_programs__read_data(struct kb_programs *programs, kb_record_fn fn, void *context);

typedef void (*kb_count_fn)(const struct kb_stack_key *key, uint64_t count, void *context);
/*
 * Ends the generation: BPF goes on in the other table, and when the last program
 * that may still write to the old one has ended, its counts are handed over and
 * cleared. Call kb_programs__read_data() between flip and drain: it has
 * every stack that the counts refer to.
 */
void kb_programs__flip(struct kb_programs *programs);
struct kb_error *kb_programs__drain(struct kb_programs *programs, kb_count_fn fn, void *context);

/* Until every program has ended that runs now: some milliseconds. */
void kb_programs__await_running(void);

typedef void (*kb_wait_sum_fn)(const struct kb_stack_key *key, const struct kb_wait_sum *sum,
			       void *context);
/* The same for waits: those that ended in the generation. */
struct kb_error *kb_programs__drain_waits(struct kb_programs *programs, kb_wait_sum_fn fn,
					  void *context);

/* Says since when a thread waits, unless BPF knows better; false when there is no room. */
bool kb_programs__set_waiting(struct kb_programs *programs, pid_t tid, const struct kb_wait *wait);
typedef void (*kb_waiting_fn)(uint32_t tid, const struct kb_wait *wait, void *context);
/*
 * All threads that BPF has seen waiting, those that run now included (since is 0). While BPF goes
 * on, one may be passed over or be half of the wait before: not one that began long ago.
 */
struct kb_error *kb_programs__each_waiting(struct kb_programs *programs, kb_waiting_fn fn,
					   void *context);
/* Forgets all of them. Only while nothing is attached. */
void kb_programs__clear_waiting(struct kb_programs *programs);

/* What the unwinder reads, with KB_WANT_NATIVE. Valid as long as the programs. */
void kb_programs__native_maps(const struct kb_programs *programs, struct kb_native_maps *maps);
/* What finds asyncio's tasks, with KB_WANT_TASKS. Likewise. */
void kb_programs__task_maps(const struct kb_programs *programs, struct kb_task_maps *maps);

/* Sums over all CPUs; one more entry than reasons, the attempts. */
struct kb_error *kb_programs__ledger(struct kb_programs *programs, uint64_t counts[KB_L_COUNT + 1]);
/* Runs of the sampling program and ns in them; 0 unless kernel.bpf_stats_enabled. */
void kb_programs__run_stats(const struct kb_programs *programs, uint64_t *runs, uint64_t *ns);

#endif
