// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/error.h"
#include "base/log.h"
#include "kernel/load.h"

/* The verifier's log comes as one text of many lines, of which the last say what is wrong. */
#define LOG_LINES_MAX 40

static void log_lines(char *text)
{
	char *lines[LOG_LINES_MAX], *rest = text, *line;
	size_t n = 0;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			lines[n++ % LOG_LINES_MAX] = line;
	for (size_t i = n > LOG_LINES_MAX ? n - LOG_LINES_MAX : 0; i < n; i++)
		kb_debug("libbpf: %s", lines[i % LOG_LINES_MAX]);
}

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		return 0;
	log_lines(text);
	free(text);
	return 0;
}

void kb_load__prepare(void)
{
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(print);
}

bool kb_load__missing_capabilities(char *names, size_t size)
{
	static const struct {
		int bit;
		const char *name;
	} needed[] = {
		{ CAP_BPF, "CAP_BPF" },
		{ CAP_PERFMON, "CAP_PERFMON" },
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
		{ CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE" }, /* map_files */
	};
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};
	bool missing = false;

	*names = '\0';
	if (syscall(SYS_capget, &header, data))
		return false;
	/* CAP_SYS_ADMIN contains all of them but CAP_SYS_PTRACE. */
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		size_t length = strlen(names);

		if ((data[needed[i].bit / 32].effective & 1u << needed[i].bit % 32) ||
		    (needed[i].bit != CAP_SYS_PTRACE && (data[0].effective & 1u << CAP_SYS_ADMIN)))
			continue;
		snprintf(names + length, size - length, "%s%s", missing ? ", " : "",
			 needed[i].name);
		missing = true;
	}
	return missing;
}

struct kb_error *kb_load__failed(int errnum, const char *what)
{
	char names[128];

	if ((errnum == EPERM || errnum == EACCES) &&
	    kb_load__missing_capabilities(names, sizeof(names)))
		return kb_unsupported("%s needs root or these capabilities: %s", what, names);
	if (errnum == EPERM || errnum == EACCES)
		return kb_unsupported(
			"the kernel refuses BPF programs for %s: lockdown, seccomp or a "
			"container's limits (see 'keelback doctor')",
			what);
	return kb_error__from_errno(errnum, KB_STATUS_UNSUPPORTED,
				    "cannot load the BPF programs for %s (see 'keelback doctor', "
				    "or -vv for the kernel's words)",
				    what);
}
