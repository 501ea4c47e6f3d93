// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rates from windows. Window i lasts t_i and sees n_i calls of a function. The rate is the ratio
 * r = Σn / Σt, and its variance that of a ratio estimate (Cochran, Sampling Techniques, 6.4):
 *
 *     var(r) = m / (m - 1) · Σ (n_i - r · t_i)² / (Σt)²
 *
 * which needs Σn², Σn·t and Σt² alone. That only a part of the duration can be missed is not taken
 * into account, so the interval is rather too wide than too narrow.
 */
#include <math.h>
#include "model/calls_private.h"

void kb_calls__end_window(struct kb_calls *calls, uint64_t traced_ns)
{
	double seconds = KB_CALLS_SECONDS(traced_ns);

	for (uint32_t i = 0; i < calls->n_listed; i++) {
		uint32_t id = calls->listed[i];
		struct kb_calls_spread *spread = &calls->spreads[id];
		uint64_t ncalls = calls->functions[id].stats.ncalls;
		double n = (double)(ncalls - spread->at_window);

		spread->squares += n * n;
		spread->products += n * seconds;
		spread->at_window = ncalls;
	}
	calls->squared_seconds += seconds * seconds;
	calls->meta.traced_ns += traced_ns;
	calls->meta.n_windows++;
}

/* Student's t, 97.5 %: tabulated, then an expansion that is right to 0.002. */
static double students_t(uint32_t freedom)
{
	static const double few[] = { 12.706, 4.303, 3.182, 2.776, 2.571,
				      2.447,  2.365, 2.306, 2.262, 2.228 };

	if (freedom <= sizeof(few) / sizeof(*few))
		return few[freedom - 1];
	return 1.960 + 2.372 / freedom + 2.822 / ((double)freedom * freedom);
}

struct kb_calls_rate kb_calls__rate(const struct kb_calls *calls, uint32_t function)
{
	const struct kb_calls_meta *meta = &calls->meta;
	const struct kb_calls_spread *spread = &calls->spreads[function];
	double n = (double)calls->functions[function].stats.ncalls;
	double seconds = KB_CALLS_SECONDS(meta->n_windows ? meta->traced_ns : meta->duration_ns);
	double m = meta->n_windows, rate, deviations, margin;

	if (!meta->duration_ns || seconds <= 0)
		return (struct kb_calls_rate){};
	rate = n / seconds;
	if (!meta->n_windows)
		return (struct kb_calls_rate){ rate, rate, rate };
	if (meta->n_windows < 3)
		return (struct kb_calls_rate){ rate, 0, INFINITY };
	deviations = spread->squares - 2 * rate * spread->products +
		     rate * rate * calls->squared_seconds;
	margin =
		students_t(meta->n_windows - 1) * sqrt(m / (m - 1) * fmax(deviations, 0)) / seconds;
	return (struct kb_calls_rate){ rate, fmax(rate - margin, 0), rate + margin };
}
