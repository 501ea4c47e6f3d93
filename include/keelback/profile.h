/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_PROFILE_H
#define KEELBACK_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "keelback/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A sampling profile: processes, threads, a tree of stacks, sample counts and
 * the ledger. Built by a sampler or read from a recording, then only read.
 * Ids are dense and start at 0, so arrays can be indexed with them; strings
 * are UTF-8 and live as long as the profile.
 */
struct kb_profile;

#define KB_ID_NONE UINT32_MAX

enum kb_clock_kind {
	KB_CLOCK_CPU = 0,    /* perf's cpu-clock, while the thread is on a CPU */
	KB_CLOCK_CYCLES = 1, /* hardware cycles */
	KB_CLOCK_TICK = 2,   /* timer interrupts that happen anyway */
};

/* Which moments of a thread's life the profile is about. */
enum kb_sample_mode {
	KB_MODE_CPU = 0,       /* on a CPU */
	KB_MODE_WALL = 1,      /* on a CPU or waiting */
	KB_MODE_GIL = 2,       /* holding the GIL, on a CPU */
	KB_MODE_GIL_WAIT = 3,  /* waiting for the GIL */
	KB_MODE_EXCEPTION = 4, /* an exception being handled, on a CPU */
	KB_MODE_TASKS = 5,     /* asyncio's tasks, running or waiting; a sample is a task seen */
};

/* What the counts of a profile are. */
enum kb_unit {
	KB_UNIT_SAMPLES = 0, /* samples, 1 / rate_hz seconds each, of a thread or a task */
	KB_UNIT_NS = 1,	     /* nanoseconds */
	KB_UNIT_BYTES = 2,   /* of allocations, in profiles that are made of them to show stacks */
	KB_UNIT_BLOCKS = 3,
};

/* How and when the profile was taken. */
struct kb_profile_meta {
	size_t size;
	enum kb_clock_kind clock;
	double rate_hz;	       /* mean samples per second and running thread, or task */
	bool jitter;	       /* the period varied randomly around its mean */
	int64_t start_unix_ns; /* wall clock */
	uint64_t duration_ns;  /* of observation */
	const char *target;    /* as kb_target__describe() */
	const char *host;
	const char *kernel;
	const char *version; /* of the keelback that took it */
	bool incomplete;     /* the recording ends without its last section */
	enum kb_sample_mode mode;
	enum kb_unit unit;
};
KB_API const struct kb_profile_meta *kb_profile__meta(const struct kb_profile *profile);

/* The time that a count stands for, whatever its unit; 0 when the rate is not known. */
KB_API double kb_profile__seconds(const struct kb_profile *profile, uint64_t count);
/* "cpu", "wall", "gil", "gil-wait", "exception", "tasks"; NULL past the last. */
KB_API const char *kb_sample_mode__name(enum kb_sample_mode mode);

struct kb_process_info {
	size_t size;
	int32_t pid;	   /* host */
	int32_t ns_pid;	   /* in its own PID namespace */
	int32_t parent;	   /* host PID of the parent, or 0 */
	uint64_t start_ns; /* since boot; with pid unique on a machine */
	uint64_t cgroup;   /* cgroup v2 id, or 0 */
	const char *comm;
	const char *command; /* command line, may be "" when the process ended too soon */
	const char *python;  /* such as "3.12.1" */
};
KB_API uint32_t kb_profile__n_processes(const struct kb_profile *profile);
KB_API const struct kb_process_info *kb_profile__process(const struct kb_profile *profile,
							 uint32_t id);

struct kb_thread_info {
	size_t size;
	uint32_t process;
	int32_t tid;		 /* host */
	int32_t ns_tid;		 /* or 0 when unknown */
	const char *name;	 /* the kernel's comm, may be "" */
	const char *python_name; /* threading.Thread.name, may be "" */
};
KB_API uint32_t kb_profile__n_threads(const struct kb_profile *profile);
KB_API const struct kb_thread_info *kb_profile__thread(const struct kb_profile *profile,
						       uint32_t id);

