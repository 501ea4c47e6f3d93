// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include "format/source.h"
#include "system/process.h"
#include "system/process_file.h"

/* One tick of the clock in which /proc tells when a process started. */
#define START_TOLERANCE_NS 20000000

struct found {
	char *bytes;
	size_t size;
	struct stat st;
};

static bool ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n > m && !strcmp(name + n - m, ending);
}

/* A script's first line names its interpreter; what has neither is no source that we show. */
static bool is_python(const char *name, const struct found *found)
{
	static const char *const endings[] = { ".py", ".pyw", ".pyx", ".pxd", ".pyi" };
	size_t length = strcspn(found->bytes, "\n");

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (ends_with(name, endings[i]))
			return true;
	return found->size > 2 && !memcmp(found->bytes, "#!", 2) &&
	       memmem(found->bytes, length, "python", 6);
}

/* "<string>", "<frozen os>": compiled from text that was in no file. */
static bool is_file_name(const char *name)
{
	return *name && *name != '<' && *name != '[';
}

static bool of_this_machine(const struct kb_profile *profile)
{
	struct utsname us;

	return !uname(&us) && !strcmp(us.nodename, kb_profile__meta(profile)->host);
}

static bool lives(const struct kb_process_info *process)
{
	struct kb_process_stat stat;
	int64_t apart;

	if (!kb_process__stat(process->pid, &stat) || stat.state == 'Z')
		return false;
	apart = (int64_t)(stat.start_ns - process->start_ns);
	return apart > -START_TOLERANCE_NS && apart < START_TOLERANCE_NS;
}

static const char *reason(int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
		return "no such file";
	case EACCES:
	case EPERM:
	case EXDEV:
		return "no permission to read it";
	case EINVAL:
		return "no regular file";
	case EFBIG:
		return "larger than 2 MiB";
	default:
		return strerror(err);
	}
}

/* Returns 0, or the errno of the last process that could be asked; -1: of none. */
static int read_from_processes(const struct kb_profile *profile, const char *name,
			       const uint32_t *processes, uint32_t n, struct found *found)
{
	int err = -1;

	for (uint32_t i = 0; i < n; i++) {
		const struct kb_process_info *process = kb_profile__process(profile, processes[i]);

		if (!lives(process))
			continue;
		err = kb_process_file__read(process->pid, name, KB_SOURCE_BYTES_MAX, &found->bytes,
					    &found->size, &found->st);
		if (!err)
			return 0;
	}
	return err;
}

/* Whether one of the processes had a PID namespace, and so most likely other files than ours. */
static bool in_container(const struct kb_profile *profile, const uint32_t *processes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct kb_process_info *process = kb_profile__process(profile, processes[i]);

		if (process->ns_pid && process->ns_pid != process->pid)
			return true;
	}
	return false;
}

static void note(struct kb_source *source, const char *text)
{
	size_t used = strlen(source->note);

	snprintf(source->note + used, sizeof(source->note) - used, "%s%s", used ? "; " : "", text);
}

/* Sets a note where there is none to be had. */
static bool find(const struct kb_profile *profile, const char *name, const uint32_t *processes,
		 uint32_t n, struct found *found, struct kb_source *source)
{
	bool here = of_this_machine(profile);
	int err = -1;

	if (!is_file_name(name)) {
		note(source, "compiled from text that is in no file");
		return false;
	}
	if (here)
		err = read_from_processes(profile, name, processes, n, found);
	if (err == -1 && in_container(profile, processes, n)) {
		note(source, "the process ran in a container and has ended");
		return false;
	}
	if (err == -1) {
		err = kb_process_file__read(0, name, KB_SOURCE_BYTES_MAX, &found->bytes,
					    &found->size, &found->st);
		if (!err && !here)
			note(source, "read on another machine than the profile is of");
		else if (!err && *name != '/')
			note(source, "a relative name, found in the current directory");
	}
	if (err)
		note(source, reason(err));
	return !err;
}

struct kb_error *kb_source__read(const struct kb_profile *profile, const char *name,
				 const uint32_t *processes, uint32_t n_processes,
				 struct kb_source *source)
{
	const struct kb_profile_meta *meta = kb_profile__meta(profile);
	struct kb_error *err;
	struct found found;

	*source = (struct kb_source){};
	if (!find(profile, name, processes, n_processes, &found, source))
		return NULL;
	if (!is_python(name, &found)) {
		free(found.bytes);
		*source = (struct kb_source){};
		note(source, "neither its name nor its first line says that it is Python");
		return NULL;
	}
	err = kb_source__decode(found.bytes, found.size, source);
	free(found.bytes);
	if (err) {
		kb_source__free(source);
		return err;
	}
	if (found.st.st_mtime > meta->start_unix_ns / 1000000000 && meta->start_unix_ns > 0)
		note(source, "changed after the profile was begun: lines may have moved");
	return NULL;
}
