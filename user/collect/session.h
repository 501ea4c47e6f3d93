/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_SESSION_H
#define KB_COLLECT_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include "collect/identify.h"
#include "collect/ingest.h"
#include "collect/launch.h"
#include "collect/target.h"
#include "collect/wake.h"
#include "kernel/programs.h"
#include "model/profile.h"

/*
 * What every collector has in common: the target's processes are found, followed and identified,
 * the kernel's records are read, names become those of a profile, and the ledger is kept. A
 * collector embeds a session, says what it wants of BPF (kb_programs_opts), and does its own at the
 * moments below. A session without samples has a profile all the same: it is the table of
 * processes, threads and functions, and what a collector counts refers to them.
 */
struct kb_session;

/* Each may be NULL. context: the collector. */
struct kb_collector {
	/*
	 * The processes of the target that run are identified (pids); a command is held before its
	 * first instruction. Attaches what observes them.
	 */
	struct kb_error *(*attach)(struct kb_pids *pids, void *context);
	/*
	 * The command has executed an interpreter of this image (kb_image_fn), and is held before
	 * its first instruction. Not called for one that was known when it was launched.
	 */
	void (*executed)(pid_t pid, uint32_t image, void *context);
	/* A record of the data ring of a kind that kb_ingest does not take. */
	void (*record)(const void *record, size_t size, void *context);
	/* A notice of a kind that the session does not know. */
	void (*notice)(const struct kb_notice *notice, void *context);
	/* Between the end of a generation, with its records read, and the end of its stacks. */
	struct kb_error *(*drain)(void *context);
	/* After it, with the ledger brought up to date. */
	struct kb_error *(*drained)(void *context);
	/* Small jobs before a wait of wait_ms; returns how long it may be now. */
	int (*work)(int wait_ms, void *context);
};

struct kb_session_opts {
	const struct kb_target *target; /* borrowed */
	const struct kb_programs_opts *programs;
	const struct kb_collector *collector; /* borrowed */
	void *context;
	uint64_t sample_ns; /* as in kb_ingest_opts */
	unsigned drain_ms;
	bool frames_native, frames_kernel; /* native and kernel frames in stacks */
	/*
	 * For what runs for ever: no table of processes and functions is kept, all records of the
	 * data ring and the notices of code objects are the collector's, and of the profile there
	 * is only the ledger.
	 */
	bool bare;
};

struct kb_session {
	const struct kb_target *target;
	struct kb_programs *programs;
	struct kb_identifier *identifier;
	struct kb_native *native; /* NULL: neither native nor kernel frames */
	struct kb_ingest *ingest; /* NULL in a bare session */
	struct kb_profile *profile;
	struct kb_launch launch;
	struct kb_wake wake;
	const struct kb_collector *collector;
	void *context;
	uint64_t ledger[KB_L_COUNT + 1]; /* what of the kernel's ledger is in the profile already */
	uint64_t started, next_drain;	 /* CLOCK_MONOTONIC, ns; started: 0 before */
	int64_t started_unix;
	uint32_t holds;	     /* of the command that are over */
	uint32_t generation; /* only grows, so it counts drains as well */
	unsigned drain_ms;
	bool running, exited, drain_now;
};

/* Before anything that can fail, so that kb_session__close() may follow. */
void kb_session__init(struct kb_session *session);
/* Loads the programs and makes the rest; nothing is attached yet. */
struct kb_error *kb_session__open(struct kb_session *session, const struct kb_session_opts *opts);
void kb_session__close(struct kb_session *session);

/* Which processes are the target, as BPF is told. */
void kb_session__filter(const struct kb_target *target, struct kb_config *config);

/* What the session itself knows: target, machine, start, duration, version. */
void kb_session__meta(const struct kb_session *session, struct kb_profile_meta *meta);

/* These are what the functions of the same names in keelback/sample.h do. */
struct kb_error *kb_session__start(struct kb_session *session);
struct kb_error *kb_session__poll(struct kb_session *session, int timeout_ms, bool *done);
struct kb_error *kb_session__drain(struct kb_session *session);
/* A record of the data ring, to whom it concerns (kb_record_fn). */
void kb_session__record(const void *record, size_t size, void *session);
/* Takes what the kernel still has; the collector has detached. */
struct kb_error *kb_session__finish(struct kb_session *session);

#endif
