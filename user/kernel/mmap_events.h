/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_MMAP_EVENTS_H
#define KB_KERNEL_MMAP_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"

/*
 * What processes of the whole machine map to execute, as it happens: the side-band events that
 * perf(1) records (PERF_RECORD_MMAP2, _FORK, _EXIT, and _COMM at an execve). Unlike a look at
 * /proc/PID/maps they are there for processes that are gone by the time that anybody looks.
 */
enum kb_mmap_kind {
	KB_MMAP_MAP,
	KB_MMAP_EXEC, /* what was mapped before is no more */
	KB_MMAP_FORK, /* a process begins with its parent's mappings */
	KB_MMAP_EXIT, /* the last thread of a process has ended */
};

struct kb_mmap_event {
	enum kb_mmap_kind kind;
	uint64_t time; /* CLOCK_MONOTONIC, ns */
	pid_t pid, parent;
	uint64_t start, end, offset, inode;
	uint32_t device_major, device_minor;
	const char *path; /* as the process sees it */
};

struct kb_mmap_events;

/* KB_STATUS_UNSUPPORTED where events of the machine may not be had. */
struct kb_error *kb_mmap_events__create(struct kb_mmap_events **events);
void kb_mmap_events__destroy(struct kb_mmap_events *events);

/* Can be read when a ring is half full; for poll(2) only. */
int kb_mmap_events__fd(const struct kb_mmap_events *events);

typedef void (*kb_mmap_event_fn)(const struct kb_mmap_event *event, void *context);
/*
 * Hands over what waits, by time. Events that happen meanwhile may come with the next call though
 * they are older than some of this one: compare times.
 */
void kb_mmap_events__read(struct kb_mmap_events *events, kb_mmap_event_fn fn, void *context);
/* How many did not fit so far. */
uint64_t kb_mmap_events__lost(const struct kb_mmap_events *events);

#endif
