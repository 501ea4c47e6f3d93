/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_SAMPLE_TIME_H
#define KB_FORMAT_SAMPLE_TIME_H

#include "keelback/profile.h"

/* Samples per second of running time; 0 when the profile does not say a usable number. */
double kb_sample_time__rate(const struct kb_profile *profile);

/* Counts per second of time, whatever their unit; 0 likewise. */
double kb_sample_time__per_second(const struct kb_profile *profile);

/* The time that a count stands for, in seconds; 0 when per_second is 0. */
double kb_sample_time__seconds(uint64_t count, double per_second);

#endif
