/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_CENSUS_H
#define KEELBACK_CENSUS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What is in the heap of running processes now: objects by type, the blocks of Python's allocator
 * by size, the largest objects, and what all that makes of the process's memory. There is no probe,
 * and nobody is stopped: memory is copied in bulk and each piece checked. In a process that sleeps
 * the counts are exact; in one that runs each pool (4 or 16 kB) is of one instant, and all of them
 * of the time that reading took.
 *
 * Objects are those that Python code can reach and others: what was freed but is kept for reuse
 * counts as `kept`. Static objects (None, small integers, the built-in types) are not in the heap.
 * Objects of more than 512 bytes are found through what points to them; one that only memory of C
 * code points to, which is not the C library's heap, may be missing.
 *
 * Needs CAP_SYS_PTRACE for other users' processes, and nothing for one's own where the kernel
 * (Yama) allows it.
 */
struct kb_census_opts {
	size_t size;
	unsigned largest; /* how many of the largest objects are listed; 0: 20, at most 1,000 */
};

struct kb_census;

/*
 * Takes it. Processes of the target that are no Python, or cannot be read, are in the result with
 * the reason when they were named by PID; the others are left out. KB_STATUS_UNSUPPORTED: none
 * could be read; so end free-threaded builds, whose objects lie in mimalloc's pages. A target with
 * a command is refused.
 */
KB_API struct kb_error *kb_census__take(const struct kb_target *target,
					const struct kb_census_opts *opts,
					struct kb_census **census);
KB_API void kb_census__destroy(struct kb_census *census);

/* Bytes, but for what begins with n_. */
struct kb_census_memory {
	/* pymalloc: arena_bytes is the sum of the eight behind it. */
	uint64_t n_arenas, n_pools, arena_bytes;
	uint64_t object_bytes; /* blocks that are objects */
	uint64_t table_bytes;  /* blocks that belong to objects: items, keys, values */
	uint64_t other_bytes;  /* other blocks in use: code's instructions, buffers, kept objects */
	uint64_t free_bytes;   /* free blocks in pools that are in use: fragmentation */
	uint64_t empty_bytes;  /* pools that are in use by nobody */
	uint64_t header_bytes, waste_bytes; /* of pools in use; waste is less than a block each */
	uint64_t alignment_bytes;	    /* of arenas */
	/* Beyond 512 bytes: the C library's. */
	uint64_t n_large, large_bytes;		    /* objects */
	uint64_t n_large_tables, large_table_bytes; /* items, keys and data of objects */
	/* What the kernel says of the process. */
	uint64_t rss, rss_anonymous, swap;
};

/* Strings are UTF-8 and belong to the census. */
struct kb_census_process {
	pid_t pid;
	pid_t ns_pid;		 /* in its own PID namespace */
	const char *python;	 /* "3.12.1", or "" */
	const char *command;	 /* command line */
	const char *error;	 /* why it could not be read, or "" */
	uint64_t start_ns;	 /* when the process started, since boot */
	uint64_t at_ns;		 /* CLOCK_MONOTONIC when reading began */
	uint64_t took_ns;	 /* reading */
	uint64_t read_bytes;	 /* that were copied */
	uint64_t objects, bytes; /* of all types */
	uint64_t tracked;	 /* objects that the garbage collector knows */
	struct kb_census_memory memory;
	size_t n_types, n_classes, n_largest, n_ledger;
};
KB_API size_t kb_census__n_processes(const struct kb_census *census);
KB_API const struct kb_census_process *kb_census__process(const struct kb_census *census,
							  size_t process);

/* Descending by bytes. Types of one name are one. */
struct kb_census_type {
	const char *name; /* "dict"; classes with their module: "app.Point" */
	uint64_t objects;
	uint64_t bytes; /* as sys.getsizeof() says, so with the items of lists, keys of dicts … */
	uint64_t kept;	/* freed and kept for reuse (free lists); not among objects */
};
KB_API const struct kb_census_type *kb_census__type(const struct kb_census *census, size_t process,
						    size_t type);

/* A size of pymalloc's blocks, ascending. */
struct kb_census_class {
	uint32_t block_bytes;
	uint64_t pools;
	uint64_t objects, tables, others, free; /* blocks */
	uint64_t kept;				/* of the others */
};
KB_API const struct kb_census_class *kb_census__class(const struct kb_census *census,
						      size_t process, size_t index);

/* The largest objects, descending. */
struct kb_census_object {
	const char *type;
	uint64_t address;
	uint64_t length; /* len(), where the type has one */
	uint64_t bytes;	 /* as sys.getsizeof() says */
};
KB_API const struct kb_census_object *kb_census__largest(const struct kb_census *census,
							 size_t process, size_t index);

/* What was read and what was not. */
enum kb_census_ledger_class {
	KB_CENSUS_GOOD = 0, /* bytes of pools that were read and consistent */
	KB_CENSUS_FAILED =
		1, /* bytes of pools that are not in the census; these and the good ones are all */
	KB_CENSUS_NOTE = 2, /* counts something beside the pools */
};
struct kb_census_ledger {
	const char *name; /* stable, for machines */
	const char *text; /* for people */
	enum kb_census_ledger_class class_;
	uint64_t value;
};
KB_API const struct kb_census_ledger *kb_census__ledger(const struct kb_census *census,
							size_t process, size_t index);

/* Two censuses of one process, by type. */
struct kb_census_growth {
	const char *name; /* of one of the two, which must live as long */
	uint64_t objects_before, objects;
	uint64_t bytes_before, bytes;
};

/*
 * The types of the process with this PID that are in either census, descending by growth in bytes.
 * free() *rows. KB_STATUS_FAILED: it is not in both, or not the same process.
 */
KB_API struct kb_error *kb_census__compare(const struct kb_census *before,
					   const struct kb_census *after, pid_t pid,
					   struct kb_census_growth **rows, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
