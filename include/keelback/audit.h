/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_AUDIT_H
#define KEELBACK_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "keelback/error.h"
#include "keelback/profile.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Audit events (PEP 578, Python 3.8 and later) of processes that have no hook: open, import,
 * socket.connect, exec and the others of Python's table of audit events, and those that programs
 * raise by sys.audit(). The process is neither stopped nor changed. Arguments are written down in
 * the moment of the event, within limits (docs/AUDIT.md), and what was cut says so.
 */
struct kb_auditor;

enum kb_audit_value_kind {
	KB_VALUE_NONE,
	KB_VALUE_BOOL,	  /* integer: 0 or 1 */
	KB_VALUE_INT,	  /* text: decimal digits; integer: the same where it fits */
	KB_VALUE_FLOAT,	  /* real */
	KB_VALUE_STR,	  /* text */
	KB_VALUE_BYTES,	  /* text: the bytes themselves */
	KB_VALUE_TUPLE,	  /* items */
	KB_VALUE_LIST,	  /* items */
	KB_VALUE_DICT,	  /* items: key, value, key, value … */
	KB_VALUE_CODE,	  /* a code object; text: qualified name (3.11+), file, line */
	KB_VALUE_PATH,	  /* a pathlib path or an os.DirEntry; text: the path */
	KB_VALUE_OBJECT,  /* any other; text: name of its type, address */
	KB_VALUE_UNKNOWN, /* text: why */
};

/* A value, valid as long as the event that it is of. */
struct kb_audit_value {
	enum kb_audit_value_kind kind;
	bool cut; /* there is more of it in the process: length says how much */
	/* UTF-8, in which surrogates without their half are encoded like other characters (three
	 * bytes); size bytes and a zero. */
	const char *text;
	size_t size;
	uint64_t length; /* in the process: characters, bytes, items or pairs */
	int64_t integer;
	double real;
	uint64_t address;
	const struct kb_audit_value *items;
	size_t n_items;
	const char *file; /* as text */
	int32_t line;
};

struct kb_audit_event {
	size_t size;
	int64_t time_unix_ns;
	const char *name;
	const struct kb_audit_value *args;
	size_t n_args;	     /* of args */
	size_t n_args_total; /* that the event has */
	bool cut;	     /* some value was cut, or arguments are missing */
	const struct kb_process_info *process;
	int32_t tid;
	const char *thread;    /* the kernel's name of it */
	const char *container; /* short id, "" when it runs in none */
	/* The stack's leaf in `profile`, if stacks were asked for; KB_ID_NONE: there is none. */
	uint32_t node;
	const struct kb_profile *profile;
};

/* Called for each event, in the order in which the kernel's buffer has them: of one thread in the
 * order in which they were raised. event is valid until it returns. */
typedef void (*kb_audit_fn)(const struct kb_audit_event *event, void *context);

struct kb_audit_opts {
	size_t size; /* sizeof(struct kb_audit_opts) */
	/*
	 * Names of events, or beginnings of names that end with `*` ("socket.*"); with `!` before
	 * them: not these. The longest that fits decides. None: all.
	 */
	const char *const *events;
	size_t n_events;   /* at most 64 */
	unsigned max_rate; /* events per second, machine-wide, the others are only counted; 0: no
			      limit */
	bool summary;	   /* count in the kernel, report none */
	bool stack;	   /* with Python stacks */
	unsigned drain_ms; /* how long an event may wait in the kernel; 0: 100 ms */
};

/* fn: NULL only with summary. The target must outlive the auditor. */
KB_API struct kb_error *kb_auditor__create(const struct kb_target *target,
					   const struct kb_audit_opts *opts, kb_audit_fn fn,
					   void *context, struct kb_auditor **auditor);
KB_API void kb_auditor__destroy(struct kb_auditor *auditor);
KB_API struct kb_error *kb_auditor__start(struct kb_auditor *auditor);
/* Waits at most timeout_ms; hands over events. *done: the command or all processes have ended. */
KB_API struct kb_error *kb_auditor__poll(struct kb_auditor *auditor, int timeout_ms, bool *done);
/* Detaches and hands over what is left. */
KB_API struct kb_error *kb_auditor__stop(struct kb_auditor *auditor);

/* Processes, threads, functions and the ledger: events seen = reported ("good") + lost by reason.
 */
KB_API const struct kb_profile *kb_auditor__profile(const struct kb_auditor *auditor);
KB_API pid_t kb_auditor__command_pid(const struct kb_auditor *auditor);
/* Its wait status; -1 while it runs. */
KB_API int kb_auditor__command_status(const struct kb_auditor *auditor);

/* Of a summary, most frequent first; as of the last poll or stop. */
struct kb_audit_count {
	const char *name;
	const struct kb_process_info *process;
	const char *container;
	uint64_t count;
};
KB_API struct kb_error *kb_auditor__take_counts(struct kb_auditor *auditor);
KB_API size_t kb_auditor__n_counts(const struct kb_auditor *auditor);
KB_API struct kb_audit_count kb_auditor__count(const struct kb_auditor *auditor, size_t index);

/* ---- writing */

/* Like strace: time, process, event and its arguments as Python would show them; then, if it has
 * one, the stack, a line for each frame. */
KB_API void kb_audit_event__write_text(const struct kb_audit_event *event, FILE *stream);
/* A JSON object and a newline; its members are described in docs/AUDIT.md. */
KB_API void kb_audit_event__write_json(const struct kb_audit_event *event, FILE *stream);
KB_API void kb_audit_count__write_json(const struct kb_audit_count *count, FILE *stream);
/* The ledger of an auditor's profile: seen = reported + the sum of what was lost. */
KB_API void kb_audit_ledger__write_json(const struct kb_profile *profile, FILE *stream);
/* The arguments alone, "'/etc/passwd', 'r', 524288". */
KB_API void kb_audit_event__write_args(const struct kb_audit_event *event, FILE *stream);

/* ---- policies */

/*
 * Rules in a JSON file (docs/AUDIT.md) that say which events call for attention.
 */
struct kb_audit_policy;
struct kb_audit_rule_info {
	const char *name;
	bool fail;	      /* the program's status is to be 3 */
	bool silent;	      /* without a line */
	char *const *command; /* NULL, or what is to be run, ends with NULL */
};
KB_API struct kb_error *kb_audit_policy__load(const char *path, struct kb_audit_policy **policy);
KB_API void kb_audit_policy__destroy(struct kb_audit_policy *policy);
/* The first rule that an event matches; NULL: none. Valid as long as the policy. */
KB_API const struct kb_audit_rule_info *kb_audit_policy__match(struct kb_audit_policy *policy,
							       const struct kb_audit_event *event);

/* The names, or beginnings of such, that its rules are about, one by one from *at = 0 on. */
KB_API bool kb_audit_policy__next_event(const struct kb_audit_policy *policy, size_t *at,
					const char **name);

#ifdef __cplusplus
}
#endif
#endif
