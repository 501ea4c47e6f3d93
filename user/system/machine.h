/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_MACHINE_H
#define KB_SYSTEM_MACHINE_H

#include <stdint.h>
#include "keelback/error.h"

/* What decides how fast a program runs here. Text that cannot be had is "". */
struct kb_machine {
	char architecture[65]; /* as uname -m has it */
	char kernel[65];       /* its release */
	char cpu[129];	       /* the model, as /proc/cpuinfo has it */
	uint32_t cpus;	       /* that this process may run on */
};

void kb_machine__read(struct kb_machine *machine);

#endif