enum kb_frame_kind {
	KB_FRAME_PYTHON = 0,
	KB_FRAME_MARKER =
		1, /* "<truncated>", "<unknown>" and the like: a name without file and line */
	KB_FRAME_NATIVE = 2,
	KB_FRAME_KERNEL = 3,
};

/* A function: all code objects with the same file, name and first line are one. */
struct kb_function_info {
	size_t size;
	enum kb_frame_kind kind;
	const char *file; /* "" for markers */
	const char *name; /* qualified name (3.11+), else the name */
	int32_t first_line;
};
KB_API uint32_t kb_profile__n_functions(const struct kb_profile *profile);
KB_API const struct kb_function_info *kb_profile__function(const struct kb_profile *profile,
							   uint32_t id);

/* A place in a function. */
struct kb_frame_info {
	size_t size;
	uint32_t function;
	int32_t line;	    /* 0: none known */
	const char *opcode; /* name of the instruction, specialized where it is; "": not recorded */
};
/*
 * The instruction that a specialized or instrumented one stands for, such as "LOAD_ATTR" for
 * "LOAD_ATTR_SLOT": the same in all versions of Python. Any other name is returned as it is.
 */
KB_API const char *kb_opcode__base_of(const char *name);
KB_API uint32_t kb_profile__n_frames(const struct kb_profile *profile);
KB_API const struct kb_frame_info *kb_profile__frame(const struct kb_profile *profile, uint32_t id);

/* Stack tree: a node is a frame called from its parent. Parents have smaller ids than their
 * children. */
struct kb_stack_node {
	uint32_t parent; /* KB_ID_NONE: the frame is a root */
	uint32_t frame;
};
KB_API uint32_t kb_profile__n_nodes(const struct kb_profile *profile);
KB_API const struct kb_stack_node *kb_profile__nodes(const struct kb_profile *profile);

struct kb_sample {
	uint32_t thread;
	uint32_t node; /* the leaf */
	uint64_t count;
};
KB_API uint32_t kb_profile__n_samples(const struct kb_profile *profile);
KB_API const struct kb_sample *kb_profile__samples(const struct kb_profile *profile);
/* Sum of the counts. */
KB_API uint64_t kb_profile__total(const struct kb_profile *profile);

#define KB_MOMENT_GIL	    1u /* the thread held the GIL */
#define KB_MOMENT_GC	    2u /* a garbage collection was running */
#define KB_MOMENT_EXCEPTION 4u /* an exception was being handled */
#define KB_MOMENT_OFF_CPU   8u /* the thread was waiting; time_ns is when it began to */

/*
 * The samples one by one, in the order in which they arrived, only when the
 * session was asked for a timeline. What did not fit is in the ledger, so sums
 * may be smaller than those of the samples above.
 */
struct kb_moment {
	uint64_t time_ns; /* since the start of observation */
	uint64_t count;	  /* in the profile's unit */
	uint32_t thread;
	uint32_t node;
	uint32_t flags; /* KB_MOMENT_* */
	uint32_t reserved;
};
KB_API uint32_t kb_profile__n_moments(const struct kb_profile *profile);
KB_API const struct kb_moment *kb_profile__moments(const struct kb_profile *profile);

/* The ledger: what became of every sample. See docs/ARCHITECTURE.md. */
struct kb_ledger_entry {
	const char *name; /* stable, for machines */
	const char *text; /* for people */
	uint64_t count;
	bool reported; /* these samples are in the profile */
	bool note;     /* counts something else than samples, not part of `attempted` */
};
KB_API size_t kb_profile__n_ledger(const struct kb_profile *profile);
KB_API struct kb_ledger_entry kb_profile__ledger(const struct kb_profile *profile, size_t index);
KB_API uint64_t kb_profile__attempted(const struct kb_profile *profile);

/*
 * Reads a recording. A recording that ends too soon is an error that names the
 * last whole section, unless partial is set: then what is whole is read and
 * meta.incomplete says so.
 */
KB_API struct kb_error *kb_profile__load(const char *path, bool partial,
					 struct kb_profile **profile);

/* Only for profiles from kb_profile__load() and kb_sampler__last(): a sampler's own profile is its
 * own. */
KB_API void kb_profile__destroy(struct kb_profile *profile);

#ifdef __cplusplus
}
#endif
#endif
