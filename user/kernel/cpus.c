// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "kernel/cpus.h"

static const char online[] = "/sys/devices/system/cpu/online";

static void add(struct kb_cpus *cpus, long first, long last)
{
	for (long cpu = first; cpu >= 0 && cpu <= last && cpu < KB_CPUS_MAX; cpu++) {
		cpus->n += !kb_cpus__has(cpus, cpu);
		cpus->bits[cpu / 8] |= 1u << cpu % 8;
	}
}

struct kb_error *kb_cpus__online(struct kb_cpus *cpus)
{
	FILE *file = fopen(online, "re");
	char text[4096] = "", *at = text;

	memset(cpus, 0, sizeof(*cpus));
	if (!file || !fgets(text, sizeof(text), file)) {
		if (file)
			fclose(file);
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot read %s", online);
	}
	fclose(file);
	while (*at >= '0' && *at <= '9') {
		long first = strtol(at, &at, 10), last = first;

		if (*at == '-')
			last = strtol(at + 1, &at, 10);
		add(cpus, first, last);
		at += *at == ',';
	}
	return cpus->n ? NULL : kb_failed("%s names no processor", online);
}

bool kb_cpus__has(const struct kb_cpus *cpus, int cpu)
{
	return cpus->bits[cpu / 8] & 1u << cpu % 8;
}
