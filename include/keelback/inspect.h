/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_INSPECT_H
#define KEELBACK_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "keelback/error.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One Python process and whether it can be observed. Strings belong to the list. */
struct kb_ps_entry {
	pid_t pid;
	pid_t ns_pid;
	const char *version; /* "3.12.1", or "" when unknown */
	const char *build;   /* such as "static,stripped" or "shared,symbols,free-threaded" */
	const char *layout;  /* where its layout came from: "debug-offsets", "dwarf", "built-in", or
				"" */
	const char *container; /* container id or name, or "" */
	const char *command;   /* command line */
	bool sample;	       /* `keelback sample` works on it */
	const char *reason;    /* else: why not */
};
struct kb_ps;
/* Every Python process of the target; NULL: of the machine. */
KB_API struct kb_error *kb_ps__scan(const struct kb_target *target, struct kb_ps **ps);
KB_API size_t kb_ps__count(const struct kb_ps *ps);
KB_API const struct kb_ps_entry *kb_ps__at(const struct kb_ps *ps, size_t index);
KB_API void kb_ps__destroy(struct kb_ps *ps);

/* One thing that keelback asks of the machine, probed, never inferred from a version. */
struct kb_feature {
	const char *name;    /* stable, for machines */
	const char *text;    /* for people */
	const char *origin;  /* the kernel release or commit that brought it */
	const char *without; /* what is lost without it */
	bool required;	     /* nothing works without it */
	bool available;
	const char *detail; /* what the probe found, may be "" */
};
struct kb_doctor;
KB_API struct kb_error *kb_doctor__probe(struct kb_doctor **doctor);
KB_API size_t kb_doctor__count(const struct kb_doctor *doctor);
KB_API const struct kb_feature *kb_doctor__at(const struct kb_doctor *doctor, size_t index);
KB_API void kb_doctor__destroy(struct kb_doctor *doctor);

/* Where warnings and progress go; NULL silences them. Level 0: warnings, 1: progress, 2: debugging.
 */
typedef void (*kb_log_fn)(int level, const char *line, void *context);
KB_API void kb_log__set(kb_log_fn fn, void *context, int max_level);

/* "0.1.0" */
KB_API const char *kb_version(void);

#ifdef __cplusplus
}
#endif
#endif
