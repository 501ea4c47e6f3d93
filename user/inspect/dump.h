/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_INSPECT_DUMP_H
#define KB_INSPECT_DUMP_H

#include "base/strpool.h"
#include "keelback/dump.h"
#include "keelback/profile.h"
#include "python/remote_frames.h"
#include "python/remote_object.h"
#include "symbols/native_stack.h"

/* A dump while it is taken, and as it is kept. */

struct kb_dump_frame_data {
	struct kb_dump_frame info;
	struct kb_dump_local *locals; /* info.n_locals of them */
	uint32_t capacity;
	bool entry;  /* C code called the interpreter to run it */
	bool beyond; /* more than are shown: without a name */
};

/* A stack, innermost frame first. */
struct kb_dump_frames {
	struct kb_dump_frame_data *frames;
	uint32_t n, capacity;
	bool cut; /* there are more */
};

struct kb_dump_thread_data {
	struct kb_dump_thread info;
	struct kb_dump_frames stack;
	struct kb_native_place *native; /* its native stack, while it is put together; or NULL */
	uint32_t n_native;
	bool native_cut;
	struct kb_remote_thread remote;
	enum kb_remote_walk walk; /* what came of the last try */
	bool settled;
	bool gone; /* ended meanwhile: not part of the dump */
};

struct kb_dump_task_data {
	struct kb_dump_task info;
	struct kb_dump_frames stack;
	size_t *awaited_by; /* indices of tasks, info.n_awaited_by of them */
};

struct kb_dump_process_data {
	struct kb_dump_process info;
	struct kb_dump_thread_data *threads;
	uint32_t n_threads, capacity;
	struct kb_dump_task_data *tasks; /* info.n_tasks of them */
	struct kb_interpreter interp;
	struct kb_code_map *code; /* with native frames, else NULL */
	struct kb_remote remote;  /* open while the dump is taken */
	bool open;
};

struct kb_dump {
	struct kb_dump_opts opts;
	struct kb_strpool *strings;
	struct kb_dump_native *native; /* NULL: not wanted */
	uint64_t native_until; /* CLOCK_MONOTONIC: till then samples without all native frames are
				  left */
	struct kb_dump_process_data *processes;
	uint32_t n, capacity;
};

/* A string of the dump; a text that says so where there is no room for it. */
const char *kb_dump__string(struct kb_dump *dump, const char *text);

/* For stacks that come from elsewhere: an empty dump, and a process with room for so many threads.
 */
struct kb_error *kb_dump__create_empty(unsigned frames, struct kb_dump **dump);
struct kb_error *kb_dump__add_empty(struct kb_dump *dump, uint32_t threads);

/* What dump_process.c adds to a dump. *found false without an error: no Python process. */
struct kb_error *kb_dump__add_process(struct kb_dump *dump, struct kb_image_cache *images,
				      pid_t pid, pid_t tid, bool *found);
/* One that could not be read: its error is the caller's to set. */
struct kb_error *kb_dump__add_failed(struct kb_dump *dump, pid_t pid);
/* Tries to read the process's threads that are not settled, each once. Returns how many are left.
 */
uint32_t kb_dump__try_asleep(struct kb_dump *dump, struct kb_dump_process_data *process);

/* Catches those that run (dump_sample.c), until the time is up. */
struct kb_error *kb_dump__catch_running(struct kb_dump *dump);

/* The last part of a qualified name, as tracebacks show it. */
const char *kb_dump__bare_name(const char *qualname);
/* Makes the stack of a sample that of a thread. */
void kb_dump_thread__take_sample(struct kb_dump *dump, struct kb_dump_process_data *process,
				 struct kb_dump_thread_data *thread,
				 const struct kb_profile *profile, uint32_t node);

/* Native frames (dump_native.c). */
struct kb_error *kb_dump_native__create(struct kb_dump *dump);
void kb_dump_native__destroy(struct kb_dump_native *native);
void kb_dump_native__add_process(struct kb_dump *dump, struct kb_dump_process_data *process);
/* Reads the thread's native stack, while it sleeps; and puts it between its Python frames, later.
 */
void kb_dump_native__walk(struct kb_dump *dump, struct kb_dump_process_data *process,
			  struct kb_dump_thread_data *thread);
void kb_dump_native__merge(struct kb_dump *dump, struct kb_dump_process_data *process,
			   struct kb_dump_thread_data *thread);

/* asyncio's tasks (dump_tasks.c). */
struct kb_error *kb_dump__read_tasks(struct kb_dump *dump, struct kb_dump_process_data *process);
void kb_dump__free_tasks(struct kb_dump_process_data *process);
void kb_dump__write_tasks(const struct kb_dump_process_data *process, FILE *stream);

/* Frames and locals (dump_frames.c). */
void kb_dump_frames__clear(struct kb_dump_frames *stack);
void kb_dump_frames__free(struct kb_dump_frames *stack);
struct kb_dump_frame_data *kb_dump_frames__add(struct kb_dump_frames *stack);
/* From a walked stack, as far as the dump wants frames. */
void kb_dump_frames__fill(struct kb_dump *dump, struct kb_remote *remote,
			  const struct kb_remote_stack *from, struct kb_dump_frames *stack);
void kb_dump_frame__read_locals(struct kb_dump *dump, struct kb_remote *remote,
				const struct kb_remote_frame *from,
				struct kb_dump_frame_data *frame);
/* Drops the frames that are more than are shown. */
void kb_dump_frames__trim(struct kb_dump_frames *stack);
/* As faulthandler writes a frame, and its locals below it, behind `indent`. */
void kb_dump_frame__write(const struct kb_dump_frame_data *frame, const char *indent, FILE *stream);

#endif
