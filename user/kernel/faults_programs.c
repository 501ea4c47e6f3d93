// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/libbpf.h>
#include <errno.h>
#include "base/error.h"
#include "kernel/faults_programs.h"
#include "kernel/programs_object.h"

static struct kb_error *attach(struct bpf_program *program, struct bpf_link **link)
{
	*link = bpf_program__attach(program);
	if (!*link)
		return kb_error__from_errno(errno, KB_STATUS_UNSUPPORTED,
					    "cannot attach the BPF program %s",
					    bpf_program__name(program));
	return NULL;
}

struct kb_error *kb_faults_programs__attach(struct kb_programs *p)
{
	if (p->runs & KB_RUN_HOLD)
		KB_TRY(attach(p->bpf->progs.on_signal_hold, &p->bpf->links.on_signal_hold));
	KB_TRY(attach(p->bpf->progs.on_signal_generate, &p->bpf->links.on_signal_generate));
	return attach(p->bpf->progs.on_signal_deliver, &p->bpf->links.on_signal_deliver);
}

void kb_faults_programs__release(struct kb_programs *p, uint32_t place, uint32_t serial)
{
	__atomic_store_n(&p->bpf->bss->hold_released[place % KB_FAULT_HOLDS], serial,
			 __ATOMIC_RELEASE);
}
