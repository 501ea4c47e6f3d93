// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "system/maps.h"

static const char DELETED[] = " (deleted)";

/* The kernel appends " (deleted)"; a file may also really be called that, and then nothing is lost
 * but the mark. */
static bool strip_deleted(char *path)
{
	size_t length = strlen(path), suffix = sizeof(DELETED) - 1;

	if (length <= suffix || strcmp(path + length - suffix, DELETED))
		return false;
	path[length - suffix] = '\0';
	return true;
}

bool kb_map__parse(const char *line, struct kb_map *map)
{
	struct kb_map parsed = { 0 };
	char permissions[5] = "";
	int path_at = -1;

	/* Widths keep numbers in 64 bits: sscanf does not check for overflow. */
	if (sscanf(line, "%16" SCNx64 "-%16" SCNx64 " %4s %16" SCNx64 " %8x:%8x %20" SCNu64 "%n",
		   &parsed.start, &parsed.end, permissions, &parsed.offset, &parsed.device_major,
		   &parsed.device_minor, &parsed.inode, &path_at) != 7 ||
	    path_at < 0 || parsed.end <= parsed.start || strlen(permissions) != 4)
		return false;
	parsed.executable = permissions[2] == 'x';
	parsed.writable = permissions[1] == 'w';
	parsed.shared = permissions[3] == 's';
	parsed.path = strdup(line + path_at + strspn(line + path_at, " "));
	if (!parsed.path)
		return false;
	parsed.deleted = strip_deleted(parsed.path);
	*map = parsed;
	return true;
}

static bool append(struct kb_maps *maps, size_t *capacity, const char *line)
{
	if (maps->count == *capacity) {
		size_t wanted = *capacity ? *capacity * 2 : 64;
		struct kb_map *entries = realloc(maps->entries, wanted * sizeof(*entries));

		if (!entries)
			return false;
		maps->entries = entries;
		*capacity = wanted;
	}
	if (kb_map__parse(line, &maps->entries[maps->count]))
		maps->count++;
	return true;
}

struct kb_error *kb_maps__read(pid_t pid, struct kb_maps *maps)
{
	struct kb_maps result = { 0 };
	size_t capacity = 0, line_size = 0;
	char name[32], *line = NULL;
	bool ok = true;
	ssize_t n;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	file = fopen(name, "re");
	if (!file && errno == ENOENT)
		return kb_failed("process %d: no such process", pid);
	if (!file)
		return kb_error__from_errno(errno, KB_STATUS_UNSUPPORTED,
					    "process %d: its mappings may not be read "
					    "(CAP_SYS_PTRACE is needed)",
					    pid);
	while (ok && (n = getline(&line, &line_size, file)) > 0) {
		if (result.count == KB_MAPS_MAX) {
			result.truncated = true;
			break;
		}
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		ok = append(&result, &capacity, line);
	}
	free(line);
	fclose(file);
	if (!ok) {
		kb_maps__free(&result);
		return kb_error__no_memory();
	}
	*maps = result;
	return NULL;
}

bool kb_maps__touch(const struct kb_maps *maps, uint64_t start, uint64_t size)
{
	size_t low = 0, high = maps->count;

	/* The first mapping that ends behind the start. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps->entries[middle].end > start)
			high = middle;
		else
			low = middle + 1;
	}
	return maps->truncated || (low < maps->count && maps->entries[low].start < start + size);
}

void kb_maps__free(struct kb_maps *maps)
{
	for (size_t i = 0; i < maps->count; i++)
		free(maps->entries[i].path);
	free(maps->entries);
	*maps = (struct kb_maps){ 0 };
}

/* Only a regular file, and with `inode` only that one. */
static int open_regular(const char *path, const uint64_t *inode)
{
	struct stat st;
	int fd;

	if (stat(path, &st))
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && inode && (fstat(fd, &st) || st.st_ino != *inode)) {
		close(fd);
		errno = ENOENT;
		return -1;
	}
	return fd;
}

int kb_map__open(pid_t pid, const struct kb_map *map)
{
	char path[PATH_MAX];
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, map->start,
		 map->end);
	fd = open_regular(path, NULL);
	if (fd >= 0 || (errno != EPERM && errno != EACCES))
		return fd;
	n = snprintf(path, sizeof(path), "/proc/%d/root%s", pid, map->path);
	fd = n > 0 && (size_t)n < sizeof(path) ? open_regular(path, &map->inode) : -1;
	if (fd >= 0)
		return fd;
	/* The main executable has a name that outlives its file's. */
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return open_regular(path, &map->inode);
}
