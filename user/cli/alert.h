/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_ALERT_H
#define KB_CLI_ALERT_H

#include "keelback/audit.h"

/* What an event that a policy names calls for: a line, a command, an exit status. */
#define KB_ALERT_COMMANDS_MAX 16 /* run at the same time; further ones are counted and not run */

struct kb_alerts {
	pid_t running[KB_ALERT_COMMANDS_MAX];
	uint64_t n;	  /* alerts */
	uint64_t not_run; /* commands */
	bool fail;	  /* a rule asks for status 3 */
	bool quiet;	  /* without lines */
};

void kb_alerts__raise(struct kb_alerts *alerts, const struct kb_audit_rule_info *rule,
		      const struct kb_audit_event *event);
/* Reaps commands that have ended. */
void kb_alerts__look(struct kb_alerts *alerts);

#endif
