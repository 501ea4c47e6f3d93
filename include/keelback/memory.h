/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_MEMORY_H
#define KEELBACK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "keelback/error.h"
#include "keelback/format.h"
#include "keelback/profile.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- what was allocated */

/*
 * What processes have allocated: a part of a profile, whose processes, stack nodes and ledger it
 * refers to. Sizes are bytes as they were asked for; times are ns since observation began.
 */
struct kb_memory;

/* How a process was observed. Only the first two see every block. */
enum kb_memory_way {
	KB_MEMORY_WAY_API = 0,	  /* the functions of Python's allocator */
	KB_MEMORY_WAY_LIBC = 1,	  /* malloc and its family, which Python uses for everything */
	KB_MEMORY_WAY_GROWTH = 2, /* new pools and arenas of pymalloc, and what goes to malloc: an
				     estimate of what the process grows by */
};
/* "exact (Python's allocator)" and so on. */
KB_API const char *kb_memory_way__text(enum kb_memory_way way);

enum kb_memory_domain {
	KB_MEMORY_RAW = 0, /* PyMem_RawMalloc() and so on */
	KB_MEMORY_MEM = 1,
	KB_MEMORY_OBJECT = 2,
	KB_MEMORY_LIBC = 3,
	KB_MEMORY_MMAP = 4, /* mappings that the process made itself */
	KB_MEMORY_POOL = 5,
	KB_MEMORY_ARENA = 6,
	KB_MEMORY_BY_NATIVE = 7, /* malloc, called by code that is not the interpreter's:
				    extensions and libraries */
	KB_MEMORY_DOMAINS,
};
/* "raw", "mem", "obj", "libc", "mmap", "pool", "arena", "native"; NULL past the last. */
KB_API const char *kb_memory_domain__name(enum kb_memory_domain domain);

/* Which sums a domain's blocks are in. */
enum kb_memory_group {
	KB_MEMORY_HEAP = 0,   /* what tracemalloc counts, or what stands for it */
	KB_MEMORY_MAPPED = 1, /* mmap and arena: what the heap lies in, and more */
	KB_MEMORY_NATIVE = 2, /* native: malloc beside Python's allocator */
	KB_MEMORY_GROUPS,
};
KB_API enum kb_memory_group kb_memory__group_of(enum kb_memory_way way,
						enum kb_memory_domain domain);

struct kb_memory_sum {
	uint64_t current, blocks;
	uint64_t peak, peak_blocks; /* since the last reset */
	uint64_t total, total_blocks;
};

struct kb_memory_process_info {
	uint32_t process; /* in the profile */
	enum kb_memory_way way;
	struct kb_memory_sum sums[KB_MEMORY_GROUPS];
	uint64_t frees;
	uint64_t frees_before;		  /* of blocks that were not followed: in no sum */
	uint64_t lost_blocks, lost_bytes; /* not in the sums: the table of live blocks was full */
	uint64_t unfinished;		  /* allocations whose end was not seen */
	uint64_t attached_ns;		  /* since when it was observed; before that it was not */
	uint64_t rss, rss_peak;		  /* bytes, as of the snapshot; 0 when it had ended */
	uint64_t minor_faults, major_faults; /* while observed */
};

/* What one stack has allocated in one domain. */
struct kb_memory_entry {
	uint32_t process;
	uint32_t node; /* the leaf */
	enum kb_memory_domain domain;
	uint64_t live_bytes, live_blocks;
	uint64_t peak_bytes, peak_blocks; /* alive when its group's sum was highest */
	uint64_t total_bytes, total_blocks;
};

/* Live blocks of one entry and size, of about the same age. */
struct kb_memory_blocks {
	uint32_t entry;
	uint64_t size, count;
	uint64_t oldest_ns, newest_ns; /* when they were allocated */
};

