/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_SAMPLE_TIME_H
#define KB_FORMAT_SAMPLE_TIME_H

#include "keelback/profile.h"

/* Samples per second of running time; 0 when the profile does not say a usable number. */
double kb_sample_time__rate(const struct kb_profile *profile);

/* Running time that samples stand for, in seconds; 0 when the rate is 0. */
double kb_sample_time__seconds(uint64_t samples, double rate);

#endif
