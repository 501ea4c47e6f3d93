/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_CPUS_H
#define KB_KERNEL_CPUS_H

#include <stdbool.h>
#include "keelback/error.h"

#define KB_CPUS_MAX 8192 /* the kernel's NR_CPUS limit on 64-bit machines */

struct kb_cpus {
	unsigned char bits[KB_CPUS_MAX / 8];
	unsigned n;
};

/* From /sys/devices/system/cpu/online, such as "0-3,8". */
struct kb_error *kb_cpus__online(struct kb_cpus *cpus);
bool kb_cpus__has(const struct kb_cpus *cpus, int cpu);

#endif
