// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "kernel/clock.h"
#include "kernel/cpus.h"

/*
 * Redrawing costs two wakeups' worth of time and an interrupt of the thread's CPU, some
 * 50 µs: 1 % of a CPU at every 5 ms.
 */
#define JITTER_SHARE	  16 /* of the period: drawn from 31/32 to 33/32 of it */
#define JITTER_MIN_NS	  (20 * KB_NS_PER_MS)
#define JITTER_MAX_NS	  (200 * KB_NS_PER_MS)
#define JITTER_SAMPLES	  20
#define JITTER_EVENTS_MAX 64 /* in one turn; more events take turns */
/*
 * The kernel begins a period anew when it is redrawn (__perf_event_period() in
 * kernel/events/core.c): a thread that sleeps most of the time would never come to the end of one,
 * and be missing. It is redrawn after so many periods of the thread's own time, of which half a
 * one is lost: fewer than JITTER_SAMPLES, so that a thread that runs all the time has its turn.
 */
#define JITTER_PERIODS_MIN (JITTER_SAMPLES / 2)
#define EVENTS_MAX	   65536

struct event {
	int fd;
	uint64_t ran_ns; /* what its threads had run when it was last redrawn */
};

struct kb_clock {
	struct kb_clock_opts opts;
	bool cycles;
	struct event *events;
	uint32_t n, capacity;
	uint64_t period_ns;
	uint64_t next_jitter;
	uint32_t next_event; /* whose period is redrawn next */
	uint64_t random;
};

static int open_event(const struct perf_event_attr *attr, pid_t tid, int cpu)
{
	return syscall(SYS_perf_event_open, attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* A PMU is there when a counter of cycles can be opened on this process. */
static bool have_cycles(void)
{
	struct perf_event_attr attr = { .size = sizeof(attr),
					.type = PERF_TYPE_HARDWARE,
					.config = PERF_COUNT_HW_CPU_CYCLES,
					.sample_freq = 100,
					.freq = 1,
					.disabled = 1 };
	int fd = open_event(&attr, 0, -1);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

double kb_clock__mean_rate(unsigned rate_hz, bool jitter)
{
	return jitter ? rate_hz / KB_CLOCK_OFFBEAT : rate_hz;
}

struct kb_error *kb_clock__create(const struct kb_clock_opts *opts, struct kb_clock **result)
{
	struct kb_clock *clock = calloc(1, sizeof(*clock));

	if (!clock)
		return kb_error__no_memory();
	clock->opts = *opts;
	clock->period_ns = KB_NS_PER_SECOND / kb_clock__mean_rate(opts->rate_hz, opts->jitter);
	clock->cycles = !opts->software && have_cycles();
	if (getrandom(&clock->random, sizeof(clock->random), GRND_NONBLOCK) < 0)
		clock->random = kb_now(CLOCK_MONOTONIC);
	clock->random |= 1; /* xorshift must not start at 0 */
	*result = clock;
	return NULL;
}

void kb_clock__destroy(struct kb_clock *clock)
{
	if (!clock)
		return;
	for (uint32_t i = 0; i < clock->n; i++)
		close(clock->events[i].fd);
	free(clock->events);
	free(clock);
}

static void describe(const struct kb_clock *clock, struct perf_event_attr *attr)
{
	memset(attr, 0, sizeof(*attr));
	attr->size = sizeof(*attr);
	attr->disabled = 1;
	if (clock->cycles) {
		/* Follows the clock frequency by itself, which varies the period too. */
		attr->type = PERF_TYPE_HARDWARE;
		attr->config = PERF_COUNT_HW_CPU_CYCLES;
		attr->freq = 1;
		attr->sample_freq = clock->opts.rate_hz;
	} else {
		attr->type = PERF_TYPE_SOFTWARE;
		attr->config = PERF_COUNT_SW_CPU_CLOCK;
		attr->sample_period = clock->period_ns;
	}
}

static struct kb_error *add(struct kb_clock *clock, int fd, bool enable)
{
	struct event *events = kb_array__grow(clock->events, &clock->capacity, clock->n + 1,
					      sizeof(*events), EVENTS_MAX);

	if (!events) {
		close(fd);
		return kb_failed("more than %d sampling events", EVENTS_MAX);
	}
	clock->events = events;
	clock->events[clock->n++] = (struct event){ .fd = fd };
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, clock->opts.prog_fd) ||
	    (enable && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)))
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot start a sampling event");
	return NULL;
}

