// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "collect/launch.h"
#include "system/process.h"

/* From the notice to the stop are some microseconds; 20 ms on a busy machine, and if it stops later
 * than that it does not stop at all. */
#define HOLD_LOOKS   400
#define HOLD_LOOK_US 50

/* The child: waits for its turn, then becomes the command. */
static void run_child(char *const *argv, const int *stdio, int go, int failed)
{
	char turn;
	int reason;

	/* End of file: keelback gave up or died before the command was to start. */
	if (read(go, &turn, 1) != 1)
		_exit(127);
	/* If keelback dies while the command is held it goes on; otherwise this does nothing. */
	prctl(PR_SET_PDEATHSIG, SIGCONT);
	for (int i = 0; i < 3; i++) {
		if (stdio[i] != i)
			dup2(stdio[i], i);
	}
	execvp(argv[0], argv);
	reason = errno;
	if (write(failed, &reason, sizeof(reason)) < 0)
		_exit(126);
	_exit(127);
}

struct kb_error *kb_launch__start(char *const *argv, const int *stdio, struct kb_launch *launch)
{
	int go[2], failed[2];

	launch->pid = 0;
	launch->status = -1;
	if (pipe2(go, O_CLOEXEC) || pipe2(failed, O_CLOEXEC))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot make a pipe");
	launch->pid = fork();
	if (launch->pid < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot start a process");
	if (!launch->pid) {
		close(go[1]);
		run_child(argv, stdio, go[0], failed[1]);
	}
	close(go[0]);
	close(failed[1]);
	launch->go = go[1];
	launch->failed = failed[0];
	return NULL;
}

struct kb_error *kb_launch__release(struct kb_launch *launch, const char *command)
{
	int reason = 0;
	ssize_t n;

	if (write(launch->go, "", 1) != 1)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot start '%s'", command);
	close(launch->go);
	do {
		/* Closed by a successful execution. */
		n = read(launch->failed, &reason, sizeof(reason));
	} while (n < 0 && errno == EINTR);
	close(launch->failed);
	launch->go = launch->failed = -1;
	if (n <= 0)
		return NULL;
	waitpid(launch->pid, &launch->status, 0);
	launch->pid = 0;
	return kb_error__from_errno(reason, KB_STATUS_USAGE, "cannot run '%s'", command);
}

bool kb_launch__ended(struct kb_launch *launch)
{
	if (launch->pid && launch->status < 0) {
		int status;

		if (waitpid(launch->pid, &status, WNOHANG) == launch->pid)
			launch->status = status;
	}
	return launch->status >= 0;
}

void kb_launch__await_hold(const struct kb_launch *launch)
{
	struct kb_process_stat stat;

	for (int i = 0; i < HOLD_LOOKS && kb_process__stat(launch->pid, &stat); i++) {
		if (stat.state == 'T' || stat.state == 'Z')
			break;
		usleep(HOLD_LOOK_US);
	}
}

void kb_launch__go_on(const struct kb_launch *launch)
{
	if (launch->pid && launch->status < 0)
		kill(launch->pid, SIGCONT);
}

void kb_launch__cancel(struct kb_launch *launch)
{
	if (!launch->pid || launch->go < 0)
		return;
	close(launch->go);
	close(launch->failed);
	waitpid(launch->pid, NULL, 0);
	launch->pid = 0;
}
