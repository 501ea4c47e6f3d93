// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "base/log.h"
#include "python/image_cache.h"
#include "python/interpreter.h"
#include "system/maps.h"
#include "system/memory.h"

static const char DELETED[] = " (deleted)";

/* Files looked into in one process; a real one has one or two with such names. */
#define CANDIDATES_MAX 32

/* Looked at for one with a thread. */
#define INTERPRETERS_MAX 1024

/* What kb_interpreter__find() knows while it looks through the mappings. */
struct search {
	struct kb_image_cache *cache;
	pid_t pid;
	struct kb_maps maps;
	char exe[PATH_MAX]; /* of the main executable, "" when it cannot be told */
	struct kb_interpreter found;
	bool any;
	struct kb_error *refusal; /* of the first interpreter that is refused */
};

/* ---------------------------------------------------------------- files */

static void read_exe(struct search *search)
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", search->pid);
	n = readlink(link, search->exe, sizeof(search->exe) - 1);
	search->exe[n > 0 ? n : 0] = '\0';
	if ((size_t)n > sizeof(DELETED) && n > 0 &&
	    !strcmp(search->exe + n - (sizeof(DELETED) - 1), DELETED))
		search->exe[(size_t)n - (sizeof(DELETED) - 1)] = '\0';
}

static bool is_candidate(const struct search *search, const struct kb_map *map)
{
	return !map->offset && map->inode && map->path[0] == '/' &&
	       (!strcmp(map->path, search->exe) || kb_image__plausible_name(map->path));
}

/* A file whose code is mapped, not one that is merely looked at. Its mappings follow one another.
 */
static bool is_loaded(const struct search *search, const struct kb_map *first)
{
	const struct kb_map *end = search->maps.entries + search->maps.count;

	for (const struct kb_map *map = first; map < end; map++) {
		if (map->inode == first->inode && map->executable)
			return true;
		if (map->inode && map->inode != first->inode)
			return false;
	}
	return false;
}

/* ---------------------------------------------------------------- finding */

/* New interpreters come first in the list, and those that run nothing have none from 3.13 on. */
static bool has_thread_state(pid_t pid, const struct kb_interpreter *found)
{
	const struct kb_image_info *image = found->image;
	uint64_t interp, threads;

	if (!kb_memory__read_u64(pid, image->image.interp_head + found->bias, &interp))
		return false;
	for (int i = 0; i < INTERPRETERS_MAX && interp; i++) {
		if (!kb_memory__read_u64(pid, interp + image->layout.interp_threads_head, &threads))
			return false;
		if (threads)
			return true;
		if (!kb_memory__read_u64(pid, interp + image->layout.interp_next, &interp))
			return false;
	}
	return false;
}

static void take_interpreter(struct search *search, const struct kb_map *map,
			     const struct kb_image_verdict *verdict)
{
	struct kb_interpreter interp = {
		.image = verdict->image,
		.image_index = verdict->index,
		.bias = map->start - verdict->image->load_address,
		.map_start = map->start,
		.map_end = map->end,
	};

	snprintf(interp.path, sizeof(interp.path), "%s", map->path);
	interp.initialized = has_thread_state(search->pid, &interp);
	if (search->any && search->found.initialized) {
		if (interp.initialized)
			kb_warn("process %d runs two interpreters: %s is observed, %s is not",
				search->pid, search->found.path, interp.path);
		return;
	}
	if (!search->any || interp.initialized)
		search->found = interp;
	search->any = true;
}

static struct kb_error *look_at_mapping(struct search *search, const struct kb_map *map)
{
	struct kb_image_verdict verdict;
	struct kb_error *err;
	int fd = kb_map__open(search->pid, map);

	/* The process, or the mapping, is gone; or a file of a kind that we may not read. */
	if (fd < 0)
		return NULL;
	err = kb_image_cache__look(search->cache, fd, map->path, &verdict);
	close(fd);
	if (err && kb_error__status(err) == KB_STATUS_UNSUPPORTED && !search->refusal) {
		search->refusal = err;
		return NULL;
	}
	KB_TRY(err);
	if (verdict.image)
		take_interpreter(search, map, &verdict);
	else
		search->found.needs_libpython |= verdict.needs_libpython;
	return NULL;
}

static struct kb_error *look_at_mappings(struct search *search)
{
	uint64_t last_inode = 0;
	int looked = 0;

	for (size_t i = 0; i < search->maps.count && looked < CANDIDATES_MAX; i++) {
		const struct kb_map *map = &search->maps.entries[i];

		if (!is_candidate(search, map) || map->inode == last_inode ||
		    !is_loaded(search, map))
			continue;
		last_inode = map->inode;
		looked++;
		KB_TRY(look_at_mapping(search, map));
	}
	return NULL;
}

struct kb_error *kb_interpreter__find(struct kb_image_cache *cache, pid_t pid, bool *found,
				      struct kb_interpreter *interp)
{
	struct search search = { .cache = cache, .pid = pid };
	struct kb_error *err;

	KB_TRY(kb_maps__read(pid, &search.maps));
	read_exe(&search);
	err = look_at_mappings(&search);
	kb_maps__free(&search.maps);
	if (!err && search.refusal && !search.any) {
		err = search.refusal;
		search.refusal = NULL;
	}
	kb_error__destroy(search.refusal);
	if (err)
		return kb_error__prefix(err, "process %d", pid);
	if (search.any)
		search.found.needs_libpython = false;
	*found = search.any;
	*interp = search.found;
	return NULL;
}
