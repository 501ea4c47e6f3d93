/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_CODE_BPF_H
#define KB_PYTHON_CODE_BPF_H

#include "common/env.bpf.h"
#include "shared/events.h"
#include "shared/layout.h"
#include "shared/process.h"

#define KB_CODE_SPAN 256 /* bytes of a code object's fixed part that one read takes */

enum kb_code_status {
	KB_CODE_OK = 0,
	KB_CODE_NOT_CODE = 1,  /* the address holds no code object */
	KB_CODE_RING_FULL = 2, /* its record did not fit */
};

/*
 * Makes sure that user space has the code object at the address: sends its
 * record when it is new, or when another object has taken the address. An
 * object whose page is not in memory is left to user space, which can wait for it.
 * Returns enum kb_code_status.
 */
int kb_code_seen(const struct kb_proc *proc, const struct kb_layout *layout, kb_u64 address);

/* Is what lies at the address still what was sent last for it? */
int kb_code_unchanged(const struct kb_proc *proc, const struct kb_layout *layout, kb_u64 address);

#endif
