/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CALLS_OF_SAMPLES_H
#define KB_FORMAT_CALLS_OF_SAMPLES_H

#include "format/function_table.h"
#include "keelback/calls.h"

/*
 * A sampling profile as call statistics: samples stand where those have calls, as
 * in the files of profiling.sampling (3.15), those that executed the function as primitive
 * ones, and times are what they stand for. Where the profile's counts are of time there are no
 * calls.
 */
struct kb_error *kb_calls__of_samples(const struct kb_profile *profile, enum kb_rows rows,
				      struct kb_calls **calls);

#endif