/* NULL: the profile is of something else. */
KB_API const struct kb_memory *kb_profile__memory(const struct kb_profile *profile);
KB_API uint32_t kb_memory__n_processes(const struct kb_memory *memory);
KB_API const struct kb_memory_process_info *kb_memory__process(const struct kb_memory *memory,
							       uint32_t index);
KB_API uint32_t kb_memory__n_entries(const struct kb_memory *memory);
KB_API const struct kb_memory_entry *kb_memory__entries(const struct kb_memory *memory);
KB_API uint32_t kb_memory__n_blocks(const struct kb_memory *memory);
KB_API const struct kb_memory_blocks *kb_memory__blocks(const struct kb_memory *memory);
/* Frames that stacks were cut to; 0: none were. */
KB_API unsigned kb_memory__frames_max(const struct kb_memory *memory);
/* When the figures were taken, ns since observation began. */
KB_API uint64_t kb_memory__taken_ns(const struct kb_memory *memory);

/* ---------------------------------------------------------------- views and formats */

enum kb_memory_value {
	KB_MEMORY_LIVE = 0,  /* allocated while observed, and not freed */
	KB_MEMORY_PEAK = 1,  /* what was alive when the sum was highest */
	KB_MEMORY_TOTAL = 2, /* allocated, freed or not */
};

enum kb_memory_grouping {
	KB_MEMORY_BY_LINE = 0, /* as tracemalloc's key_type: lineno, filename, traceback */
	KB_MEMORY_BY_FILE = 1,
	KB_MEMORY_BY_TRACEBACK = 2,
};

/* tracemalloc.Filter: a pattern of fnmatch(3) for file names. */
struct kb_memory_filter {
	bool inclusive;
	const char *pattern;
	int32_t line;	 /* 0: any */
	bool all_frames; /* any frame of the stack, not its leaf alone */
};

struct kb_memory_view_opts {
	size_t size;
	enum kb_memory_value value;
	enum kb_memory_grouping group;
	bool cumulative; /* by line or file: blocks count for each frame of their stack, once */
	bool blocks;	 /* order, and flame graphs, by the number of blocks instead of bytes */
	const struct kb_memory_filter *filters;
	size_t n_filters;
	uint32_t domains; /* 1 << enum kb_memory_domain; 0: all but mappings */
	bool leaks;	 /* live blocks with their ages, and what share of all allocated is alive */
	uint64_t age_ns; /* live: only blocks that are at least as old */
	unsigned limit;	 /* table: rows, 0: all */
	bool summary;	 /* table: sums and ledger after the rows */
	bool color;
	const char *title; /* HTML pages; NULL: the target */
};

/* Formats: the first is the default; those of keelback/format.h that show stacks are among them.
 * NULL past the end, or when there is none. */
KB_API const struct kb_format *kb_memory_format__at(size_t index);
KB_API const struct kb_format *kb_memory_format__by_name(const char *name);
KB_API const struct kb_format *kb_memory_format__by_path(const char *path);
/* The error that writing would have for these options. */
KB_API struct kb_error *kb_memory_format__check(const struct kb_format *format,
						const struct kb_memory_view_opts *opts);
/* KB_STATUS_USAGE when the profile is not of memory. opts may be NULL. */
KB_API struct kb_error *kb_memory_format__write(const struct kb_format *format,
						const struct kb_profile *profile,
						const struct kb_memory_view_opts *opts,
						FILE *stream);
/* What has changed between two, as Snapshot.compare_to() of tracemalloc. */
KB_API struct kb_error *kb_memory_comparison__write(const struct kb_profile *before,
						    const struct kb_profile *after,
						    const struct kb_memory_view_opts *opts,
						    FILE *stream);
/* An entry's stack, the most recent call last, as `keelback memory --address` prints it. */
KB_API struct kb_error *kb_memory_traceback__write(const struct kb_profile *profile, uint32_t entry,
						   FILE *stream);

/* ---------------------------------------------------------------- tracing */

