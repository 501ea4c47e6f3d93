// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cli/alert.h"
#include "cli/report.h"

#define SAID_BYTES 1024 /* of an event in a line */

static void say(const struct kb_audit_rule_info *rule, const struct kb_audit_event *event)
{
	struct kb_audit_event without_stack = *event;
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return;
	without_stack.node = KB_ID_NONE;
	kb_audit_event__write_text(&without_stack, stream);
	if (fclose(stream) == 0)
		kb_say("alert: %s: %.*s", rule->name,
		       size > SAID_BYTES ? SAID_BYTES : (int)size - 1, text);
	free(text);
}

/* The event as JSON in memory, to be read from its beginning; -1: no memory. */
static int open_event(const struct kb_audit_event *event)
{
	int fd = memfd_create("event", MFD_CLOEXEC), copy = fd < 0 ? -1 : dup(fd);
	FILE *stream = copy < 0 ? NULL : fdopen(copy, "w");

	if (stream) {
		kb_audit_event__write_json(event, stream);
		if (fclose(stream) == 0 && lseek(fd, 0, SEEK_SET) == 0)
			return fd;
	} else if (copy >= 0) {
		close(copy);
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Its input is the event, its output our stderr: stdout may be where the events go. */
static bool start(const struct kb_audit_rule_info *rule, const struct kb_audit_event *event,
		  pid_t *pid)
{
	int input = open_event(event), status = -1;
	posix_spawn_file_actions_t actions;

	if (input < 0)
		return false;
	if (!posix_spawn_file_actions_init(&actions)) {
		posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
		posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
		status =
			posix_spawnp(pid, rule->command[0], &actions, NULL, rule->command, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(input);
	if (status)
		kb_say("cannot run '%s': %s", rule->command[0], strerror(status));
	return !status;
}

static void run(struct kb_alerts *alerts, const struct kb_audit_rule_info *rule,
		const struct kb_audit_event *event)
{
	kb_alerts__look(alerts);
	for (int i = 0; i < KB_ALERT_COMMANDS_MAX; i++) {
		if (alerts->running[i])
			continue;
		if (!start(rule, event, &alerts->running[i])) {
			alerts->running[i] = 0;
			alerts->not_run++;
		}
		return;
	}
	alerts->not_run++;
}

void kb_alerts__raise(struct kb_alerts *alerts, const struct kb_audit_rule_info *rule,
		      const struct kb_audit_event *event)
{
	alerts->n++;
	alerts->fail |= rule->fail;
	if (!rule->silent && !alerts->quiet)
		say(rule, event);
	if (rule->command)
		run(alerts, rule, event);
}

void kb_alerts__look(struct kb_alerts *alerts)
{
	for (int i = 0; i < KB_ALERT_COMMANDS_MAX; i++)
		if (alerts->running[i] && waitpid(alerts->running[i], NULL, WNOHANG))
			alerts->running[i] = 0;
}
