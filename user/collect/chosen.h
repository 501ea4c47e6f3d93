/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CHOSEN_H
#define KB_COLLECT_CHOSEN_H

#include "collect/call_counter.h"
#include "kernel/breakpoints.h"

/*
 * Functions and lines that were chosen by name: they are looked for in each process of the target,
 * again and again while it has not imported them, and watched in its threads.
 */
struct kb_chosen;

/* timed: returns are watched, too, as far as breakpoints allow. session and ingest are borrowed;
 * the session was opened with KB_RUN_CHOSEN. KB_STATUS_USAGE when a name is none. */
struct kb_error *kb_chosen__create(struct kb_session *session, struct kb_call_ingest *ingest,
				   const char *const *names, size_t n, bool timed,
				   struct kb_chosen **chosen);
void kb_chosen__destroy(struct kb_chosen *chosen);

/* A kb_image_fn. */
struct kb_error *kb_chosen__add_image(uint32_t image, const struct kb_image_info *info,
				      const char *path, void *chosen);

/*
 * Watches them in the processes that run. KB_STATUS_FAILED, with what is there instead, when one is
 * in none of them, unless more processes may come.
 */
struct kb_error *kb_chosen__attach(struct kb_chosen *chosen, const struct kb_pids *pids);
/* Looks again when it is time; returns how long to wait. */
int kb_chosen__work(struct kb_chosen *chosen, int wait_ms);
void kb_chosen__detach(struct kb_chosen *chosen);

const struct kb_call_edge *kb_chosen__edges(const struct kb_chosen *chosen, uint32_t *n);
/* Are calls of any of them timed? */
bool kb_chosen__timed(const struct kb_chosen *chosen);
/* After the last drain: latencies and remarks. KB_STATUS_FAILED when none was ever found. */
struct kb_error *kb_chosen__finish(struct kb_chosen *chosen);

#endif
