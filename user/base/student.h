/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_STUDENT_H
#define KB_BASE_STUDENT_H

#include <stdint.h>

/*
 * Student's t distribution with a whole number of degrees of freedom, 1 or more (more than
 * KB_STUDENT_FREEDOM_MAX are taken for so many: by then it is the normal one to four digits).
 */
#define KB_STUDENT_FREEDOM_MAX 10000

/* How likely a value above t is. */
double kb_student__above(double t, uint32_t freedom);
/* The t that is exceeded with this probability, from 1e-9 to 0.5. */
double kb_student__quantile(double above, uint32_t freedom);

#endif
