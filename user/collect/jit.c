// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "collect/jit.h"

#define ENVIRONMENT_MAX (1u << 20) /* read of a process's own */

/* Builds with the JIT use it when PYTHON_JIT is set to anything but 0: Python/pylifecycle.c. */
static bool switches_jit_on(pid_t pid)
{
	char path[64], *entry = NULL;
	size_t size = 0, used = 0;
	bool on = false;
	ssize_t n;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	file = fopen(path, "re");
	while (file && used < ENVIRONMENT_MAX && (n = getdelim(&entry, &size, 0, file)) > 0) {
		used += (size_t)n;
		if (!strncmp(entry, "PYTHON_JIT=", 11))
			on = entry[11] && strcmp(entry + 11, "0");
	}
	free(entry);
	if (file)
		fclose(file);
	return on;
}

void kb_jit__note(struct kb_session *session, uint32_t image, pid_t pid)
{
	const struct kb_image_info *info = kb_identifier__image(session->identifier, image);

	if (!info || !info->jit || !switches_jit_on(pid))
		return;
	kb_warn("process %d runs with Python's JIT: what compiled code calls is not seen", pid);
	kb_profile__ledger_add(session->profile, KB_L_CHOSEN_JIT, 1);
}
