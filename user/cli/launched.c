// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include "cli/interrupt.h"
#include "cli/launched.h"
#include "cli/report.h"

int kb_launched__interrupt(struct kb_launched *launched)
{
	bool from_terminal;
	int signal = kb_interrupt__received(&from_terminal);
	pid_t pid = kb_sampler__command_pid(launched->sampler);

	if (signal && pid > 0 && !launched->forwarded &&
	    kb_sampler__command_status(launched->sampler) < 0) {
		launched->forwarded = true;
		if (!from_terminal)
			kill(pid, signal);
	}
	return signal;
}

/* The command may run on when collecting has ended. Returns its wait status. */
static int await_end(struct kb_launched *launched, bool quiet)
{
	pid_t pid = kb_sampler__command_pid(launched->sampler);
	int status = kb_sampler__command_status(launched->sampler);

	if (pid <= 0 || status >= 0)
		return status < 0 ? 0 : status;
	if (!quiet)
		kb_say("collecting has ended, waiting for the command");
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			status = kb_sampler__command_status(launched->sampler);
			return status < 0 ? 0 : status;
		}
		kb_launched__interrupt(launched);
	}
	return status;
}

int kb_launched__await(struct kb_launched *launched, bool quiet)
{
	int status = await_end(launched, quiet);

	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
