/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_THREADS_H
#define KB_PYTHON_REMOTE_THREADS_H

#include "python/remote.h"

/* More than a process can have (PID_MAX_LIMIT is 4 million, each thread has a stack); the rest is
 * not listed. */
#define KB_REMOTE_THREADS_MAX 65536

/* A thread state. A thread that works in several interpreters has one in each. */
struct kb_remote_thread {
	uint64_t tstate;   /* its address */
	uint64_t interp;   /* address of its interpreter's state */
	int64_t interp_id; /* 0: the main one */
	uint64_t ident;	   /* threading.get_ident(): what pthread_self() says */
	pid_t tid;	   /* the host's id of the thread, 0: ended, or not to be told */
	bool holds_gil; /* of its interpreter, at the time of reading; never in free-threaded builds
			 */
	bool collecting; /* holds it, and a garbage collection runs */
	char *name; /* threading.Thread.name, UTF-8; NULL: none, or kb_remote_threads__names() not
		       called */
};

struct kb_remote_threads {
	struct kb_remote_thread *threads;
	uint32_t n, capacity;
	bool cut; /* the list did not end, or was changed each time it was read */
};

/*
 * All interpreters' thread states, the main interpreter's first, and each interpreter's newest
 * thread first, as faulthandler lists them. KB_STATUS_FAILED: the process is gone.
 * kb_remote_threads__free() it.
 */
struct kb_error *kb_remote_threads__read(struct kb_remote *remote,
					 struct kb_remote_threads *threads);
/* Brings holds_gil and collecting up to date, with what remote->pages has. */
void kb_remote_threads__look_at_gil(struct kb_remote *remote, struct kb_remote_thread *thread);
/*
 * Fills in the names that Python's own threads have: threading._active of each interpreter. Threads
 * that were not started by threading, or whose entry was being changed, stay without one.
 */
void kb_remote_threads__names(struct kb_remote *remote, struct kb_remote_threads *threads);
void kb_remote_threads__free(struct kb_remote_threads *threads);

#endif
