/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_MAPS_H
#define KB_SYSTEM_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"

/* The kernel's default vm.max_map_count is 65,530; a process with more of them is cut off there. */
#define KB_MAPS_MAX 65536

/* One line of /proc/PID/maps. */
struct kb_map {
	uint64_t start, end; /* addresses */
	uint64_t offset;     /* in the file */
	uint64_t inode;	     /* 0: no file */
	uint32_t device_major, device_minor;
	bool executable, writable;
	bool shared;  /* with other processes: MAP_SHARED */
	bool deleted; /* the file has no name any more */
	char *path; /* without " (deleted)"; "" for anonymous memory, "[heap]" and the like as they
		       are */
};

struct kb_maps {
	struct kb_map *entries; /* ascending by address */
	size_t count;
	bool truncated; /* there were more than KB_MAPS_MAX */
};

/* Parses one line without its newline. False when it is not of the format; on success the caller
 * frees map->path. */
bool kb_map__parse(const char *line, struct kb_map *map);

/*
 * Opens the file that a mapping shows, whatever its path has become. map_files works over mount
 * namespaces and for deleted files; where it is not allowed (it needs
 * CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE) the names of /proc are tried. -1, and errno: it cannot
 * be opened, or is no regular file (to open a device can have consequences).
 */
int kb_map__open(pid_t pid, const struct kb_map *map);

/*
 * Mappings of a process. Fails when it does not exist (any more), or may not be
 * looked at. A process without an address space (kernel thread, zombie) has none.
 */
struct kb_error *kb_maps__read(pid_t pid, struct kb_maps *maps);
/* Is any byte of these mapped? True as well where the list is cut off. */
bool kb_maps__touch(const struct kb_maps *maps, uint64_t start, uint64_t size);
void kb_maps__free(struct kb_maps *maps);

#endif
