/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_DUMP_H
#define KEELBACK_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "keelback/error.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The stacks of all threads of running processes, now. Nobody is stopped and no
 * system call is interrupted: a thread that sleeps is read from outside and
 * counts when it slept all the time, one that runs tells its stack in its own context, from a
 * clock's interrupt. So each stack is one that the thread had, while those of two
 * threads may be some milliseconds apart.
 *
 * Needs root or the capabilities that kb_doctor names; sleeping threads of the caller's own
 * processes can be read without.
 */
#define KB_DUMP_FRAMES_DEFAULT 100 /* as faulthandler */

/* Which asyncio tasks are shown. */
enum kb_dump_async {
	KB_DUMP_NO_TASKS = 0,
	KB_DUMP_RUNNING_TASKS = 1, /* each event loop's current task */
	KB_DUMP_ALL_TASKS = 2,
};

struct kb_dump_opts {
	size_t size;
	bool locals;	 /* values of local variables, too */
	bool main_only;	 /* only each process's main thread */
	unsigned frames; /* of a thread at most, from the innermost one; 0: 100, UINT_MAX: all */
	unsigned timeout_ms; /* how long to try to catch a thread that runs; 0: 2,000 */
	/* How much of a value is written; 0: 3 containers deep, 10 items, 120 characters. */
	unsigned depth, items, characters;
	enum kb_dump_async async;
	bool opcodes; /* the instruction that the innermost Python frame is at */
	bool native;  /* native frames among Python's */
};

struct kb_dump;

/*
 * Takes it. Processes of the target that are no Python, or cannot be read, are in the
 * result with the reason when they were named by PID; the others are left out.
 * KB_STATUS_UNSUPPORTED: none could be read. A target with a command is refused.
 */
KB_API struct kb_error *kb_dump__take(const struct kb_target *target,
				      const struct kb_dump_opts *opts, struct kb_dump **dump);
KB_API void kb_dump__destroy(struct kb_dump *dump);

/* Strings are UTF-8 and belong to the dump. */
struct kb_dump_process {
	pid_t pid;
	pid_t ns_pid;	     /* in its own PID namespace */
	const char *python;  /* "3.12.1", or "" */
	const char *command; /* command line */
	const char *error;   /* why it could not be read, or "" */
	size_t n_threads;
	size_t n_tasks; /* asyncio's, when they were asked for */
};
KB_API size_t kb_dump__n_processes(const struct kb_dump *dump);
KB_API const struct kb_dump_process *kb_dump__process(const struct kb_dump *dump, size_t process);

enum kb_dump_how {
	KB_DUMP_ASLEEP = 0,  /* it slept while it was read */
	KB_DUMP_SAMPLED = 1, /* it ran, and was sampled */
	KB_DUMP_UNREAD = 2,  /* see error */
};

/* Those of the main interpreter first; the newest first within an interpreter, as faulthandler has
 * them. */
struct kb_dump_thread {
	pid_t tid;	     /* host, or 0 when it could not be told */
	uint64_t ident;	     /* threading.get_ident() */
	const char *name;    /* threading.Thread.name, or "" */
	const char *comm;    /* the kernel's name, or "" */
	int64_t interpreter; /* 0: the main one */
	bool holds_gil, collecting;
	enum kb_dump_how how;
	const char *error; /* why there are no frames, or "" */
	bool cut;	   /* there are more frames, towards the root */
	size_t n_frames;
};
KB_API const struct kb_dump_thread *kb_dump__thread(const struct kb_dump *dump, size_t process,
						    size_t thread);

enum kb_dump_frame_kind {
	KB_DUMP_PYTHON = 0,
	KB_DUMP_NATIVE = 1, /* file: the ELF file, or ""; name: the symbol; no line */
};

struct kb_dump_frame {
	enum kb_dump_frame_kind kind;
	const char *file;
	const char *name;     /* co_name, as tracebacks show it */
	const char *qualname; /* qualified name (3.11+), else the name */
	int32_t line;	      /* 0: none */
	const char *opcode;   /* name of its instruction, specialized where it is; "": not known */
	bool racy; /* its locals were read while the thread ran: they may be of different moments */
	size_t n_locals;
};
/* From the innermost on. */
KB_API const struct kb_dump_frame *kb_dump__frame(const struct kb_dump *dump, size_t process,
						  size_t thread, size_t frame);

enum kb_dump_local_kind {
	KB_DUMP_LOCAL = 0,
	KB_DUMP_CELL = 1, /* used by functions within */
	KB_DUMP_FREE = 2, /* of a function around */
};
struct kb_dump_local {
	const char *name;
	const char *value; /* as repr() would say it, bounded, on one line */
	enum kb_dump_local_kind kind;
};
/* Variables without a value are left out. */
KB_API const struct kb_dump_local *kb_dump__local(const struct kb_dump *dump, size_t process,
						  size_t thread, size_t frame, size_t local);

/* A task of asyncio that is not done. */
struct kb_dump_task {
	uint64_t address; /* of the Task object; unique in its process */
	const char *name; /* Task.get_name(), or "" (up to 3.7) */
	uint64_t thread;  /* threading.get_ident() of the thread that runs its event loop, or 0 */
	bool running;	  /* its loop's current task: where it is, its thread's stack says */
	bool racy;	  /* its thread ran while it was read */
	const char *waits_for; /* type of the future that it waits for, or "" */
	bool cut;	       /* there are more coroutines */
	size_t n_frames, n_awaited_by;
};
KB_API const struct kb_dump_task *kb_dump__task(const struct kb_dump *dump, size_t process,
						size_t task);
/* Its coroutines, from the innermost on. */
KB_API const struct kb_dump_frame *kb_dump__task_frame(const struct kb_dump *dump, size_t process,
						       size_t task, size_t frame);
KB_API const struct kb_dump_local *kb_dump__task_local(const struct kb_dump *dump, size_t process,
						       size_t task, size_t frame, size_t local);
/*
 * The task, by its number in the process, that waits for this one. Before 3.14 only what can be
 * told from its side is known: tasks that wait for a task or for a gather().
 */
KB_API size_t kb_dump__task_awaiter(const struct kb_dump *dump, size_t process, size_t task,
				    size_t awaiter);

/* As faulthandler writes it, with names of threads; several processes each with a line of their own
 * before. */
KB_API struct kb_error *kb_dump__write_text(const struct kb_dump *dump, FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
