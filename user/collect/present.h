/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_PRESENT_H
#define KB_COLLECT_PRESENT_H

#include "collect/identify.h"
#include "collect/target.h"
#include "kernel/clock.h"
#include "kernel/programs.h"

/* The processes that run when observation starts. */
struct kb_present {
	const struct kb_target *target;
	struct kb_programs *programs;
	struct kb_identifier *identifier;
	struct kb_clock *clock; /* only for kb_present__cover() */
};

/*
 * Follows and identifies them and, where the target asks for children, those that they
 * started since they were listed: these are added to pids. That the only one given is no
 * Python is an error, that one of several is none a warning.
 */
struct kb_error *kb_present__identify(const struct kb_present *present, struct kb_pids *pids);

/* Puts an event on every thread of the processes and of the children that they start meanwhile. */
struct kb_error *kb_present__cover(const struct kb_present *present, struct kb_pids *pids);

#endif
