// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include "system/machine.h"

/* "model name : Some CPU", on x86; other architectures may have no such line. */
static void read_model(char *model, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		char *value = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value += 1 + strspn(value + 1, " \t");
		value[strcspn(value, "\n")] = '\0';
		snprintf(model, size, "%s", value);
		break;
	}
	if (file)
		fclose(file);
}

/* 0: more than the kernel was asked for. */
static uint32_t usable_cpus(void)
{
	enum { CPUS_MAX = 8192 }; /* NR_CPUS of x86-64, arch/x86/Kconfig */
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	uint32_t n = 0;

	if (set && !sched_getaffinity(0, size, set))
		n = CPU_COUNT_S(size, set);
	CPU_FREE(set);
	return n;
}

void kb_machine__read(struct kb_machine *machine)
{
	struct utsname name;

	memset(machine, 0, sizeof(*machine));
	if (!uname(&name)) {
		snprintf(machine->architecture, sizeof(machine->architecture), "%s", name.machine);
		snprintf(machine->kernel, sizeof(machine->kernel), "%s", name.release);
	}
	read_model(machine->cpu, sizeof(machine->cpu));
	machine->cpus = usable_cpus();
}
