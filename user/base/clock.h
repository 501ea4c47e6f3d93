/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_CLOCK_H
#define KB_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define KB_NS_PER_SECOND 1000000000ull
#define KB_NS_PER_MS	 1000000ull

/* Nanoseconds of a clock; CLOCK_MONOTONIC is what bpf_ktime_get_ns() reads. */
static inline uint64_t kb_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * KB_NS_PER_SECOND + t.tv_nsec;
}

/* ms from now until a time, rounded up (waiting too short a time would become a busy loop), at most
 * limit. */
static inline int kb_ms_until(uint64_t now, uint64_t then, int limit)
{
	uint64_t ms = then > now ? (then - now + KB_NS_PER_MS - 1) / KB_NS_PER_MS : 0;

	return ms < (uint64_t)limit ? (int)ms : limit;
}

#endif
