// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "system/launcher.h"

struct kb_launcher {
	pid_t pid, running; /* running: the command's process group, 0: none */
	int fd;
};

/* ---------------------------------------------------------------- in the other process */

/* A command that cannot be started ends as a shell's does. */
#define NOT_STARTED 127

static void become_command(const struct kb_launcher_opts *opts, bool ignore_hangup)
{
	int null = open("/dev/null", O_RDWR);
	int out = opts->show_output ? STDERR_FILENO : null;

	setpgid(0, 0);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, ignore_hangup ? SIG_IGN : SIG_DFL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0)
		_exit(NOT_STARTED);
	close(null);
	execl("/bin/sh", "sh", "-c", opts->command, NULL);
	_exit(NOT_STARTED);
}

static uint64_t microseconds(const struct timeval *t)
{
	return t->tv_sec * 1000000ull + t->tv_usec;
}

static void add_usage(struct kb_launched_run *run, const struct rusage *usage)
{
	uint64_t rss = usage->ru_maxrss * 1024ull;

	run->cpu_ns += (microseconds(&usage->ru_utime) + microseconds(&usage->ru_stime)) * 1000;
	run->voluntary += usage->ru_nvcsw;
	run->involuntary += usage->ru_nivcsw;
	run->faults += usage->ru_minflt + usage->ru_majflt;
	run->rss = rss > run->rss ? rss : run->rss;
}

/* What the command has left behind is ours, as we are a subreaper. What has ended counts; what
 * runs on would disturb the next run. */
static void reap_rest(pid_t group, struct kb_launched_run *run)
{
	struct rusage usage;
	pid_t pid;

	while ((pid = wait4(-1, NULL, WNOHANG, &usage)) > 0)
		add_usage(run, &usage);
	if (pid < 0 || kill(-group, SIGKILL))
		return;
	while (wait4(-group, NULL, 0, &usage) > 0) {
		add_usage(run, &usage);
		run->left_behind++;
	}
}

/* ---- the PMU */

struct server {
	bool ignore_hangup; /* commands, too: nohup(1) */
	/* Counters of this process and of all that it will start, whose counts arrive when they
	 * end; -1: there is no PMU. */
	int instructions, cycles;
};

static int open_counter(uint64_t event)
{
	struct perf_event_attr attr = { .size = sizeof(attr),
					.type = PERF_TYPE_HARDWARE,
					.config = event,
					.inherit = 1,
					.exclude_kernel = 1,
					.exclude_hv = 1 };

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static uint64_t count(int counter)
{
	uint64_t value;

	return read(counter, &value, sizeof(value)) == sizeof(value) ? value : KB_LAUNCHED_UNKNOWN;
}

/* What has been counted since then. The few thousand instructions between are ours. */
static uint64_t counted_since(int counter, uint64_t before)
{
	uint64_t now = count(counter);

	return now == KB_LAUNCHED_UNKNOWN || before == KB_LAUNCHED_UNKNOWN ? KB_LAUNCHED_UNKNOWN
									   : now - before;
}

/* ---- a run */

static bool serve_one(const struct kb_launcher_opts *opts, const struct server *server, int fd)
{
	struct kb_launched_run run = {};
	uint64_t instructions = count(server->instructions), cycles = count(server->cycles);
	uint64_t start = kb_now(CLOCK_MONOTONIC);
	struct rusage usage;
	pid_t pid = fork();

	if (!pid)
		become_command(opts, server->ignore_hangup);
	if (pid > 0)
		setpgid(pid, pid);
	if (write(fd, &pid, sizeof(pid)) != sizeof(pid) || pid < 0)
		return false;
	while (wait4(pid, &run.status, 0, &usage) < 0)
		if (errno != EINTR)
			return false;
	run.wall_ns = kb_now(CLOCK_MONOTONIC) - start;
	add_usage(&run, &usage);
	reap_rest(pid, &run);
	run.instructions = counted_since(server->instructions, instructions);
	run.cycles = counted_since(server->cycles, cycles);
	return write(fd, &run, sizeof(run)) == sizeof(run);
}

static void serve(const struct kb_launcher_opts *opts, int fd)
{
	struct server server;
	char request;

	/* An interrupt from the terminal is for keelback, which decides what becomes of the run. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	server.ignore_hangup = signal(SIGHUP, SIG_IGN) == SIG_IGN;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (opts->dir && chdir(opts->dir))
		_exit(1);
	server.instructions = open_counter(PERF_COUNT_HW_INSTRUCTIONS);
	server.cycles = open_counter(PERF_COUNT_HW_CPU_CYCLES);
	/* End of file: keelback has ended. */
	while (read(fd, &request, 1) == 1)
		if (!serve_one(opts, &server, fd))
			_exit(1);
	_exit(0);
}

/* ---------------------------------------------------------------- here */

struct kb_error *kb_launcher__create(const struct kb_launcher_opts *opts,
				     struct kb_launcher **result)
{
	struct kb_launcher *launcher;
	int fds[2];

	if (opts->dir && access(opts->dir, X_OK))
		return kb_error__from_errno(errno, KB_STATUS_USAGE, "cannot enter '%s'", opts->dir);
	launcher = calloc(1, sizeof(*launcher));
	if (!launcher)
		return kb_error__no_memory();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		free(launcher);
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot make a socket");
	}
	fflush(NULL);
	launcher->pid = fork();
	if (!launcher->pid) {
		close(fds[0]);
		serve(opts, fds[1]);
	}
	close(fds[1]);
	launcher->fd = fds[0];
	*result = launcher;
	if (launcher->pid > 0)
		return NULL;
	kb_launcher__destroy(launcher);
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot start a process");
}

void kb_launcher__destroy(struct kb_launcher *launcher)
{
	if (!launcher)
		return;
	kb_launcher__kill(launcher);
	/* It would see the end of file, unless a later one has inherited this end. */
	if (launcher->pid > 0)
		kill(launcher->pid, SIGKILL);
	close(launcher->fd);
	while (launcher->pid > 0 && waitpid(launcher->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(launcher);
}

pid_t kb_launcher__pid(const struct kb_launcher *launcher)
{
	return launcher->pid;
}

int kb_launcher__fd(const struct kb_launcher *launcher)
{
	return launcher->fd;
}

static struct kb_error *receive(struct kb_launcher *launcher, void *bytes, size_t size)
{
	ssize_t got;

	do {
		got = recv(launcher->fd, bytes, size, MSG_WAITALL);
	} while (got < 0 && errno == EINTR);
	return got == (ssize_t)size ? NULL : kb_failed("the process that runs commands has ended");
}

struct kb_error *kb_launcher__run(struct kb_launcher *launcher)
{
	if (send(launcher->fd, "", 1, MSG_NOSIGNAL) != 1)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot start the command");
	return receive(launcher, &launcher->running, sizeof(launcher->running));
}

struct kb_error *kb_launcher__result(struct kb_launcher *launcher, struct kb_launched_run *run)
{
	KB_TRY(receive(launcher, run, sizeof(*run)));
	launcher->running = 0;
	return NULL;
}

void kb_launcher__kill(struct kb_launcher *launcher)
{
	if (launcher->running > 0)
		kill(-launcher->running, SIGKILL);
}

void kb_launcher__describe(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == NOT_STARTED)
		snprintf(text, size, "exited with status %d: was it found?", NOT_STARTED);
	else
		snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
}
