// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "inspect/faults_maps.h"
#include "system/maps.h"

#define PROCESSES_MAX                                                                              \
	32768		  /* the kernel's default pid_max; further ones have no names in C stacks */
#define MAPPINGS_MAX 4096 /* of one process; the largest programs have some hundred libraries */
/* Deaths are told within a drain interval, so that this is ample. */
#define KEEP_ENDED_NS (3 * KB_NS_PER_SECOND)

struct mapping {
	struct kb_map map; /* its path is owned */
	uint64_t time;
	const struct kb_module *module;
	bool looked; /* module is the answer, NULL included */
};

struct process {
	pid_t pid;
	struct mapping *mappings;
	uint32_t n, capacity;
	uint64_t ended; /* 0: not yet */
	bool python;
	UT_hash_handle hh;
};

struct kb_fault_maps {
	struct kb_modules *modules;
	struct kb_mmap_events *events;
	struct process *processes;
};

struct kb_error *kb_fault_maps__create(struct kb_modules *modules, struct kb_fault_maps **result)
{
	struct kb_fault_maps *maps = calloc(1, sizeof(*maps));
	struct kb_error *err;

	if (!maps)
		return kb_error__no_memory();
	maps->modules = modules;
	err = kb_mmap_events__create(&maps->events);
	if (err)
		kb_fault_maps__destroy(maps);
	else
		*result = maps;
	return err;
}

static void clear(struct process *process)
{
	for (uint32_t i = 0; i < process->n; i++)
		free(process->mappings[i].map.path);
	process->n = 0;
}

static void drop(struct kb_fault_maps *maps, struct process *process)
{
	HASH_DEL(maps->processes, process);
	clear(process);
	free(process->mappings);
	free(process);
}

void kb_fault_maps__destroy(struct kb_fault_maps *maps)
{
	struct process *process, *next;

	if (!maps)
		return;
	HASH_ITER (hh, maps->processes, process, next)
		drop(maps, process);
	kb_mmap_events__destroy(maps->events);
	free(maps);
}

int kb_fault_maps__fd(const struct kb_fault_maps *maps)
{
	return kb_mmap_events__fd(maps->events);
}

uint64_t kb_fault_maps__lost(const struct kb_fault_maps *maps)
{
	return kb_mmap_events__lost(maps->events);
}

static struct process *find(struct kb_fault_maps *maps, pid_t pid)
{
	struct process *process;

	HASH_FIND_INT(maps->processes, &pid, process);
	return process;
}

/* NULL: too many, or no memory. */
static struct process *find_or_add(struct kb_fault_maps *maps, pid_t pid)
{
	struct process *process = find(maps, pid);

	if (process || HASH_COUNT(maps->processes) >= PROCESSES_MAX)
		return process;
	process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->pid = pid;
	HASH_ADD_INT(maps->processes, pid, process);
	return process;
}

/* ---------------------------------------------------------------- mappings */

/* Takes over a copy of the mapping; older ones that it covers are gone. */
static void put(struct process *process, const struct mapping *mapping)
{
	struct mapping *grown;
	char *path = strdup(mapping->map.path);
	uint32_t n = 0;

	for (uint32_t i = 0; i < process->n; i++) {
		struct mapping *old = &process->mappings[i];

		if (old->map.start < mapping->map.end && mapping->map.start < old->map.end &&
		    old->time <= mapping->time)
			free(old->map.path);
		else
			process->mappings[n++] = *old;
	}
	process->n = n;
	grown = kb_array__grow(process->mappings, &process->capacity, n + 1, sizeof(*grown),
			       MAPPINGS_MAX);
	if (grown)
		process->mappings = grown;
	if (!grown || !path) {
		free(path);
		return;
	}
	grown[process->n] = *mapping;
	grown[process->n++].map.path = path;
}

/* The module that another process's mapping of the same file was found to be. */
static const struct kb_module *known_elsewhere(struct kb_fault_maps *maps, const struct kb_map *map)
{
	struct process *process, *next;

	HASH_ITER (hh, maps->processes, process, next) {
		for (uint32_t i = 0; i < process->n; i++) {
			const struct mapping *other = &process->mappings[i];

			if (other->module && other->map.inode == map->inode &&
			    other->map.device_major == map->device_major &&
			    other->map.device_minor == map->device_minor)
				return other->module;
		}
	}
	return NULL;
}

