// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include "format/sample_time.h"

double kb_sample_time__rate(const struct kb_profile *profile)
{
	double rate = kb_profile__meta(profile)->rate_hz;

	/* A recording may say anything. */
	return isnormal(rate) && rate > 0 ? rate : 0;
}

double kb_sample_time__per_second(const struct kb_profile *profile)
{
	return kb_profile__meta(profile)->unit == KB_UNIT_NS ? 1e9 : kb_sample_time__rate(profile);
}

double kb_sample_time__seconds(uint64_t count, double per_second)
{
	/* Dividing rounds once: 700 samples at 1,000 Hz are 0.7 s, not 0.7000000000000001. */
	return per_second > 0 ? (double)count / per_second : 0;
}