static struct kb_error *open_failed(void)
{
	if (errno == EACCES || errno == EPERM)
		return kb_unsupported("cannot open perf events: needs root or CAP_PERFMON");
	if (errno == EMFILE || errno == ENFILE)
		return kb_failed("too many open files: raise the limit with 'ulimit -n'");
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open a perf event");
}

struct kb_error *kb_clock__add_cpus(struct kb_clock *clock)
{
	struct perf_event_attr attr;
	struct kb_cpus cpus;

	KB_TRY(kb_cpus__online(&cpus));
	describe(clock, &attr);
	for (int cpu = 0; cpu < KB_CPUS_MAX; cpu++) {
		int fd;

		if (!kb_cpus__has(&cpus, cpu))
			continue;
		fd = open_event(&attr, -1, cpu);
		if (fd < 0)
			return open_failed();
		KB_TRY(add(clock, fd, true));
	}
	return NULL;
}

struct kb_error *kb_clock__add_thread(struct kb_clock *clock, pid_t tid, bool on_exec)
{
	struct perf_event_attr attr;
	int fd;

	describe(clock, &attr);
	attr.inherit = 1;
	/* Threads only, no child processes: Linux 5.13, commit 2b26f0aa0046. */
	attr.inherit_thread = !clock->opts.inherit;
	attr.enable_on_exec = on_exec;
	fd = open_event(&attr, tid, -1);
	if (fd < 0 && errno == ESRCH)
		return NULL;
	if (fd < 0)
		return open_failed();
	return add(clock, fd, !on_exec);
}

static uint64_t draw(struct kb_clock *clock)
{
	clock->random ^= clock->random << 13;
	clock->random ^= clock->random >> 7;
	clock->random ^= clock->random << 17;
	return clock->random;
}

/* False for the event of a thread that has ended, too. */
static bool has_run(const struct kb_clock *clock, struct event *event)
{
	uint64_t ran_ns;

	if (read(event->fd, &ran_ns, sizeof(ran_ns)) != sizeof(ran_ns) ||
	    ran_ns - event->ran_ns < clock->period_ns * JITTER_PERIODS_MIN)
		return false;
	event->ran_ns = ran_ns;
	return true;
}

uint64_t kb_clock__jitter(struct kb_clock *clock, uint64_t now)
{
	uint64_t interval = clock->period_ns * JITTER_SAMPLES;
	uint32_t turns = clock->n < JITTER_EVENTS_MAX ? clock->n : JITTER_EVENTS_MAX;

	if (!clock->opts.jitter || clock->cycles || !clock->n)
		return 0;
	if (now < clock->next_jitter)
		return clock->next_jitter - now;
	for (uint32_t i = 0; i < turns; i++) {
		uint64_t span = clock->period_ns / JITTER_SHARE;
		uint64_t period = clock->period_ns - span / 2 + draw(clock) % (span + 1);
		struct event *event = &clock->events[clock->next_event++ % clock->n];

		if (has_run(clock, event))
			ioctl(event->fd, PERF_EVENT_IOC_PERIOD, &period);
	}
	if (interval < JITTER_MIN_NS)
		interval = JITTER_MIN_NS;
	if (interval > JITTER_MAX_NS)
		interval = JITTER_MAX_NS;
	clock->next_jitter = now + interval;
	return interval;
}

void kb_clock__pause(struct kb_clock *clock, bool paused)
{
	for (uint32_t i = 0; i < clock->n; i++)
		ioctl(clock->events[i].fd, paused ? PERF_EVENT_IOC_DISABLE : PERF_EVENT_IOC_ENABLE,
		      0);
}

bool kb_clock__is_cycles(const struct kb_clock *clock)
{
	return clock->cycles;
}
