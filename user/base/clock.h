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

#endif
