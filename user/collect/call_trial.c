// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The trial of an interpreter: a program times functions that call a lot, and one that calls
 * nothing, without probes. Then it runs them in a session of our own that counts and samples
 * it. The same rounds give both: by how much calls look longer in the session, beside what
 * calls nothing, is what probes leave behind.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "collect/call_trial.h"
#include "keelback/call_counter.h"
#include "system/process.h"

/* As often as does not yet change the result: an interrupt is slower after a probe, too. */
#define RATE_HZ	   10000
#define TIMEOUT_MS 20000 /* on a busy machine; the program itself stops after 4 seconds each */
#define REACH	   2.5	 /* in plain calls, as measured: docs/OVERHEAD.md */

/* Calls with little in them, of each kind; those of a plain function count twice. */
static const char program[] = "import sys, time\n"
			      "clock = time.process_time\n"
			      "class Thing:\n"
			      "    def method(self, a, b, c):\n"
			      "        self.total = a + b\n"
			      "        return c\n"
			      "thing = Thing()\n"
			      "def leaf(x):\n"
			      "    return x\n"
			      "def generator(n):\n"
			      "    for i in range(n): yield i\n"
			      "def fib(n):\n"
			      "    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
			      "def calls():\n"
			      "    for i in range(2000): leaf(i)\n"
			      "def methods():\n"
			      "    t = thing\n"
			      "    for i in range(1000): t.method(i, 1, 2)\n"
			      "def resumptions():\n"
			      "    for i in generator(1000): pass\n"
			      "def recursion():\n"
			      "    fib(14)\n"
			      "def loop():\n"
			      "    s = 0\n"
			      "    for i in range(40000): s += i\n"
			      "functions = calls, methods, resumptions, recursion, loop\n"
			      "def rounds(n):\n"
			      "    totals = [0] * 5\n"
			      "    until = time.monotonic() + 4\n"
			      "    done = 0\n"
			      "    while done < n and time.monotonic() < until:\n"
			      "        for which in range(5):\n"
			      "            began = clock()\n"
			      "            functions[which]()\n"
			      "            totals[which] += clock() - began\n"
			      "        done += 1\n"
			      "    return [int(total / done * 1e9) for total in totals]\n"
			      "rounds(5)\n"
			      "print(*rounds(100), flush=True)\n"
			      "sys.stdin.readline()\n"
			      "rounds(300)\n"
			      "print(flush=True)\n"
			      "sys.stdin.readline()\n";

static const char *const called[] = { "calls", "methods", "resumptions", "recursion" };
#define N_CALLED 4

struct runner {
	pid_t pid;
	int socket;			  /* its stdin and stdout */
	double bare[N_CALLED], bare_loop; /* ns in a round */
};

void kb_call_trial__init(struct kb_call_trial *trial)
{
	trial->root = -1;
}

void kb_call_trial__free(struct kb_call_trial *trial)
{
	if (trial->root >= 0)
		close(trial->root);
	trial->root = -1;
}

/* Something that embeds an interpreter would not know what to do with our arguments. */
static bool is_plain_python(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && !strncmp(name + 1, "python", 6) &&
	       name[7 + strspn(name + 7, "0123456789.dt")] == '\0';
}

/* The target of a link in /proc; false: none, or too long. */
static bool read_link(pid_t pid, const char *name, char *target, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = readlink(path, target, size);
	if (n <= 0 || (size_t)n == size)
		return false;
	target[n] = '\0';
	return true;
}

void kb_call_trial__note(struct kb_call_trial *trial, pid_t pid)
{
	char root[PATH_MAX], path[64];
	size_t length;

	if (trial->root >= 0 ||
	    !read_link(pid, "exe", trial->interpreter, sizeof(trial->interpreter)) ||
	    !is_plain_python(trial->interpreter) || !kb_process__same_rights(pid) ||
	    !read_link(pid, "root", root, sizeof(root)))
		return;
	/* Both are told from our own root, but it will be run from its. */
	trial->own_root = !strcmp(root, "/");
	length = trial->own_root ? 0 : strlen(root);
	if (strncmp(trial->interpreter, root, length) || trial->interpreter[length] != '/')
		return;
	memmove(trial->interpreter, trial->interpreter + length,
		strlen(trial->interpreter + length) + 1);
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	trial->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* ---------------------------------------------------------------- the process */

/* Reads nothing of the user's (-I), no site packages (-S), writes nothing (-B). */
static void become_interpreter(const struct kb_call_trial *trial, int socket)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(socket, 0) < 0 || dup2(socket, 1) < 0 || dup2(null, 2) < 0 ||
	    fchdir(trial->root) || (!trial->own_root && chroot(".")) || chdir("/"))
		_exit(127);
	execl(trial->interpreter, trial->interpreter, "-I", "-S", "-B", "-c", program,
	      (char *)NULL);
	_exit(127);
}

