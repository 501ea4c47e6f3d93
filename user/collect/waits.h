/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_WAITS_H
#define KB_COLLECT_WAITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "collect/ingest.h"
#include "collect/target.h"
#include "keelback/sample.h"
#include "kernel/programs.h"
#include "python/interpreter.h"

/*
 * The waits that BPF does not see both ends of. A thread that sleeps when observation
 * starts has no stack yet: it is read from outside, which is safe as long as the thread
 * sleeps, and handed to BPF, which goes on from there. One that sleeps when
 * observation ends has its time added here.
 */
struct kb_waits;

/* Borrows all but opts. Where the other functions take waits, NULL stands for a session without
 * any. */
struct kb_error *kb_waits__create(const struct kb_target *target, struct kb_programs *programs,
				  struct kb_ingest *ingest, const struct kb_sample_opts *opts,
				  struct kb_waits **waits);
void kb_waits__destroy(struct kb_waits *waits);
/* Where records go that a drain of waits reads: set before the first. */
void kb_waits__read_by(struct kb_waits *waits, kb_record_fn read, void *context);

/*
 * For kb_identifier__on_identified(): a process that was found running. Its threads that sleep
 * are looked at now, or when observation starts.
 */
void kb_waits__add_process(pid_t pid, uint32_t proc, const struct kb_interpreter *interp,
			   void *waits);

/* Waits are observed from now on; or not any more, and what has not ended is added up to now. */
struct kb_error *kb_waits__observe(struct kb_waits *waits, bool observe);
/* The waits that ended in the generation that ends, and of those that last what has come since the
 * last time: between kb_programs__flip() and
 * kb_ingest__end_generation(). */
struct kb_error *kb_waits__drain(struct kb_waits *waits);
/* How many waits were added beside those that the kernel's ledger has. */
uint64_t kb_waits__ended(const struct kb_waits *waits);

#endif
