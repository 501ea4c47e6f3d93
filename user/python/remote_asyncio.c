// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where asyncio keeps its tasks.
 *
 *   3.6        a WeakSet and, by loop, the current tasks, in static variables of _asyncio that
 *              only its symbols tell; those of Python tasks in the dict of their class
 *   3.7-3.11   asyncio.tasks._all_tasks and _current_tasks
 *   3.12-3.13  asyncio.tasks._scheduled_tasks (a WeakSet), _eager_tasks (a set) and _current_tasks
 *   3.14+      C tasks: a list in each thread state, and one in the interpreter for threads that
 *              have ended; the running one in the thread state. Python tasks: as in 3.12
 *
 * asyncio_offsets.h has where things are in them, and what is found there must have the right
 * types.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/error.h"
#include "base/id_map.h"
#include "python/remote_asyncio.h"
#include "python/remote_coroutine.h"
#include "python/remote_object.h"
#include "python/remote_string.h"
#include "system/elf_file.h"
#include "system/maps.h"

#define BASES_MAX	 16   /* classes between a user's Task class and _asyncio.Task */
#define CHILDREN_MAX	 1024 /* futures that one gather() is looked through */
#define NAME_BYTES	 512
#define INTERPRETERS_MAX 4096 /* that are passed on the way to the main one */

/* ---------------------------------------------------------------- offsets */

/* What is looked for in a file, and where it is in the process: 0 where the file does not have it.
 */
struct finding {
	uint64_t section, all_tasks, current_tasks;
};

static uint64_t symbol_address(const struct kb_elf_file *file, const char *name, uint64_t bias)
{
	struct kb_elf_symbol symbol;

	return kb_elf_file__symbol(file, name, &symbol) && !symbol.function ? bias + symbol.address
									    : 0;
}