static bool start(const struct kb_call_trial *trial, struct runner *runner)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return false;
	runner->socket = ends[0];
	runner->pid = fork();
	if (!runner->pid)
		become_interpreter(trial, ends[1]);
	close(ends[1]);
	return runner->pid > 0;
}

static void end(struct runner *runner)
{
	if (runner->pid > 0) {
		kill(runner->pid, SIGKILL);
		waitpid(runner->pid, NULL, 0);
	}
	if (runner->socket >= 0)
		close(runner->socket);
}

static bool await_output(const struct runner *runner, int timeout_ms)
{
	struct pollfd fd = { .fd = runner->socket, .events = POLLIN };

	return poll(&fd, 1, timeout_ms) > 0;
}

static bool read_bare(struct runner *runner)
{
	char line[256];
	ssize_t n;

	if (!await_output(runner, TIMEOUT_MS))
		return false;
	n = read(runner->socket, line, sizeof(line) - 1);
	if (n <= 0)
		return false;
	line[n] = '\0';
	return sscanf(line, "%lf %lf %lf %lf %lf", &runner->bare[0], &runner->bare[1],
		      &runner->bare[2], &runner->bare[3], &runner->bare_loop) == N_CALLED + 1;
}

/* ---------------------------------------------------------------- the session */

static struct kb_error *observe(const struct runner *runner, struct kb_call_counter *counter)
{
	uint64_t until = kb_now(CLOCK_MONOTONIC) + TIMEOUT_MS * KB_NS_PER_MS;
	bool done = false;

	KB_TRY(kb_call_counter__start(counter));
	if (send(runner->socket, "\n", 1, MSG_NOSIGNAL) != 1)
		return kb_failed("it has ended");
	while (!done && !await_output(runner, 0)) {
		if (kb_now(CLOCK_MONOTONIC) > until)
			return kb_failed("it takes too long");
		KB_TRY(kb_call_counter__poll(counter, 20, &done));
	}
	return kb_call_counter__stop(counter);
}

static struct kb_error *count(const struct runner *runner, struct kb_target **target,
			      struct kb_call_counter **counter)
{
	struct kb_target_opts which = { .size = sizeof(which), .pids = &runner->pid, .n_pids = 1 };
	struct kb_call_counter_opts opts = { .size = sizeof(opts),
					     .timing = KB_CALLS_SAMPLED,
					     .clock = KB_CALLS_CPU,
					     .rate_hz = RATE_HZ,
					     .as_sampled = true };

	KB_TRY(kb_target__create(&which, target));
	KB_TRY(kb_call_counter__create(*target, &opts, counter));
	return observe(runner, *counter);
}

static const struct kb_call_stats *stats_of(const struct kb_calls *calls, const char *name)
{
	static const struct kb_call_stats none;

	for (uint32_t i = 0; i < kb_calls__n_functions(calls); i++)
		if (!strcmp(kb_calls__function(calls, i)->name, name))
			return &kb_calls__function(calls, i)->stats;
	return &none;
}

/* Samples are interrupts, which take time themselves: the loop says by how much all is longer. */
static bool conclude(const struct runner *runner, const struct kb_calls *calls,
		     struct kb_call_aftermath *aftermath)
{
	const struct kb_call_stats *loop = stats_of(calls, "loop"), *leaf = stats_of(calls, "leaf");
	double longer, bare = 0, probed = 0;

	if (!loop->ncalls || !leaf->ncalls || loop->cumtime <= 0 || runner->bare_loop <= 0)
		return false;
	longer = loop->cumtime / (double)loop->ncalls / KB_CALLS_SECONDS(runner->bare_loop);
	for (int i = 0; i < N_CALLED; i++) {
		bare += KB_CALLS_SECONDS(runner->bare[i]);
		probed += stats_of(calls, called[i])->cumtime / (double)loop->ncalls / longer;
	}
	if (probed <= bare)
		return false;
	aftermath->share = 1 - bare / probed;
	aftermath->reach =
		REACH * stats_of(calls, called[0])->cumtime / longer / (double)leaf->ncalls;
	kb_debug("after a probe %.0f%% of the time is what it left behind, for %.0f ns",
		 aftermath->share * 100, aftermath->reach * 1e9);
	return true;
}

bool kb_call_trial__run(const struct kb_call_trial *trial, struct kb_call_aftermath *aftermath)
{
	struct runner runner = { .pid = -1, .socket = -1 };
	struct kb_call_counter *counter = NULL;
	struct kb_target *target = NULL;
	struct kb_error *err = NULL;
	bool known = false;

	if (trial->root < 0)
		return false;
	if (start(trial, &runner) && read_bare(&runner)) {
		err = count(&runner, &target, &counter);
		known = !err && conclude(&runner, kb_call_counter__calls(counter), aftermath);
	}
	if (err)
		kb_debug("no trial of %s: %s", trial->interpreter, kb_error__text(err));
	else if (!known)
		kb_debug("a trial of %s gave nothing", trial->interpreter);
	kb_error__destroy(err);
	kb_call_counter__destroy(counter);
	kb_target__destroy(target);
	end(&runner);
	return known;
}
