// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/interrupt.h"
#include "cli/output.h"

/*
 * timeout(1) and shells signal a process and then its group: the same signal twice
 * within microseconds is one request.
 */
#define SAME_REQUEST_NS (50 * KB_NS_PER_MS)

static volatile sig_atomic_t received, terminal;
static volatile uint64_t received_at; /* written before received is set, in the same thread */

static void (*volatile on_abandon)(void);

static void on_interrupt(int signal, siginfo_t *info, void *context)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC);

	if (!received) {
		received_at = now;
		terminal = info->si_code == SI_KERNEL;
		received = signal;
	} else if (now - received_at > SAME_REQUEST_NS) {
		kb_output__abandon();
		if (on_abandon)
			on_abandon();
		_exit(128 + signal);
	}
}

static void on_pipe(int signal)
{
}

void kb_interrupt__install(void)
{
	/* No SA_RESTART: waits end. */
	struct sigaction interrupt = { .sa_sigaction = on_interrupt, .sa_flags = SA_SIGINFO };
	struct sigaction pipe = { .sa_handler = on_pipe, .sa_flags = SA_RESTART }, old;

	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGTERM, &interrupt, NULL);
	sigaction(SIGHUP, NULL, &old);
	if (old.sa_handler != SIG_IGN) /* nohup(1) */
		sigaction(SIGHUP, &interrupt, NULL);
	sigaction(SIGPIPE, &pipe, NULL);
}

void kb_interrupt__on_abandon(void (*fn)(void))
{
	on_abandon = fn;
}

int kb_interrupt__received(bool *from_terminal)
{
	*from_terminal = terminal;
	return received;
}