static void look_in(struct kb_remote *remote, const struct kb_map *map, struct finding *finding)
{
	struct kb_elf_section section;
	struct kb_elf_file *file = NULL;
	int fd = kb_map__open(remote->pid, map);
	uint64_t bias;

	if (fd < 0)
		return;
	kb_error__destroy(kb_elf_file__open(fd, &file));
	if (file) {
		bias = map->start - kb_elf_file__load_address(file);
		if (kb_elf_file__section(file, ".AsyncioDebug", &section))
			finding->section = bias + section.address;
		finding->all_tasks = symbol_address(file, "all_tasks", bias);
		finding->current_tasks = symbol_address(file, "current_tasks", bias);
		kb_elf_file__close(file);
	}
	close(fd);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool same_file(const struct kb_map *a, const struct kb_map *b)
{
	return a->inode == b->inode && a->device_major == b->device_major &&
	       a->device_minor == b->device_minor;
}

/* In _asyncio's own file, else in the interpreter's, where the module may be built in. */
static struct finding find(struct kb_remote *remote)
{
	const struct kb_map *own = NULL, *image = NULL, *type = NULL;
	struct finding finding = {};
	struct kb_maps maps;
	struct kb_error *err = kb_maps__read(remote->pid, &maps);

	if (err) {
		kb_error__destroy(err);
		return finding;
	}
	for (size_t i = 0; i < maps.count; i++) {
		const struct kb_map *map = &maps.entries[i];

		if (map->start <= remote->code_type && remote->code_type < map->end)
			type = map;
		if (!own && !map->offset && map->inode &&
		    !strncmp(base_name(map->path), "_asyncio", 8))
			own = map;
	}
	for (size_t i = 0; i < maps.count && type && !image; i++) {
		if (same_file(&maps.entries[i], type))
			image = &maps.entries[i];
	}
	if (own)
		look_in(remote, own, &finding);
	if (image && !own)
		look_in(remote, image, &finding);
	kb_maps__free(&maps);
	return finding;
}

static bool debug_offsets(struct kb_remote *remote, struct kb_asyncio_offsets *offsets)
{
	uint64_t words[KB_ASYNCIO_WORDS], at = find(remote).section;

	return at && kb_pages__read(remote->pages, at, words, sizeof(words)) &&
	       kb_asyncio_offsets__parse(words, remote->layout, offsets);
}

bool kb_remote_asyncio__open(struct kb_remote *remote, struct kb_remote_asyncio *asyncio)
{
	memset(asyncio, 0, sizeof(*asyncio));
	if (remote->layout->version_minor >= 14)
		return debug_offsets(remote, &asyncio->at);
	kb_asyncio_offsets__built_in(remote->layout, &asyncio->at);
	if (remote->layout->version_minor == 6) {
		struct finding finding = find(remote);

		asyncio->all_tasks = finding.all_tasks;
		asyncio->current_tasks = finding.current_tasks;
	}
	return true;
}

/* ---------------------------------------------------------------- one task */

struct reading {
	struct kb_remote *remote;
	const struct kb_remote_asyncio *asyncio;
	struct kb_remote_tasks *list;
	struct kb_id_map seen; /* addresses of tasks */
};

static bool word(struct kb_remote *remote, uint64_t address, uint64_t *value)
{
	return kb_pages__read_u64(remote->pages, address, value);
}

/* Is it made of TaskObj, itself or by a class above? */
static bool is_c_task(struct kb_remote *remote, struct kb_remote_type type)
{
	uint64_t base;

	for (int i = 0; i < BASES_MAX; i++) {
		if (!strcmp(type.name, "_asyncio.Task"))
			return true;
		if (!word(remote, type.address + remote->objects->type_base, &base) ||
		    !kb_remote_type__read(remote, base, &type))
			return false;
	}
	return false;
}

/* What of a task everything else comes from. */
struct parts {
	uint64_t coro, name, waits_for, loop;
	bool c;
};

static bool read_parts(struct kb_remote *remote, const struct kb_remote_asyncio *asyncio,
		       uint64_t task, struct parts *parts)
{
	struct kb_remote_dict attributes;
	struct kb_remote_type type;

	memset(parts, 0, sizeof(*parts));
	if (!kb_remote_object__type(remote, task, &type))
		return false;
	parts->c = is_c_task(remote, type);
	if (parts->c) {
		if (asyncio->at.task_name != KB_NO_OFFSET)
			word(remote, task + asyncio->at.task_name, &parts->name);
		word(remote, task + asyncio->at.task_loop, &parts->loop);
		word(remote, task + asyncio->at.task_coro - 8, &parts->waits_for);
		return word(remote, task + asyncio->at.task_coro, &parts->coro);
	}
	if (!kb_remote_dict__open_attributes(remote, task, &type, &attributes) ||
	    !kb_remote_dict__find(remote, attributes, "_coro", &parts->coro))
		return false;
	kb_remote_dict__find(remote, attributes, "_name", &parts->name);
	kb_remote_dict__find(remote, attributes, "_loop", &parts->loop);
	kb_remote_dict__find(remote, attributes, "_fut_waiter", &parts->waits_for);
	return true;
}

/* A str; from 3.12 also an int that becomes one when it is asked for. */
static char *name_text(struct kb_remote *remote, uint64_t name)
{
	struct kb_remote_type type;
	char *text = NULL;
	int64_t number;

	if (!kb_remote_object__type(remote, name, &type))
		return NULL;
	if (type.flags & KB_TYPE_STR)
		return kb_remote_string__read(remote->pages, remote->layout, name, NAME_BYTES);
	if (kb_remote_object__int(remote, name, &number) &&
	    asprintf(&text, "Task-%lld", (long long)number) < 0)
		text = NULL;
	return text;
}

char *kb_remote_task__name(struct kb_remote *remote, const struct kb_remote_asyncio *asyncio,
			   uint64_t task)
{
	struct parts parts;

	return read_parts(remote, asyncio, task, &parts) ? name_text(remote, parts.name) : NULL;
}

/* BaseEventLoop._thread_id, None while it does not run. */
static uint64_t loop_ident(struct kb_remote *remote, uint64_t loop)
{
	uint64_t value;
	int64_t ident;

	return kb_remote_object__attribute(remote, loop, "_thread_id", &value) &&
			       kb_remote_object__int(remote, value, &ident)
		       ? (uint64_t)ident
		       : 0;
}

static void note_waits_for(struct kb_remote *remote, uint64_t future, struct kb_remote_task *task)
{
	struct kb_remote_type type;

	if (!kb_remote_object__type(remote, future, &type) || !strcmp(type.name, "NoneType"))
		return;
	task->waits_for = future;
	task->waits_for_type = strdup(type.name);
}

static void add_awaiter(struct kb_remote_task *task, uint64_t awaiter)
{
	uint64_t *grown;

	for (uint32_t i = 0; i < task->n_awaited_by; i++) {
		if (task->awaited_by[i] == awaiter)
			return;
	}
	grown = reallocarray(task->awaited_by, task->n_awaited_by + 1, sizeof(*grown));
	if (!grown)
		return;
	task->awaited_by = grown;
	grown[task->n_awaited_by++] = awaiter;
}

/* From 3.14: a task, or a set of them. */
static void read_awaited_by(struct reading *in, struct kb_remote_task *task)
{
	struct kb_remote_set set;
	uint64_t object, key;
	uint8_t is_set;

	if (in->asyncio->at.task_awaited_by == KB_NO_OFFSET ||
	    !word(in->remote, task->address + in->asyncio->at.task_awaited_by, &object) ||
	    !object ||
	    !kb_pages__read(in->remote->pages,
			    task->address + in->asyncio->at.task_awaited_by_is_set, &is_set, 1))
		return;
	if (!is_set) {
		add_awaiter(task, object);
		return;
	}
	if (!kb_remote_set__open(in->remote, object, &set))
		return;
	while (task->n_awaited_by < CHILDREN_MAX && kb_remote_set__next(in->remote, &set, &key))
		add_awaiter(task, key);
}

/* Adds a task that is not done. ident: of the thread that it is listed in, or 0. */
static void add_task(struct reading *in, uint64_t address, uint64_t ident)
{
	struct kb_remote_tasks *list = in->list;
	enum kb_remote_coroutine state;
	struct kb_remote_task *task;
	struct parts parts;

	if (kb_id_map__get(&in->seen, address, 0) != KB_ID_MAP_NONE ||
	    !read_parts(in->remote, in->asyncio, address, &parts))
		return;
	state = kb_remote_coroutine__state(in->remote, parts.coro);
	if (!parts.coro || state == KB_COROUTINE_FINISHED)
		return;
	task = kb_array__grow(list->tasks, &list->capacity, list->n + 1, sizeof(*task),
			      KB_REMOTE_TASKS_MAX);
	if (!task || !kb_id_map__set(&in->seen, address, 0, list->n)) {
		list->cut = true;
		return;
	}
	list->tasks = task;
	task = memset(&task[list->n++], 0, sizeof(*task));
	task->address = address;
	task->name = name_text(in->remote, parts.name) ?: strdup("");
	task->loop_ident = ident ? ident : loop_ident(in->remote, parts.loop);
	kb_remote_coroutine__chain(in->remote, parts.coro, &task->coroutines);
	note_waits_for(in->remote, parts.waits_for, task);
	if (parts.c)
		read_awaited_by(in, task);
}

/* ---------------------------------------------------------------- lists of tasks */

/* A circle of struct llist_node {next, prev} with a head. */
static void read_list(struct reading *in, uint64_t head, uint64_t ident)
{
	uint64_t node;

	for (uint32_t i = 0; i < KB_REMOTE_TASKS_MAX; i++) {
		if (!word(in->remote, i ? node : head, &node) || !node || node == head)
			return;
		add_task(in, node - in->asyncio->at.task_node, ident);
	}
	in->list->cut = true;
}

/* A set of tasks, or of weak references to them. */
static void read_set(struct reading *in, uint64_t object)
{
	struct kb_remote_type type;
	struct kb_remote_set set;
	uint64_t key;

	if (!kb_remote_object__type(in->remote, object, &type) || strcmp(type.name, "set") ||
	    !kb_remote_set__open(in->remote, object, &set))
		return;
	while (kb_remote_set__next(in->remote, &set, &key)) {
		if (!kb_remote_object__type(in->remote, key, &type))
			continue;
		if (!strncmp(type.name, "weak", 4) &&
		    !word(in->remote, key + in->remote->objects->weakref_object, &key))
			continue;
		add_task(in, key, 0);
	}
}

static void read_weak_set(struct reading *in, uint64_t object)
{
	uint64_t data;

	if (kb_remote_object__attribute(in->remote, object, "data", &data))
		read_set(in, data);
}

/* The dict of loops and their current tasks. */
static void mark_running(struct reading *in, uint64_t object)
{
	struct kb_remote_dict dict;
	uint64_t loop, task;
	uint32_t place;

	if (!kb_remote_dict__open(in->remote, object, &dict))
		return;
	while (kb_remote_dict__next(in->remote, &dict, &loop, &task)) {
		place = kb_id_map__get(&in->seen, task, 0);
		if (place != KB_ID_MAP_NONE)
			in->list->tasks[place].running = true;
	}
}

static bool attribute(struct reading *in, uint64_t object, const char *name, uint64_t *value)
{
	return kb_remote_object__attribute(in->remote, object, name, value);
}

/* 3.6: tasks of Python code. */
static void read_class(struct reading *in, uint64_t module, const char *name)
{
	struct kb_remote_type type;
	struct kb_remote_dict members;
	uint64_t class, dict, value;

	if (!attribute(in, module, name, &class) ||
	    !kb_remote_type__read(in->remote, class, &type) ||
	    !word(in->remote, class + in->remote->objects->type_dict, &dict) ||
	    !kb_remote_dict__open(in->remote, dict, &members))
		return;
	if (kb_remote_dict__find(in->remote, members, "_all_tasks", &value))
		read_weak_set(in, value);
	if (kb_remote_dict__find(in->remote, members, "_current_tasks", &value))
		mark_running(in, value);
}

/* 3.6: tasks of C code. */
static void read_variables(struct reading *in)
{
	uint64_t object;

	if (in->asyncio->all_tasks && word(in->remote, in->asyncio->all_tasks, &object))
		read_weak_set(in, object);
	if (in->asyncio->current_tasks && word(in->remote, in->asyncio->current_tasks, &object))
		mark_running(in, object);
}

static void read_module(struct reading *in, uint64_t interp)
{
	static const char *const weak_sets[] = { "_all_tasks", "_scheduled_tasks" };
	uint64_t module, value;

	if (!kb_remote_module__find(in->remote, interp, "asyncio.tasks", &module))
		return;
	for (size_t i = 0; i < sizeof(weak_sets) / sizeof(weak_sets[0]); i++) {
		if (attribute(in, module, weak_sets[i], &value))
			read_weak_set(in, value);
	}
	if (attribute(in, module, "_eager_tasks", &value))
		read_set(in, value);
	if (in->remote->layout->version_minor == 6) {
		read_class(in, module, "_PyTask");
		read_variables(in);
	}
	if (attribute(in, module, "_current_tasks", &value))
		mark_running(in, value);
}

bool kb_remote_asyncio__current_tasks(struct kb_remote *remote,
				      const struct kb_remote_asyncio *asyncio, uint64_t *dict)
{
	uint64_t interp = 0, next = 0, module;
	struct kb_remote_dict opened;

	kb_remote__begin(remote);
	/* New interpreters come first: the main one is the last. */
	word(remote, remote->interp_head, &next);
	for (int i = 0; i < INTERPRETERS_MAX && next; i++) {
		interp = next;
		if (!word(remote, interp + remote->layout->interp_next, &next))
			return false;
	}
	if (remote->layout->version_minor == 6)
		return asyncio->current_tasks && word(remote, asyncio->current_tasks, dict) &&
		       *dict;
	return interp && kb_remote_module__find(remote, interp, "asyncio.tasks", &module) &&
	       kb_remote_object__attribute(remote, module, "_current_tasks", dict) &&
	       kb_remote_dict__open(remote, *dict, &opened);
}

static void read_thread(struct reading *in, const struct kb_remote_thread *thread)
{
	uint64_t running;
	uint32_t place;

	read_list(in, thread->tstate + in->asyncio->at.thread_tasks_head, thread->ident);
	if (!word(in->remote, thread->tstate + in->asyncio->at.thread_running_task, &running))
		return;
	place = kb_id_map__get(&in->seen, running, 0);
	if (running && place != KB_ID_MAP_NONE)
		in->list->tasks[place].running = true;
}

/* ---------------------------------------------------------------- who waits for whom */

static void link_to(struct reading *in, uint64_t awaited, uint64_t awaiter)
{
	uint32_t place = kb_id_map__get(&in->seen, awaited, 0);

	if (place != KB_ID_MAP_NONE)
		add_awaiter(&in->list->tasks[place], awaiter);
}

/*
 * A task that is leaving a TaskGroup (3.11+) waits in its __aexit__() for a future that knows
 * nothing of the group; but the method's first local is the group, which has a set of its tasks.
 */
static void link_group(struct reading *in, const struct kb_remote_task *task)
{
	const struct kb_remote_stack *stack = &task->coroutines;
	struct kb_remote_type type;
	struct kb_remote_set set;
	uint64_t group, tasks, child;

	if (!stack->n ||
	    !word(in->remote, stack->frames[0].address + in->remote->objects->frame_localsplus,
		  &group) ||
	    !kb_remote_object__type(in->remote, group, &type) || strcmp(type.name, "TaskGroup") ||
	    !attribute(in, group, "_tasks", &tasks) ||
	    !kb_remote_set__open(in->remote, tasks, &set))
		return;
	for (int i = 0; i < CHILDREN_MAX && kb_remote_set__next(in->remote, &set, &child); i++)
		link_to(in, child, task->address);
}

/*
 * Before 3.14 a task does not know who waits for it, but each knows what it waits for: a task, the
 * future of a gather(), which has a list of its children, or a group's.
 */
static void link_awaiters(struct reading *in)
{
	struct kb_remote_type type;
	uint64_t children, items, n, child;

	for (uint32_t i = 0; i < in->list->n; i++) {
		const struct kb_remote_task *task = &in->list->tasks[i];

		if (!task->waits_for)
			continue;
		link_to(in, task->waits_for, task->address);
		if (in->remote->layout->version_minor < 14)
			link_group(in, task);
		if (!attribute(in, task->waits_for, "_children", &children) ||
		    !kb_remote_object__type(in->remote, children, &type) ||
		    !kb_remote_object__items(in->remote, children, &type, &items, &n))
			continue;
		for (uint64_t j = 0; j < n && j < CHILDREN_MAX; j++) {
			if (word(in->remote, items + j * 8, &child))
				link_to(in, child, task->address);
		}
	}
}

void kb_remote_tasks__read(struct kb_remote *remote, const struct kb_remote_asyncio *asyncio,
			   const struct kb_remote_threads *threads, struct kb_remote_tasks *tasks)
{
	struct reading in = { .remote = remote, .asyncio = asyncio, .list = tasks };
	uint64_t interp = 0;

	memset(tasks, 0, sizeof(*tasks));
	kb_remote__begin(remote);
	kb_id_map__init(&in.seen, KB_REMOTE_TASKS_MAX);
	for (uint32_t i = 0; i < threads->n; i++) {
		const struct kb_remote_thread *thread = &threads->threads[i];

		if (asyncio->at.thread_tasks_head != KB_NO_OFFSET)
			read_thread(&in, thread);
		if (thread->interp == interp)
			continue;
		interp = thread->interp;
		if (asyncio->at.interp_tasks_head != KB_NO_OFFSET)
			read_list(&in, interp + asyncio->at.interp_tasks_head, 0);
		read_module(&in, interp);
	}
	link_awaiters(&in);
	kb_id_map__free(&in.seen);
}

void kb_remote_tasks__free(struct kb_remote_tasks *tasks)
{
	for (uint32_t i = 0; i < tasks->n; i++) {
		struct kb_remote_task *task = &tasks->tasks[i];

		free(task->name);
		free(task->waits_for_type);
		free(task->awaited_by);
		kb_remote_stack__free(&task->coroutines);
	}
	free(tasks->tasks);
	memset(tasks, 0, sizeof(*tasks));
}
