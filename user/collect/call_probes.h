/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CALL_PROBES_H
#define KB_COLLECT_CALL_PROBES_H

#include "kernel/call_programs.h"
#include "python/image.h"

/*
 * Which probes count the calls of an interpreter: found once for each file, attached as often
 * as there are windows.
 */
struct kb_call_probes;

struct kb_call_probes_opts {
	bool ends;     /* of calls, too: they are clocked */
	bool builtins; /* C functions and methods */
};

/* programs and calls are borrowed. */
struct kb_error *kb_call_probes__create(struct kb_programs *programs,
					struct kb_call_programs *calls,
					const struct kb_call_probes_opts *opts,
					struct kb_call_probes **probes);
void kb_call_probes__destroy(struct kb_call_probes *probes);

/*
 * Finds those of a file (kb_image_fn): KB_STATUS_UNSUPPORTED, with the reason, when calls cannot be
 * counted exactly in this build. Attaches them where all of the machine is probed at the moment.
 */
struct kb_error *kb_call_probes__add_image(uint32_t image, const struct kb_image_info *info,
					   const char *path, void *probes);

/*
 * Attaches the probes: everywhere, in files that are added later as well; or only in the processes
 * that the kernel's table has now, so that others pay nothing.
 */
struct kb_error *kb_call_probes__attach(struct kb_call_probes *probes, bool everywhere);
/* In one more process; nothing while probes are everywhere, or nowhere. */
struct kb_error *kb_call_probes__attach_process(struct kb_call_probes *probes, uint32_t image,
						pid_t pid);
void kb_call_probes__detach(struct kb_call_probes *probes);

#endif
