/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_AUDIT_RULES_H
#define KB_COLLECT_AUDIT_RULES_H

#include <stdbool.h>
#include "bpf/shared/audit.h"
#include "keelback/audit.h"

/* Which events are reported, as the kernel side asks for it: from names and beginnings of names. */
struct kb_audit_rules {
	struct kb_audit_rule rules[KB_AUDIT_RULES_MAX]; /* the longest first */
	uint32_t n;
	bool others; /* events that no rule names, too */
};

struct kb_error *kb_audit_rules__make(const struct kb_audit_opts *opts,
				      struct kb_audit_rules *rules);

#endif
