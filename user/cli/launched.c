// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include "cli/interrupt.h"
#include "cli/launched.h"
#include "cli/report.h"

static pid_t sampler_pid(const void *sampler)
{
	return kb_sampler__command_pid(sampler);
}

static int sampler_status(const void *sampler)
{
	return kb_sampler__command_status(sampler);
}

void kb_launched__of_sampler(struct kb_launched *launched, const struct kb_sampler *sampler)
{
	*launched = (struct kb_launched){ .session = sampler,
					  .pid = sampler_pid,
					  .status = sampler_status };
}

static pid_t pid_of(const struct kb_launched *launched)
{
	return launched->session ? launched->pid(launched->session) : 0;
}

static int status_of(const struct kb_launched *launched)
{
	return launched->session ? launched->status(launched->session) : -1;
}

int kb_launched__interrupt(struct kb_launched *launched)
{
	bool from_terminal;
	int signal = kb_interrupt__received(&from_terminal);
	pid_t pid = pid_of(launched);

	if (signal && pid > 0 && !launched->forwarded && status_of(launched) < 0) {
		launched->forwarded = true;
		if (!from_terminal)
			kill(pid, signal);
	}
	return signal;
}

/* The command may run on when collecting has ended. Returns its wait status. */
static int await_end(struct kb_launched *launched, bool quiet)
{
	pid_t pid = pid_of(launched);
	int status = status_of(launched);

	if (pid <= 0 || status >= 0)
		return status < 0 ? 0 : status;
	if (!quiet)
		kb_say("collecting has ended, waiting for the command");
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			status = status_of(launched);
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
