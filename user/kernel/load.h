/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_LOAD_H
#define KB_KERNEL_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include "keelback/error.h"

/* What every BPF object shares: libbpf's messages go to the log at level 2. */
void kb_load__prepare(void);

/* The error of a failed load; names the missing capabilities when they are the reason. */
struct kb_error *kb_load__failed(int errnum, const char *what);

/* Which of the needed capabilities this process lacks, such as "CAP_BPF, CAP_PERFMON"; false: none.
 */
bool kb_load__missing_capabilities(char *names, size_t size);

#endif
