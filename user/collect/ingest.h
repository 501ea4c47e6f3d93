/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_INGEST_H
#define KB_COLLECT_INGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bpf/shared/events.h"
#include "bpf/shared/layout.h"
#include "bpf/shared/wait.h"
#include "model/profile.h"
#include "python/remote_code.h"

/*
 * Turns the kernel's records into a profile: code objects are decoded, stacks
 * become nodes of the stack tree, counts become samples. Everything in a record
 * that came from a target's memory is checked.
 */
struct kb_ingest;

/* The layout of an image by its index, for decoding strings and lines; NULL when unknown. */
typedef const struct kb_layout *(*kb_layout_fn)(uint32_t layout, void *context);
/* A process that BPF set up itself: fills what user space knows of it. */
typedef void (*kb_new_process_fn)(const struct kb_data_proc *record, void *context);

/* Reads a code object from a live process that BPF could not read; false when it cannot be read
 * either. */
typedef bool (*kb_read_code_fn)(uint32_t proc, pid_t pid, uint64_t address,
				struct kb_remote_code *code, const struct kb_layout **layout,
				void *context);

struct kb_native;

struct kb_ingest_opts {
	struct kb_profile *profile; /* borrowed */
	struct kb_native *native;   /* borrowed; NULL: neither native nor kernel frames */
	kb_layout_fn layout;
	kb_new_process_fn new_process;
	kb_read_code_fn read_code;
	uint64_t sample_ns; /* what a sample counts for in profiles of time; 0: 1 */
	void *context;
};

struct kb_error *kb_ingest__create(const struct kb_ingest_opts *opts, struct kb_ingest **ingest);
void kb_ingest__destroy(struct kb_ingest *ingest);

/* When observation began, CLOCK_MONOTONIC in ns: moments count from there. */
void kb_ingest__set_start(struct kb_ingest *ingest, uint64_t start_ns);

/* Process id of the kernel's records → process in the profile. Before any record that uses it. */
struct kb_error *kb_ingest__add_process(struct kb_ingest *ingest, uint32_t proc,
					const struct kb_process_info *info);

/* The function of the profile that the code object at an address is now, or one that stands for an
 * unknown one. */
uint32_t kb_ingest__function_at(struct kb_ingest *ingest, uint32_t proc, uint64_t address);

/* Reads a code object from a live process now, for stacks that will name it. */
void kb_ingest__fetch_code(struct kb_ingest *ingest, uint32_t proc, pid_t pid, uint64_t address);
/* One record of the data ring. False: of a kind that is not ours. */
bool kb_ingest__record(struct kb_ingest *ingest, const void *record, size_t size);
/* One count of the generation that ends. parity: of its number. */
void kb_ingest__count(struct kb_ingest *ingest, uint32_t parity, const struct kb_stack_key *key,
		      uint64_t count);
/* Waits of one thread with one stack, or with one of the marks in shared/wait.h. */
void kb_ingest__waits(struct kb_ingest *ingest, const struct kb_stack_key *key,
		      const struct kb_wait_sum *sum);
/* How much of a thread's wait that began then the timeline has already, ns. */
typedef uint64_t (*kb_waited_fn)(pid_t tid, uint64_t since, void *context);
void kb_ingest__set_waited(struct kb_ingest *ingest, kb_waited_fn waited, void *context);
/* What the profile has of the stacks that are kept (KB_STACK_WAIT); KB_ID_NONE: not known. */
uint32_t kb_ingest__kept_node(const struct kb_ingest *ingest, uint64_t hash, uint32_t proc);
bool kb_ingest__is_truncated(const struct kb_ingest *ingest, uint32_t node);
/* A wait whose stack could not be taken; reason: the ledger's. */
void kb_ingest__lost_wait(struct kb_ingest *ingest, unsigned reason, uint64_t ns);
/*
 * Forgets the profile's stacks that neither its moments nor the generations under
 * way refer to. False: out of memory, nothing is changed.
 */
bool kb_ingest__forget_stacks(struct kb_ingest *ingest);
/* What a collector's own records name, in the profile; KB_ID_NONE: not known. A stack is known
 * until its generation's end. */
uint32_t kb_ingest__process(const struct kb_ingest *ingest, uint32_t proc);
uint32_t kb_ingest__thread(struct kb_ingest *ingest, uint32_t proc, pid_t tid);
uint32_t kb_ingest__stack(const struct kb_ingest *ingest, uint32_t generation, uint64_t hash,
			  uint32_t proc);
/* The generation's counts have all been handed over: its stacks are forgotten. */
void kb_ingest__end_generation(struct kb_ingest *ingest, uint32_t parity);

#endif
