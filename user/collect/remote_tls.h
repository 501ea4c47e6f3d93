/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_REMOTE_TLS_H
#define KB_COLLECT_REMOTE_TLS_H

#include <stdint.h>
#include <sys/types.h>
#include "bpf/shared/process.h"

/* kb_tls_resolve() of bpf/python/tls.bpf.h, on a live process from outside. KB_TLS_NONE when it
 * cannot be read. */
void kb_remote_tls__resolve(pid_t pid, const struct kb_tls *tls, uint64_t bias,
			    struct kb_proc_tls *out);

#endif
