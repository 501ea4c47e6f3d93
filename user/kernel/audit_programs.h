/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_AUDIT_PROGRAMS_H
#define KB_KERNEL_AUDIT_PROGRAMS_H

#include "bpf/shared/audit.h"
#include "kernel/programs.h"

/* What bpf/audit.bpf.c needs, in runs with KB_RUN_AUDIT. */

/* Where an event passes by in one file; at most so many. */
#define KB_AUDIT_PROBES_MAX 32

struct kb_audit_probes {
	uint64_t offsets[KB_AUDIT_PROBES_MAX];	  /* in the file */
	uint64_t semaphores[KB_AUDIT_PROBES_MAX]; /* in the file; 0: none */
	uint64_t cookies[KB_AUDIT_PROBES_MAX];	  /* KB_AUDIT_COOKIE() */
	uint32_t n;
};

/* Puts the probes onto a file of an image (by its id); pid: as in struct kb_uprobe_opts. */
struct kb_error *kb_audit_programs__add_image(struct kb_programs *programs, uint32_t image,
					      const struct kb_audit_layout *layout,
					      const char *path,
					      const struct kb_audit_probes *probes, pid_t pid);

/* Takes all of them away. */
void kb_audit_programs__detach(struct kb_programs *programs);

/* The rules, in the order in which they are asked; as many as struct kb_audit_config says. */
struct kb_error *kb_audit_programs__set_rules(struct kb_programs *programs,
					      const struct kb_audit_rule *rules, uint32_t n);

typedef void (*kb_audit_tally_fn)(const struct kb_audit_tally_key *key,
				  const struct kb_audit_tally *count, void *context);
/* The counts of a summary as they are now. */
struct kb_error *kb_audit_programs__each_tally(struct kb_programs *programs, kb_audit_tally_fn fn,
					       void *context);

#endif
