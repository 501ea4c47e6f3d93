/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_FAULTS_H
#define KEELBACK_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "keelback/dump.h"
#include "keelback/error.h"
#include "keelback/profile.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What Python processes were doing when a signal ended them, with no handler installed in any. The
 * stacks are taken in the kernel, in the thread that dies, before anything of the process is
 * taken down: they are there however short the process lived, and it dies as it would have.
 *
 *     kb_faults__create → start → poll until *done → stop → destroy
 *
 * Not thread-safe. Needs root, or the capabilities that kb_doctor names; KB_STATUS_UNSUPPORTED says
 * what is missing. Memory is bounded for as long as a session runs.
 */

/* Sets of signals: bit N - 1 stands for signal N. */
#define KB_SIGNAL_BIT(number) (1ull << ((number)-1))

/* SIGSEGV, SIGFPE, SIGABRT, SIGBUS, SIGILL: what faulthandler.enable() handles. */
#define KB_FAULTS_DEFAULT_SIGNALS                                                                  \
	(KB_SIGNAL_BIT(11) | KB_SIGNAL_BIT(8) | KB_SIGNAL_BIT(6) | KB_SIGNAL_BIT(7) |              \
	 KB_SIGNAL_BIT(4))

enum kb_fault_kind {
	KB_FAULT_DEATH = 0,  /* a signal ended the process */
	KB_FAULT_SIGNAL = 1, /* a signal that is watched was sent to it */
	KB_FAULT_LATER = 2,  /* its time was over */
	KB_FAULT_HANG = 3,   /* a thread has not changed frames for so long */
};

/* What was found out of one event. Strings are UTF-8; all is valid until the call of report()
 * returns. */
struct kb_fault {
	size_t size;
	enum kb_fault_kind kind;
	pid_t pid, tid;	      /* host; tid: of the thread that died, or hangs, else 0 */
	pid_t ns_pid, ns_tid; /* in its own PID namespace */
	int64_t time_unix_ns;
	int signal;		 /* 0: none was involved */
	const char *signal_name; /* "SIGSEGV", or "" */
	const char *what; /* as faulthandler says it, "Segmentation fault"; or what was asked for */
	int code;	  /* si_code */
	bool has_address;
	uint64_t address;	 /* of the fault, si_addr */
	const char *access;	 /* "read", "write", "execute", or "" */
	const char *guess;	 /* why, such as "stack overflow", or "" */
	bool oom;		 /* the OOM killer ended it */
	pid_t sender;		 /* host PID of who sent the signal, or 0: nobody is known */
	const char *sender_name; /* comm, "kernel", or "" */
	const char *comm;	 /* of the thread */
	const char *command;	 /* command line */
	const char *python;	 /* "3.12.1" */
	const char *cgroup;	 /* path in the v2 hierarchy, or "" */
	const char *container;	 /* id, or "" */
	uint32_t left_out;	 /* threads that are not shown: more than can be */
	bool partial;		 /* something of it was lost; the ledger has the reason */
	bool held;		 /* the process was held while values were read */
	uint64_t kernel_ns;	 /* that the kernel took for the stacks */
	double seconds;		 /* KB_FAULT_LATER, KB_FAULT_HANG: the time that was over */
	size_t n_native;	 /* frames of the C stack of the thread that died */
	const char *native_end;	 /* why the C stack ends before its root, or "" */
	/* The threads and their frames, as of one process: kb_dump__thread(stacks, 0, …). The
	 * thread that died has holds_gil set, as faulthandler calls it the current one. */
	const struct kb_dump *stacks;
};

/* A frame of the C stack, innermost first. */
struct kb_fault_native {
	uint64_t address;
	const char *file; /* "" outside of files */
	const char *name; /* the symbol, or "" */
	uint64_t offset;  /* from the symbol, or from the file's first address */
};
KB_API const struct kb_fault_native *kb_fault__native(const struct kb_fault *fault, size_t index);

/* As faulthandler writes it, after a paragraph that says what faulthandler cannot know. */
KB_API struct kb_error *kb_fault__write_text(const struct kb_fault *fault, FILE *stream);
/* One JSON object on one line. */
KB_API struct kb_error *kb_fault__write_json(const struct kb_fault *fault, FILE *stream);

struct kb_faults_opts {
	size_t size;
	uint64_t signals;    /* that end a process; 0: KB_FAULTS_DEFAULT_SIGNALS */
	bool oom;	     /* SIGKILL too, if it is the OOM killer's */
	uint64_t registered; /* reported when they are sent, whatever the process does with them */
	unsigned frames;     /* of a thread at most, from the innermost one; 0: 100 */
	bool native;	     /* the C stack of the thread that dies */
	bool locals; /* values: a process that dies is held for them, KB_FAULTS_HOLD_MS at most */
	double later_s; /* stacks of each process that runs so long after it was seen; 0: not */
	bool repeat;	/* and again, whenever so much time is over */
	bool end_it;	/* and then it is killed */
	double hang_s; /* stacks of processes with a thread that has stood still for so long; 0: not
			*/
	void (*report)(const struct kb_fault *fault, void *context);
	void *context;
};
#define KB_FAULTS_HOLD_MS 500

struct kb_faults;

KB_API struct kb_error *kb_faults__create(const struct kb_target *target,
					  const struct kb_faults_opts *opts,
					  struct kb_faults **faults);
/* Attaches, and starts the target's command if it has one. */
KB_API struct kb_error *kb_faults__start(struct kb_faults *faults);
/*
 * Waits up to timeout_ms and calls report() for what has happened. *done: the command or every
 * observed process has ended. An interrupted wait returns early.
 */
KB_API struct kb_error *kb_faults__poll(struct kb_faults *faults, int timeout_ms, bool *done);
/* Takes what the kernel still has. */
KB_API struct kb_error *kb_faults__stop(struct kb_faults *faults);
KB_API void kb_faults__destroy(struct kb_faults *faults);

/* Reports of processes that died: seen = reported + lost by reason. What is no part of the sum is a
 * note. */
KB_API size_t kb_faults__n_ledger(const struct kb_faults *faults);
KB_API struct kb_ledger_entry kb_faults__ledger(const struct kb_faults *faults, size_t index);
KB_API uint64_t kb_faults__seen(const struct kb_faults *faults);

/* The command's PID, or 0; its wait status once it ended, else -1. */
KB_API pid_t kb_faults__command_pid(const struct kb_faults *faults);
KB_API int kb_faults__command_status(const struct kb_faults *faults);

/* "SEGV", "SIGSEGV" or "11"; 0: none. And back; "" for numbers without a name. */
KB_API int kb_signal__by_name(const char *text);
KB_API const char *kb_signal__name(int number);
/* Does its default action end a process? */
KB_API bool kb_signal__is_fatal(int number);

#ifdef __cplusplus
}
#endif
#endif