/* By the name that the process had for it, if the machine has the same file there. */
static const struct kb_module *by_name(struct kb_fault_maps *maps, const struct kb_map *map)
{
	const struct kb_module *module = NULL;
	struct stat st;
	int fd;

	if (map->path[0] != '/' || stat(map->path, &st) || !S_ISREG(st.st_mode) ||
	    st.st_ino != map->inode)
		return NULL;
	fd = open(map->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	kb_error__destroy(kb_modules__of_file(maps->modules, fd, map->path, &module));
	close(fd);
	return module;
}

/* Finds out which file a mapping shows; last: there will be no other chance. */
static void look(struct kb_fault_maps *maps, struct process *process, struct mapping *mapping,
		 bool last)
{
	bool vdso = !strcmp(mapping->map.path, "[vdso]");

	if (!maps->modules || mapping->looked || (!mapping->map.inode && !vdso))
		return;
	if (!process->ended)
		kb_error__destroy(kb_modules__of_mapping(maps->modules, process->pid, &mapping->map,
							 &mapping->module));
	if (!mapping->module && last)
		mapping->module =
			known_elsewhere(maps, &mapping->map) ?: by_name(maps, &mapping->map);
	mapping->looked = mapping->module || last;
}

static void look_at_all(struct kb_fault_maps *maps, struct process *process, bool last)
{
	for (uint32_t i = 0; i < process->n; i++)
		look(maps, process, &process->mappings[i], last);
}

void kb_fault_maps__set_modules(struct kb_fault_maps *maps, struct kb_modules *modules)
{
	struct process *process, *next;

	maps->modules = modules;
	HASH_ITER (hh, maps->processes, process, next) {
		for (uint32_t i = 0; i < process->n; i++) {
			process->mappings[i].module = NULL;
			process->mappings[i].looked = false;
		}
		if (process->python && !process->ended)
			look_at_all(maps, process, false);
	}
}

/* ---------------------------------------------------------------- events */

static void on_map(struct kb_fault_maps *maps, const struct kb_mmap_event *event)
{
	struct process *process = find_or_add(maps, event->pid);
	struct mapping mapping = { .time = event->time,
				   .map = { .start = event->start,
					    .end = event->end,
					    .offset = event->offset,
					    .inode = event->inode,
					    .device_major = event->device_major,
					    .device_minor = event->device_minor,
					    .executable = true,
					    .path = (char *)event->path } };

	if (!process)
		return;
	process->ended = 0;
	put(process, &mapping);
	if (process->python)
		look(maps, process, &process->mappings[process->n - 1], false);
}

static void on_exec(struct kb_fault_maps *maps, const struct kb_mmap_event *event)
{
	struct process *process = find(maps, event->pid);
	uint32_t n = 0;

	if (!process)
		return;
	for (uint32_t i = 0; i < process->n; i++) {
		if (process->mappings[i].time < event->time)
			free(process->mappings[i].map.path);
		else
			process->mappings[n++] = process->mappings[i];
	}
	process->n = n;
	process->python = false;
}

static void on_fork(struct kb_fault_maps *maps, const struct kb_mmap_event *event)
{
	struct process *parent = find(maps, event->parent), *process = find(maps, event->pid);

	if (process && process->ended)
		drop(maps, process);
	if (!parent || !(process = find_or_add(maps, event->pid)))
		return;
	process->python = parent->python;
	for (uint32_t i = 0; i < parent->n; i++) {
		if (parent->mappings[i].time <= event->time)
			put(process, &parent->mappings[i]);
	}
}

static void on_event(const struct kb_mmap_event *event, void *context)
{
	struct kb_fault_maps *maps = context;
	struct process *process;

	switch (event->kind) {
	case KB_MMAP_MAP:
		on_map(maps, event);
		break;
	case KB_MMAP_EXEC:
		on_exec(maps, event);
		break;
	case KB_MMAP_FORK:
		on_fork(maps, event);
		break;
	case KB_MMAP_EXIT:
		process = find(maps, event->pid);
		if (process)
			process->ended = event->time;
	}
}

void kb_fault_maps__update(struct kb_fault_maps *maps)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC);
	struct process *process, *next;

	kb_mmap_events__read(maps->events, on_event, maps);
	HASH_ITER (hh, maps->processes, process, next) {
		if (process->ended && now > process->ended + KEEP_ENDED_NS)
			drop(maps, process);
	}
}

void kb_fault_maps__add(struct kb_fault_maps *maps, pid_t pid, bool ran_already)
{
	struct process *process = find_or_add(maps, pid);
	uint64_t now = kb_now(CLOCK_MONOTONIC);
	struct kb_maps read;
	struct kb_error *err;

	if (!process)
		return;
	process->python = true;
	err = ran_already ? kb_maps__read(pid, &read) : NULL;
	for (size_t i = 0; ran_already && !err && i < read.count; i++) {
		struct mapping mapping = { .map = read.entries[i], .time = now };

		if (read.entries[i].executable)
			put(process, &mapping);
	}
	if (ran_already && !err)
		kb_maps__free(&read);
	kb_error__destroy(err);
	look_at_all(maps, process, false);
}

/* ---------------------------------------------------------------- asking */

static int by_address(const void *a, const void *b)
{
	const struct kb_code_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

struct kb_error *kb_fault_maps__code(struct kb_fault_maps *maps, pid_t pid,
				     struct kb_code_map **code)
{
	struct process *process = find(maps, pid);
	uint32_t n = process ? process->n : 0;
	struct kb_code_range *ranges = calloc(n + 1, sizeof(*ranges));
	struct kb_error *err;

	if (!ranges)
		return kb_error__no_memory();
	if (process)
		look_at_all(maps, process, true);
	for (uint32_t i = 0; i < n; i++) {
		const struct mapping *from = &process->mappings[i];

		ranges[i] = (struct kb_code_range){ .start = from->map.start,
						    .end = from->map.end,
						    .module = from->module,
						    .label = from->map.path };
		if (from->module &&
		    !kb_module__relative(from->module, from->map.offset, &ranges[i].relative))
			ranges[i].module = NULL;
	}
	qsort(ranges, n, sizeof(*ranges), by_address);
	err = kb_code_map__of_ranges(ranges, n, code);
	free(ranges);
	return err;
}
