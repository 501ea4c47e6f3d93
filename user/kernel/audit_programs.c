// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include "base/error.h"
#include "kernel/audit_programs.h"
#include "kernel/programs_object.h"

void kb_audit_programs__configure(struct kb_programs *p, const struct kb_audit_config *config)
{
	struct bpf_program *program = p->bpf->progs.on_audit;

	p->bpf->rodata->audit_config = *config;
	p->bpf->rodata->audit_config.sleepable = kb_uprobe__can_sleep();
	if (kb_uprobe__can_sleep())
		bpf_program__set_flags(program, BPF_F_SLEEPABLE);
}

struct kb_error *kb_audit_programs__add_image(struct kb_programs *p, uint32_t image,
					      const struct kb_audit_layout *layout,
					      const char *path,
					      const struct kb_audit_probes *probes, pid_t pid)
{
	struct kb_uprobe_opts opts = { .pid = pid, .semaphores = probes->semaphores };

	if (!p->audit_uprobes)
		KB_TRY(kb_uprobes__create(&p->audit_uprobes));
	if (bpf_map_update_elem(bpf_map__fd(p->bpf->maps.audit_layouts), &image, layout, BPF_ANY))
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot store what objects look like");
	return kb_uprobes__attach_opts(p->audit_uprobes, p->bpf->progs.on_audit, path,
				       probes->offsets, probes->cookies, probes->n, &opts);
}

void kb_audit_programs__detach(struct kb_programs *p)
{
	kb_uprobes__destroy(p->audit_uprobes);
	p->audit_uprobes = NULL;
}

struct kb_error *kb_audit_programs__set_rules(struct kb_programs *p,
					      const struct kb_audit_rule *rules, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (bpf_map_update_elem(bpf_map__fd(p->bpf->maps.audit_rules), &i, &rules[i],
					BPF_ANY))
			return kb_error__from_errno(errno, KB_STATUS_FAILED,
						    "cannot store which events to report");
	}
	return NULL;
}

struct kb_error *kb_audit_programs__each_tally(struct kb_programs *p, kb_audit_tally_fn fn,
					       void *context)
{
	int fd = bpf_map__fd(p->bpf->maps.audit_counts);
	struct kb_audit_tally_key key, *after = NULL;
	struct kb_audit_tally count;

	/* Nothing is ever taken out of it, so that the walk ends. */
	while (!bpf_map_get_next_key(fd, after, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &count))
			fn(&key, &count, context);
		after = &key;
	}
	return errno == ENOENT ? NULL
			       : kb_error__from_errno(errno, KB_STATUS_FAILED,
						      "cannot read the table of events");
}
