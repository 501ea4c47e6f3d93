// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "symbols/perf_map.h"
#include "system/process.h"
#include "system/process_file.h"

#define LINE_MAX_BYTES 4096

/* The effective user of a process. */
static bool user_of(pid_t pid, uid_t *user)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "Uid: %*u %u", user) == 1;
	if (file)
		fclose(file);
	return found;
}

static int open_map(pid_t pid)
{
	struct stat st;
	char name[64];
	uid_t user;
	int fd;

	snprintf(name, sizeof(name), "/tmp/perf-%d.map", kb_process__ns_pid(pid));
	fd = user_of(pid, &user)
		     ? kb_process_file__open(pid, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW)
		     : -1;
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != user)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void take_line(char *line, struct kb_symbol_table *table)
{
	char *at, *end;
	uint64_t start = strtoull(line, &at, 16), size;

	if (at == line || *at != ' ')
		return;
	size = strtoull(at + 1, &end, 16);
	if (end == at + 1 || *end != ' ' || !size)
		return;
	kb_symbol_table__add(table, start, size, end + 1, strcspn(end + 1, "\n"));
}

static void read_lines(FILE *file, struct kb_symbol_table *table)
{
	char line[LINE_MAX_BYTES];
	size_t bytes = 0;
	bool inside = false; /* of a line that was too long */

	while (bytes < KB_PERF_MAP_BYTES_MAX && fgets(line, sizeof(line), file)) {
		size_t n = strlen(line);
		bool ends = n && line[n - 1] == '\n';

		bytes += n ? n : 1;
		if (!inside && ends)
			take_line(line, table);
		inside = !ends;
	}
}

bool kb_perf_map__read(pid_t pid, struct kb_file_key *key, struct kb_symbol_table *table)
{
	struct kb_file_key now;
	int fd = open_map(pid);
	FILE *file;

	if (fd < 0)
		return false;
	if (!kb_file_key__read(fd, &now) || !memcmp(key, &now, sizeof(now)) ||
	    !(file = fdopen(fd, "r"))) {
		close(fd);
		return false;
	}
	kb_symbol_table__init(table);
	table->last_wins = true; /* memory of code that was dropped is used again */
	read_lines(file, table);
	kb_symbol_table__close(table);
	fclose(file);
	*key = now;
	return true;
}
