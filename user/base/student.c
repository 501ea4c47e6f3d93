// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include "base/student.h"

#define BISECTIONS 100	 /* more than a double has bits */
#define T_LARGEST  1e12	 /* beyond any quantile that is asked for */
#define ABOVE_MIN  1e-12 /* nearer to 0 than rounding lets the sum be told */

/*
 * P(|T| <= t) as the finite sum that it is for whole degrees of freedom: Abramowitz and Stegun,
 * Handbook of Mathematical Functions, 26.7.3 (odd) and 26.7.4 (even).
 */
static double within(double t, uint32_t freedom)
{
	double angle = atan(t / sqrt(freedom)), cosine = cos(angle), square = cosine * cosine;
	double term = freedom % 2 ? cosine : 1, sum = 0;

	for (uint32_t i = freedom % 2 + 2; i <= freedom; i += 2) {
		sum += term;
		term *= square * (i - 1) / i;
	}
	sum *= sin(angle);
	return freedom % 2 ? (angle + sum) * M_2_PI : sum;
}

double kb_student__above(double t, uint32_t freedom)
{
	double above;

	if (freedom > KB_STUDENT_FREEDOM_MAX)
		freedom = KB_STUDENT_FREEDOM_MAX;
	above = (1 - within(fabs(t), freedom)) / 2;
	if (above < ABOVE_MIN)
		above = 0;
	return t < 0 ? 1 - above : above;
}

double kb_student__quantile(double above, uint32_t freedom)
{
	double low = 0, high = 1;

	while (high < T_LARGEST && kb_student__above(high, freedom) > above)
		high *= 2;
	for (int i = 0; i < BISECTIONS; i++) {
		double middle = (low + high) / 2;

		if (kb_student__above(middle, freedom) > above)
			low = middle;
		else
			high = middle;
	}
	return high;
}
