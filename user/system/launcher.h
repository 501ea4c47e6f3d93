/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_LAUNCHER_H
#define KB_SYSTEM_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"

/*
 * A process that runs one command again and again and says what each run cost. It is forked while
 * this process is small, for a reason: the peak of memory that the kernel accounts to a command
 * begins with that of the process it was forked from (exec_mmap() in fs/exec.c, all kernels). And
 * it has its own children only, so that observing it and its children is observing the command.
 */
struct kb_launcher;

struct kb_launcher_opts {
	const char *command; /* for /bin/sh -c */
	const char *dir;     /* NULL: where this process is */
	bool show_output;    /* to stderr; else nowhere. Its input is empty */
};
struct kb_error *kb_launcher__create(const struct kb_launcher_opts *opts,
				     struct kb_launcher **launcher);
/* Ends it, and a command that still runs. NULL is allowed. */
void kb_launcher__destroy(struct kb_launcher *launcher);
pid_t kb_launcher__pid(const struct kb_launcher *launcher);

#define KB_LAUNCHED_UNKNOWN UINT64_MAX

/* Of a run, all its processes together: as wait4() has them, so those that it waited for itself,
 * and those that were left behind and have ended by its end. */
struct kb_launched_run {
	int status;	 /* as wait4() */
	uint64_t cpu_ns; /* user and system */
	uint64_t wall_ns;
	uint64_t voluntary, involuntary; /* context switches */
	uint64_t faults;		 /* minor and major */
	uint64_t rss;			 /* bytes, the peak of the largest process */
	uint64_t instructions, cycles;	 /* in user space; KB_LAUNCHED_UNKNOWN: there is no PMU */
	uint32_t left_behind;		 /* processes that ran on and were killed */
};

/* Starts the next run. */
struct kb_error *kb_launcher__run(struct kb_launcher *launcher);
/* Can be read when the run has ended. */
int kb_launcher__fd(const struct kb_launcher *launcher);
/* Waits for that. */
struct kb_error *kb_launcher__result(struct kb_launcher *launcher, struct kb_launched_run *run);
/* Kills the run that goes on, with what it has started; kb_launcher__result() follows. */
void kb_launcher__kill(struct kb_launcher *launcher);

/* For people: "exited with status 2", "was killed by signal 9 (Killed)". */
void kb_launcher__describe(int status, char *text, size_t size);

#endif