enum kb_memory_want {
	KB_MEMORY_AUTO = 0, /* exact where the target allows it, else growth */
	KB_MEMORY_EXACT =
		1, /* or not at all; a command is run with PYTHONMALLOC=malloc if needed */
	KB_MEMORY_GROWTH = 2, /* in any case */
};

#define KB_MEMORY_BLOCKS_DEFAULT (1u << 21)
#define KB_MEMORY_BLOCKS_MAX	 (1u << 26)
#define KB_MEMORY_RATE_DEFAULT	 4500 /* 3 to 4 us each: less than two percent */

struct kb_memory_opts {
	size_t size;
	enum kb_memory_want want;
	unsigned frames_max;   /* of a stack, from its leaf; 0: all */
	uint32_t blocks_max;   /* live blocks that are followed; 0: KB_MEMORY_BLOCKS_DEFAULT. The
				  kernel   needs 16 bytes for each, and some 100 for those that there
				  are */
	bool native;	       /* stacks with native frames */
	bool libc;	       /* exact: what goes to malloc beside Python's allocator as well */
	unsigned duty;	       /* growth: percent of the time that is observed; 0: 100 */
	uint32_t rate_max;     /* growth: events a second above which observation pauses; 0:
				  KB_MEMORY_RATE_DEFAULT */
	const char *recording; /* path to record to, or NULL */
};

/* A session, as struct kb_sampler is one: create → start → poll until *done → stop → profile →
 * destroy. */
struct kb_memory_tracer;

KB_API struct kb_error *kb_memory_tracer__create(const struct kb_target *target,
						 const struct kb_memory_opts *opts,
						 struct kb_memory_tracer **tracer);
KB_API struct kb_error *kb_memory_tracer__start(struct kb_memory_tracer *tracer);
KB_API struct kb_error *kb_memory_tracer__poll(struct kb_memory_tracer *tracer, int timeout_ms,
					       bool *done);
/* Takes the kernel's figures into the profile, which is complete and can be written then. */
KB_API struct kb_error *kb_memory_tracer__snapshot(struct kb_memory_tracer *tracer);
/* Detaches, takes the last figures and completes the recording. */
KB_API struct kb_error *kb_memory_tracer__stop(struct kb_memory_tracer *tracer);
/* What tracemalloc.clear_traces() and reset_peak() do. */
KB_API void kb_memory_tracer__clear(struct kb_memory_tracer *tracer);
KB_API void kb_memory_tracer__reset_peak(struct kb_memory_tracer *tracer);
/* As of the last snapshot. Owned by the tracer. */
KB_API const struct kb_profile *kb_memory_tracer__profile(const struct kb_memory_tracer *tracer);

/*
 * The live block that an address of a process lies in: an object's own address is some bytes within
 * its block, and where growth is traced a small block is within its pool. Of several the smallest.
 * entry: of the last snapshot; KB_ID_NONE: there is no such block.
 */
struct kb_memory_block {
	uint64_t address, size, time_ns;
	uint32_t entry;
};
KB_API struct kb_error *kb_memory_tracer__block(const struct kb_memory_tracer *tracer,
						uint32_t process, uint64_t address,
						struct kb_memory_block *block);
/* Bytes that the target's processes have in memory together. */
KB_API uint64_t kb_memory_tracer__rss(const struct kb_memory_tracer *tracer);
/* Does any process have another way than asked for, or is anything else not as it seems? For
 * people; NULL: no. */
KB_API const char *kb_memory_tracer__way_text(const struct kb_memory_tracer *tracer);

KB_API pid_t kb_memory_tracer__command_pid(const struct kb_memory_tracer *tracer);
KB_API int kb_memory_tracer__command_status(const struct kb_memory_tracer *tracer);
KB_API void kb_memory_tracer__destroy(struct kb_memory_tracer *tracer);

#ifdef __cplusplus
}
#endif
#endif
