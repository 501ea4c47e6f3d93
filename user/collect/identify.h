/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_IDENTIFY_H
#define KB_COLLECT_IDENTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/events.h"
#include "collect/ingest.h"
#include "collect/target.h"
#include "kernel/programs.h"
#include "python/remote.h"

/*
 * Tells BPF which processes run which interpreter: those that are there when
 * observation starts, and whatever a notice asks about. Each image is analysed
 * once and its initialization functions are probed, so that every later process
 * of it is set up by BPF alone (bpf/common/tracker.bpf.c).
 */
struct kb_identifier;

struct kb_error *kb_identifier__create(const struct kb_target *target, struct kb_programs *programs,
				       struct kb_identifier **identifier);
void kb_identifier__destroy(struct kb_identifier *identifier);
/* Who is told of processes for their native frames; NULL, as at the start: nobody. Borrowed. */
void kb_identifier__set_native(struct kb_identifier *identifier, struct kb_native *native);
/* Where processes are entered; set once before anything is identified. */
void kb_identifier__set_ingest(struct kb_identifier *identifier, struct kb_ingest *ingest);
/* Interpreters that cannot be observed in this mode are refused; set once likewise. */
void kb_identifier__set_mode(struct kb_identifier *identifier, enum kb_sample_mode mode);

/* Called for each process that is identified while it runs, not for those that BPF sets up itself.
 */
typedef void (*kb_identified_fn)(pid_t pid, uint32_t proc, const struct kb_interpreter *interp,
				 void *context);
void kb_identifier__on_identified(struct kb_identifier *identifier, kb_identified_fn fn,
				  void *context);

/* A second one that is called, after it. */
void kb_identifier__also_identified(struct kb_identifier *identifier, kb_identified_fn fn,
				    void *context);

/*
 * Called for each file with an interpreter before a process of it is told to BPF: for what a
 * collector probes there. image: the index that processes and layouts have; several files of one
 * build id have the same. path names the file as long as the call lasts. An error refuses the
 * file's processes.
 */
typedef struct kb_error *(*kb_image_fn)(uint32_t image, const struct kb_image_info *info,
					const char *path, void *context);
void kb_identifier__on_image(struct kb_identifier *identifier, kb_image_fn fn, void *context);
/* Called for each process that BPF has set up itself, when its record is read. */
typedef void (*kb_new_process_found_fn)(pid_t pid, uint32_t proc, void *context);
void kb_identifier__on_new_process(struct kb_identifier *identifier, kb_new_process_found_fn fn,
				   void *context);
/*
 * Leaves processes alone for so long after they have executed a file. Reading a process's mappings
 * while it is being set up made Linux 6.18 leave out its page for return probes, for good, in half
 * of the cases. What runs a known image is set up by BPF meanwhile.
 */
void kb_identifier__set_exec_delay(struct kb_identifier *identifier, unsigned ms);
/* The interpreter of a process, and where it lies there; false when it has none (any more). */
bool kb_identifier__interpreter(struct kb_identifier *identifier, pid_t pid,
				struct kb_interpreter *interp);

enum kb_identity { KB_IS_PYTHON, KB_IS_NOT_PYTHON, KB_IS_GONE, KB_IS_UNSUPPORTED };

/*
 * Looks at a process and tells BPF. start_ns: as in the notice, 0 when unknown.
 * reason (may be NULL, size KB_REASON_MAX) says why it is unsupported.
 */
#define KB_REASON_MAX 512
enum kb_identity kb_identifier__identify(struct kb_identifier *identifier, pid_t pid,
					 uint64_t start_ns, char *reason);

/* The same for one that runs already: also for those that it has forked meanwhile. */
enum kb_identity kb_identifier__identify_late(struct kb_identifier *identifier,
					      const struct kb_target *target, pid_t pid,
					      uint64_t start_ns);

/*
 * Analyses and probes the interpreter in a file, or in the libpython that it needs, before a
 * process runs it; prepare_native: also for native frames. *image: which it is, KB_ID_NONE where
 * the file has none or cannot be read. Error: an interpreter that cannot be observed as it is
 * wanted.
 */
struct kb_error *kb_identifier__expect_file(struct kb_identifier *identifier, const char *path,
					    bool prepare_native, uint32_t *image);
void kb_identifier__notice(struct kb_identifier *identifier, const struct kb_notice *notice);
/* The same in 10 ms, if BPF has not found it out by then. */
void kb_identifier__look_later(struct kb_identifier *identifier, const struct kb_notice *notice);
/* Processes that were caught before their libpython was mapped. Returns ms until the next look, -1:
 * none waits. */
int kb_identifier__look_again(struct kb_identifier *identifier);

/* For kb_ingest_opts. */
const struct kb_layout *kb_identifier__layout(uint32_t layout, void *identifier);
void kb_identifier__new_process(const struct kb_data_proc *record, void *identifier);

/* Of the kernel's records; NULL: unknown. */
const struct kb_image_info *kb_identifier__image(const struct kb_identifier *identifier,
						 uint32_t image);

bool kb_identifier__read_code(uint32_t proc, pid_t pid, uint64_t address,
			      struct kb_remote_code *code, const struct kb_layout **layout,
			      void *identifier);

/* Does this process run, and still the program that was identified? */
bool kb_identifier__runs(struct kb_identifier *identifier, pid_t pid, uint64_t start_ns);
/* Opens such a process for reading; false when it does not run any more. kb_remote__close() it. */
bool kb_identifier__open(struct kb_identifier *identifier, pid_t pid, uint64_t start_ns,
			 struct kb_remote *remote);

/* Samples of processes before they were identified, or that never were: to be asked once, at the
 * end. */
uint64_t kb_identifier__unresolved(struct kb_identifier *identifier);
uint32_t kb_identifier__count(const struct kb_identifier *identifier);

#endif
