// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "collect/mappings.h"
#include "kernel/native_maps.h"

#define PROCS_MAX (1u << 20) /* as in ingest.c */
#define NO_LIST	  UINT32_MAX

struct list {
	struct kb_mapping *mappings; /* ascending */
	uint32_t n;
	uint32_t refs; /* processes; 0: the place is free */
};

struct process {
	uint32_t list; /* 1 + its place, 0: none */
	pid_t pid;
};

struct kb_mappings {
	struct kb_programs *programs;
	struct kb_native_maps maps;
	struct kb_modules *modules;
	struct process *processes; /* by id */
	uint32_t n_processes, capacity;
	struct list lists[KB_NATIVE_LISTS_MAX];
	uint32_t next; /* where to search for a free place */
};

struct kb_error *kb_mappings__create(struct kb_programs *programs, struct kb_modules *modules,
				     struct kb_mappings **result)
{
	struct kb_mappings *m = calloc(1, sizeof(*m));

	if (!m)
		return kb_error__no_memory();
	m->programs = programs;
	m->modules = modules;
	kb_programs__native_maps(programs, &m->maps);
	*result = m;
	return NULL;
}

static void free_mappings(struct kb_mapping *mappings, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free((char *)mappings[i].label);
	free(mappings);
}

void kb_mappings__destroy(struct kb_mappings *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < KB_NATIVE_LISTS_MAX; i++)
		free_mappings(m->lists[i].mappings, m->lists[i].n);
	free(m->processes);
	free(m);
}

/* ---- which process has which list */

static struct process *reserve(struct kb_mappings *m, uint32_t proc)
{
	struct process *processes =
		kb_array__grow(m->processes, &m->capacity, proc + 1, sizeof(*processes), PROCS_MAX);

	if (!processes)
		return NULL;
	m->processes = processes;
	while (m->n_processes <= proc)
		processes[m->n_processes++] = (struct process){};
	return &processes[proc];
}

static struct list *list_of(const struct kb_mappings *m, uint32_t proc)
{
	uint32_t list = proc < m->n_processes ? m->processes[proc].list : 0;

	return list ? (struct list *)&m->lists[list - 1] : NULL;
}

static void leave_list(struct kb_mappings *m, uint32_t proc)
{
	struct list *list = list_of(m, proc);

	if (!list)
		return;
	m->processes[proc].list = 0;
	if (--list->refs)
		return;
	free_mappings(list->mappings, list->n);
	*list = (struct list){};
	kb_native_maps__clear_list(&m->maps, list - m->lists);
}

/* Frees the lists of processes that the kernel does not know any more. */
static void sweep(struct kb_mappings *m)
{
	bool *alive = calloc(m->n_processes + 1, sizeof(*alive));
	struct kb_proc proc;
	uint32_t tgid = 0;

	if (!alive)
		return;
	while (kb_programs__next_proc(m->programs, &tgid))
		if (kb_programs__get_proc(m->programs, tgid, &proc) && proc.id < m->n_processes)
			alive[proc.id] = true;
	for (uint32_t i = 0; i < m->n_processes; i++) {
		if (alive[i] || !m->processes[i].list)
			continue;
		leave_list(m, i);
		kb_native_maps__forget_proc(&m->maps, i);
	}
	free(alive);
}

static uint32_t search_free(struct kb_mappings *m)
{
	for (uint32_t i = 0; i < KB_NATIVE_LISTS_MAX; i++) {
		uint32_t place = (m->next + i) % KB_NATIVE_LISTS_MAX;

		if (!m->lists[place].refs) {
			m->next = place + 1;
			return place;
		}
	}
	return NO_LIST;
}

/* The process's list if it has it alone, else a free one. */
static struct list *own_list(struct kb_mappings *m, uint32_t proc)
{
	struct list *list = list_of(m, proc);
	uint32_t place;

	if (list && list->refs == 1)
		return list;
	leave_list(m, proc);
	place = search_free(m);
	if (place == NO_LIST) {
		sweep(m);
		place = search_free(m);
	}
	return place == NO_LIST ? NULL : &m->lists[place];
}

void kb_mappings__forked(struct kb_mappings *m, uint32_t parent, uint32_t proc, pid_t pid)
{
	struct process *process = reserve(m, proc);
	struct list *list = list_of(m, parent);

	if (!process)
		return;
	process->pid = pid;
	if (!list || process->list)
		return;
	process->list = list - m->lists + 1;
	list->refs++;
}

/* ---- reading */

