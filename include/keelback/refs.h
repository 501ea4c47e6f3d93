/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_REFS_H
#define KEELBACK_REFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "keelback/error.h"
#include "keelback/format.h"
#include "keelback/profile.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- what was counted */

/*
 * Objects that processes have created and destroyed, by type and by the stack that did it: what a
 * PyRefTracer (C API, 3.13) is told. All of them are counted, or none. As for a PyRefTracer, an
 * object that is moved to grow (str, bytes, tuple) counts as created anew.
 */
struct kb_refs;

struct kb_refs_process {
	uint32_t process;  /* in the profile */
	const char *way;   /* how it is observed: "where it would tell a PyRefTracer" … */
	bool created_only; /* destructions are not observed */
	uint64_t created, destroyed;
	uint64_t before;	/* destroyed, and created before observation */
	uint64_t replaced;	/* counted as alive until another came to their address: moved */
	uint64_t lost;		/* events in no row: a table was full */
	uint64_t not_followed;	/* created, and not counted as alive: a table was full */
	uint64_t without_type;	/* events whose type could not be read, or had no room */
	uint64_t without_stack; /* events whose stack had no room */
	uint64_t attached_ns;	/* since when it was observed, ns since observation began */
};

/* Types of one name are one. */
struct kb_refs_type {
	uint32_t process; /* in the profile */
	const char *name; /* "dict"; classes with their module: "app.Point" */
	uint64_t created, destroyed;
	uint64_t alive; /* created while observed, and not destroyed */
};

/* A stack that created or destroyed objects of a type. */
struct kb_refs_row {
	uint32_t type;
	uint32_t node; /* of the profile: the leaf */
	uint64_t created, destroyed;
	uint64_t alive; /* of those that it created */
};

KB_API const struct kb_profile *kb_refs__profile(const struct kb_refs *refs);
KB_API uint32_t kb_refs__n_processes(const struct kb_refs *refs);
KB_API const struct kb_refs_process *kb_refs__process(const struct kb_refs *refs, uint32_t index);
KB_API uint32_t kb_refs__n_types(const struct kb_refs *refs);
KB_API const struct kb_refs_type *kb_refs__type(const struct kb_refs *refs, uint32_t index);
KB_API uint32_t kb_refs__n_rows(const struct kb_refs *refs);
KB_API const struct kb_refs_row *kb_refs__row(const struct kb_refs *refs, uint32_t index);
/* Frames that stacks were cut to; 0: none were. */
KB_API unsigned kb_refs__frames_max(const struct kb_refs *refs);
/* When the figures were taken, ns since observation began. */
KB_API uint64_t kb_refs__taken_ns(const struct kb_refs *refs);

/* ---------------------------------------------------------------- formats */

enum kb_refs_order { KB_REFS_BY_CREATED = 0, KB_REFS_BY_DESTROYED = 1, KB_REFS_BY_ALIVE = 2 };

struct kb_refs_view_opts {
	size_t size;
	enum kb_refs_order order; /* and what collapsed stacks count */
	const char *type;	  /* a pattern of fnmatch(3) for names of types, or NULL */
	unsigned limit;		  /* table: types, and stacks; 0: all */
	bool summary;		  /* table: processes and ledger after the rows */
	bool color;
};

/* The first is the default. NULL past the end, or when there is none. */
KB_API const struct kb_format *kb_refs_format__at(size_t index);
KB_API const struct kb_format *kb_refs_format__by_name(const char *name);
KB_API const struct kb_format *kb_refs_format__by_path(const char *path);
/* opts may be NULL. */
KB_API struct kb_error *kb_refs_format__write(const struct kb_format *format,
					      const struct kb_refs *refs,
					      const struct kb_refs_view_opts *opts, FILE *stream);

/* ---------------------------------------------------------------- counting */

#define KB_REFS_OBJECTS_DEFAULT (1u << 21)
#define KB_REFS_OBJECTS_MAX	(1u << 26)

struct kb_ref_counter_opts {
	size_t size;
	unsigned frames_max;  /* of a stack, from its leaf; 0: all */
	bool created_only;    /* destructions are not observed: half of the cost, and more builds */
	uint32_t objects_max; /* live objects that are followed; 0: KB_REFS_OBJECTS_DEFAULT. The
				 kernel needs 16 bytes for each, and some 80 more for those that
				 there are */
};

/* A session, as struct kb_sampler is one: create → start → poll until *done → stop → refs →
 * destroy. */
struct kb_ref_counter;

KB_API struct kb_error *kb_ref_counter__create(const struct kb_target *target,
					       const struct kb_ref_counter_opts *opts,
					       struct kb_ref_counter **counter);
/* KB_STATUS_UNSUPPORTED, with the reason: its builds of Python do not let every object be seen. */
KB_API struct kb_error *kb_ref_counter__start(struct kb_ref_counter *counter);
KB_API struct kb_error *kb_ref_counter__poll(struct kb_ref_counter *counter, int timeout_ms,
					     bool *done);
/* Events that were seen so far; they cost the target some two microseconds each. */
KB_API uint64_t kb_ref_counter__events(struct kb_ref_counter *counter);
/* Detaches and takes the figures. */
KB_API struct kb_error *kb_ref_counter__stop(struct kb_ref_counter *counter);
/* Once it has stopped; belongs to the counter. */
KB_API const struct kb_refs *kb_ref_counter__refs(const struct kb_ref_counter *counter);
/* 0: the target is no command; its status as of waitpid(2), -1 while it runs. */
KB_API pid_t kb_ref_counter__command_pid(const struct kb_ref_counter *counter);
KB_API int kb_ref_counter__command_status(const struct kb_ref_counter *counter);
KB_API void kb_ref_counter__destroy(struct kb_ref_counter *counter);

#ifdef __cplusplus
}
#endif
#endif