static struct kb_error *add(struct kb_mappings *m, pid_t pid, const struct kb_map *map,
			    struct kb_mapping *mapping)
{
	*mapping = (struct kb_mapping){ .start = map->start, .end = map->end };
	KB_TRY(kb_modules__of_mapping(m->modules, pid, map, &mapping->module));
	if (mapping->module &&
	    !kb_module__relative(mapping->module, map->offset, &mapping->relative))
		mapping->module = NULL;
	mapping->label = strdup(*map->path ? map->path : "[anonymous]");
	return mapping->label ? NULL : kb_error__no_memory();
}

static struct kb_error *collect(struct kb_mappings *m, pid_t pid, const struct kb_maps *maps,
				struct list *list)
{
	list->mappings = calloc(maps->count + 1, sizeof(*list->mappings));
	if (!list->mappings)
		return kb_error__no_memory();
	for (size_t i = 0; i < maps->count && list->n < KB_NATIVE_MAPPINGS_MAX; i++) {
		if (!maps->entries[i].executable)
			continue;
		KB_TRY(add(m, pid, &maps->entries[i], &list->mappings[list->n++]));
	}
	return NULL;
}

static bool same(const struct list *a, const struct list *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct kb_mapping *x = &a->mappings[i], *y = &b->mappings[i];

		if (x->start != y->start || x->end != y->end || x->relative != y->relative ||
		    x->module != y->module)
			return false;
	}
	return true;
}

static struct kb_error *tell_kernel(struct kb_mappings *m, const struct list *list, uint32_t place)
{
	struct kb_native_mapping *mappings = calloc(list->n + 1, sizeof(*mappings));
	struct kb_error *err;

	if (!mappings)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < list->n; i++) {
		const struct kb_mapping *from = &list->mappings[i];
		uint32_t image = from->module ? kb_module__index(from->module) : UINT32_MAX;

		mappings[i] = (struct kb_native_mapping){
			.start = from->start,
			.end = from->end,
			.base = from->start - from->relative,
			.image = image < KB_NATIVE_IMAGES_MAX ? image : KB_NATIVE_NO_IMAGE,
		};
	}
	err = kb_native_maps__set_list(&m->maps, place, mappings, list->n);
	free(mappings);
	return err;
}

/* Takes over what was read, if it is news. */
static struct kb_error *replace(struct kb_mappings *m, uint32_t proc, struct list *fresh)
{
	struct list *list = list_of(m, proc);
	struct kb_native_proc known = {};

	if (list && same(list, fresh))
		return NULL;
	list = own_list(m, proc);
	if (!list)
		return kb_failed("more than %d processes with native code", KB_NATIVE_LISTS_MAX);
	KB_TRY(tell_kernel(m, fresh, list - m->lists));
	free_mappings(list->mappings, list->n);
	*list = (struct list){ .mappings = fresh->mappings, .n = fresh->n, .refs = 1 };
	*fresh = (struct list){};
	known.list = m->processes[proc].list = list - m->lists + 1;
	kb_native_maps__set_proc(&m->maps, proc, &known);
	return NULL;
}

/* Is the process still what the kernel calls by the id? */
static bool is_current(struct kb_mappings *m, uint32_t proc, pid_t pid)
{
	struct kb_proc known;

	return kb_programs__get_proc(m->programs, pid, &known) && known.id == proc;
}

struct kb_error *kb_mappings__read(struct kb_mappings *m, uint32_t proc, pid_t pid)
{
	struct process *process = reserve(m, proc);
	struct kb_error *err;
	struct list fresh = {};
	struct kb_maps maps;

	if (!process)
		return kb_failed("more than %u processes in one session", PROCS_MAX);
	process->pid = pid;
	err = kb_maps__read(pid, &maps);
	if (err) { /* it has ended */
		kb_error__destroy(err);
		return NULL;
	}
	err = collect(m, pid, &maps, &fresh);
	kb_maps__free(&maps);
	if (!err && fresh.n && is_current(m, proc, pid))
		err = replace(m, proc, &fresh);
	free_mappings(fresh.mappings, fresh.n);
	return err;
}

/* ---- asking */

const struct kb_mapping *kb_mappings__find(const struct kb_mappings *m, uint32_t proc,
					   uint64_t address)
{
	const struct list *list = list_of(m, proc);
	uint32_t low = 0, high = list ? list->n : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct kb_mapping *at = &list->mappings[middle];

		if (address < at->start)
			high = middle;
		else if (address >= at->end)
			low = middle + 1;
		else
			return at;
	}
	return NULL;
}

const struct kb_mapping *kb_mappings__at(const struct kb_mappings *m, uint32_t proc, uint32_t index)
{
	const struct list *list = list_of(m, proc);

	return list && index < list->n ? &list->mappings[index] : NULL;
}

pid_t kb_mappings__pid(const struct kb_mappings *m, uint32_t proc)
{
	return proc < m->n_processes ? m->processes[proc].pid : 0;
}
