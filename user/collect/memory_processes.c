// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "collect/memory_processes.h"
#include "system/maps.h"
#include "system/process_file.h"

#define FILES_MAX    256   /* interpreters, as KB_IMAGES_MAX */
#define TRACED_MAX   16384 /* processes of a session; those that have ended keep their way */
#define LIBC_WAIT_NS (2 * KB_NS_PER_SECOND) /* between execution and the mapping of libc: 1 ms */
#define ENVIRON_MAX  (1u << 20)

struct file {
	uint32_t image;
	int fd;
	const struct kb_image_info *info;
	struct kb_allocator allocator;
};

struct kb_memory_processes {
	struct kb_programs *programs;
	struct kb_memory_plan_opts opts;
	struct file *files;
	uint32_t n_files, files_capacity;
	struct kb_traced_process *traced;
	uint32_t n, capacity;
	bool paused;
};

struct kb_error *kb_memory_processes__create(struct kb_programs *programs,
					     const struct kb_memory_plan_opts *opts,
					     struct kb_memory_processes **result)
{
	struct kb_memory_processes *p = calloc(1, sizeof(*p));

	if (!p)
		return kb_error__no_memory();
	p->programs = programs;
	p->opts = *opts;
	*result = p;
	return NULL;
}

void kb_memory_processes__destroy(struct kb_memory_processes *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->n; i++)
		kb_memory_probes__destroy(p->traced[i].probes);
	for (uint32_t i = 0; i < p->n_files; i++)
		close(p->files[i].fd);
	free(p->files);
	free(p->traced);
	free(p);
}

struct kb_error *kb_memory_processes__add_image(uint32_t image, const struct kb_image_info *info,
						const char *path, void *context)
{
	struct kb_memory_processes *p = context;
	struct file *files, file = { .image = image, .info = info };
	struct kb_error *err;

	files = kb_array__grow(p->files, &p->files_capacity, p->n_files + 1, sizeof(*files),
			       FILES_MAX);
	if (!files)
		return kb_failed("more than %d interpreters", FILES_MAX);
	p->files = files;
	file.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (file.fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open %s", path);
	err = kb_allocator__find(file.fd, path, info->layout.version_minor, &file.allocator);
	if (err) {
		close(file.fd);
		return err;
	}
	files[p->n_files++] = file;
	return NULL;
}

static const struct file *file_of(const struct kb_memory_processes *p,
				  const struct kb_image_info *info)
{
	for (uint32_t i = 0; i < p->n_files; i++)
		if (p->files[i].info == info)
			return &p->files[i];
	/* Another file with the same build id. */
	for (uint32_t i = 0; i < p->n_files; i++)
		if (info->build_id_bytes &&
		    p->files[i].info->build_id_bytes == info->build_id_bytes &&
		    !memcmp(p->files[i].info->build_id, info->build_id, info->build_id_bytes))
			return &p->files[i];
	return NULL;
}

/* ---------------------------------------------------------------- what a process says */

/* The value of PYTHONMALLOC in the environment that a process was executed with. free() it. */
static char *python_malloc_of(pid_t pid)
{
	static const char name[] = "PYTHONMALLOC=";
	char path[64], *bytes = malloc(ENVIRON_MAX + 1), *value = NULL;
	size_t size = 0;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	fd = bytes ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	while (fd >= 0 && size < ENVIRON_MAX &&
	       (got = read(fd, bytes + size, ENVIRON_MAX - size)) > 0)
		size += got;
	if (fd >= 0) {
		close(fd);
		bytes[size] = 0;
		for (char *at = bytes; at < bytes + size && !value; at += strlen(at) + 1)
			if (!strncmp(at, name, strlen(name)))
				value = strdup(at + strlen(name));
	}
	free(bytes);
	return value;
}

static bool has_prefix(const char *path, const char *prefix)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return !strncmp(name, prefix, strlen(prefix));
}

static bool has_any_prefix(const char *path, const char *const *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_prefix(path, prefixes[i]))
			return true;
	return false;
}

const struct kb_map *kb_memory_processes__libc(const struct kb_maps *maps, bool *glibc)
{
	static const char *const names[] = { "libc.so.6", "libc-2." }, *const musl[] = {
		"ld-musl-", "libc.musl-"
	};

	for (size_t i = 0; i < maps->count; i++) {
		const char *path = maps->entries[i].path;

		*glibc = has_any_prefix(path, names, 2);
		if (*glibc || has_any_prefix(path, musl, 2))
			return &maps->entries[i];
	}
	return NULL;
}

/* The mapping of a process's libc; *replaced: something else brings its malloc. */
static bool find_libc(pid_t pid, char path[64], char key[64], bool *replaced)
{
	static const char *const others[] = { "libjemalloc", "libtcmalloc", "libmimalloc" };
	struct kb_maps maps;
	struct kb_error *err = kb_maps__read(pid, &maps);
	const struct kb_map *map;
	bool glibc;

	*replaced = false;
	kb_error__destroy(err);
	if (err)
		return false;
	for (size_t i = 0; i < maps.count; i++)
		*replaced = *replaced || has_any_prefix(maps.entries[i].path, others, 3);
	map = kb_memory_processes__libc(&maps, &glibc);
	if (map) {
		snprintf(path, 64, "/proc/%d/map_files/%lx-%lx", pid, (unsigned long)map->start,
			 (unsigned long)map->end);
		snprintf(key, 64, "%x:%x:%lx", map->device_major, map->device_minor,
			 (unsigned long)map->inode);
	}
	kb_maps__free(&maps);
	return map != NULL;
}

/* By its path as we see it, or as its process does. */
static int open_path(pid_t pid, bool as_process, const char *path, int flags)
{
	return as_process ? kb_process_file__open(pid, path, flags) : open(path, flags | O_CLOEXEC);
}

/* A file beside that of a mapping; -1: none. */
static int open_beside(pid_t pid, const struct kb_map *map, const char *name)
{
	const char *slash = strrchr(map->path, '/');
	char path[PATH_MAX];
	struct stat status;

	for (int as_process = 0; slash && as_process < 2; as_process++) {
		int fd = open_path(pid, as_process, map->path, O_PATH);
		bool is_it = fd >= 0 && !fstat(fd, &status) && status.st_ino == map->inode;

		if (fd >= 0)
			close(fd);
		if (!is_it)
			continue;
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - map->path), map->path, name);
		return open_path(pid, as_process, path, O_RDONLY | O_NONBLOCK);
	}
	return -1;
}

/* The libc that a process will map that has executed and not run yet: glibc's lies beside its
 * dynamic linker. A file descriptor, or -1. */
static int open_coming_libc(pid_t pid, char key[64])
{
	struct kb_maps maps;
	struct kb_error *err = kb_maps__read(pid, &maps);
	struct stat status;
	int fd = -1;

	kb_error__destroy(err);
	if (err)
		return -1;
	for (size_t i = 0; i < maps.count && fd < 0; i++)
		if (has_prefix(maps.entries[i].path, "ld-"))
			fd = open_beside(pid, &maps.entries[i], "libc.so.6");
	kb_maps__free(&maps);
	if (fd >= 0 && !fstat(fd, &status))
		snprintf(key, 64, "%x:%x:%lx", major(status.st_dev), minor(status.st_dev),
			 (unsigned long)status.st_ino);
	return fd;
}

/* Where the code of its interpreter lies: all executable mappings of the file. */
static struct kb_memory_text find_text(pid_t pid, const struct kb_interpreter *interp)
{
	struct kb_memory_text text = {};
	const struct kb_map *file = NULL;
	struct kb_maps maps;
	struct kb_error *err = kb_maps__read(pid, &maps);

	kb_error__destroy(err);
	if (err)
		return text;
	for (size_t i = 0; i < maps.count && !file; i++)
		if (maps.entries[i].start == interp->map_start)
			file = &maps.entries[i];
	for (size_t i = 0; i < maps.count && file; i++) {
		const struct kb_map *map = &maps.entries[i];

		if (!map->executable || map->inode != file->inode ||
		    map->device_major != file->device_major ||
		    map->device_minor != file->device_minor)
			continue;
		if (!text.start)
			text.start = map->start;
		text.end = map->end;
	}
	kb_maps__free(&maps);
	return text;
}

/* ---------------------------------------------------------------- attaching */

static struct kb_error *probe_interpreter(struct kb_memory_processes *p,
					  struct kb_traced_process *traced,
					  const struct kb_memory_facts *facts,
					  const struct file *file)
{
	struct kb_memory_probe functions[KB_MEMORY_FUNCTIONS_MAX];
	char path[64];
	uint32_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	KB_TRY(kb_memory_plan__interpreter(file->fd, facts, traced->way, functions, &n));
	return kb_memory_programs__attach(p->programs, traced->pid, path, functions, n,
					  &traced->probes);
}

static struct kb_error *probe_libc(struct kb_memory_processes *p, struct kb_traced_process *traced,
				   const struct kb_memory_facts *facts, const char *path)
{
	struct kb_memory_probe functions[KB_MEMORY_FUNCTIONS_MAX];
	struct kb_error *err;
	uint32_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open its libc");
	err = kb_memory_plan__libc(fd, &p->opts, facts, traced->way, functions, &n);
	if (!err)
		err = kb_memory_programs__attach(p->programs, traced->pid, path, functions, n,
						 &traced->probes);
	close(fd);
	return err;
}

static struct kb_traced_process *traced_of(struct kb_memory_processes *p, pid_t pid)
{
	/* The last one: PIDs come again. */
	for (uint32_t i = p->n; i-- > 0;)
		if (p->traced[i].pid == pid)
			return &p->traced[i];
	return NULL;
}

static struct kb_traced_process *new_traced(struct kb_memory_processes *p, pid_t pid, uint32_t proc)
{
	struct kb_traced_process *traced =
		kb_array__grow(p->traced, &p->capacity, p->n + 1, sizeof(*traced), TRACED_MAX);

	if (!traced)
		return NULL;
	p->traced = traced;
	traced += p->n++;
	*traced = (struct kb_traced_process){ .pid = pid,
					      .proc = proc,
					      .attached = kb_now(CLOCK_MONOTONIC) };
	kb_process__memory(pid, &traced->before);
	return traced;
}

static struct kb_error *attach_all(struct kb_memory_processes *p, struct kb_traced_process *traced,
				   const struct kb_memory_facts *facts, const struct file *file,
				   const char *libc)
{
	traced->image = file->image;
	traced->facts = *facts;
	KB_TRY(kb_memory_plan__choose(&p->opts, facts, &traced->way));
	if (p->paused && traced->way == KB_MEMORY_WAY_GROWTH)
		return NULL;
	KB_TRY(probe_interpreter(p, traced, facts, file));
	if (libc)
		return probe_libc(p, traced, facts, libc);
	traced->wait_until = kb_now(CLOCK_MONOTONIC) + LIBC_WAIT_NS;
	return NULL;
}

static const struct file *file_with_image(const struct kb_memory_processes *p, uint32_t image)
{
	for (uint32_t i = 0; i < p->n_files; i++)
		if (p->files[i].image == image)
			return &p->files[i];
	return NULL;
}

/* The allocator's place moves when files are added. */
static void refresh_facts(const struct kb_memory_processes *p, struct kb_traced_process *traced)
{
	const struct file *file = file_with_image(p, traced->image);

	if (file)
		traced->facts.allocator = &file->allocator;
}

/* True: it is to be looked at again. */
static bool retry_libc(struct kb_memory_processes *p, struct kb_traced_process *traced)
{
	struct kb_error *err = NULL;
	char libc[64];
	bool replaced;

	refresh_facts(p, traced);
	if (find_libc(traced->pid, libc, traced->libc, &replaced))
		err = probe_libc(p, traced, &traced->facts, libc);
	else if (kb_now(CLOCK_MONOTONIC) < traced->wait_until)
		return true;
	else if (traced->way != KB_MEMORY_WAY_API)
		err = kb_unsupported("its libc is not found");
	traced->wait_until = 0;
	if (err)
		kb_warn("process %d: %s", traced->pid, kb_error__text(err));
	kb_error__destroy(err);
	return false;
}

bool kb_memory_processes__retry(struct kb_memory_processes *p)
{
	bool again = false;

	for (uint32_t i = 0; i < p->n; i++)
		if (p->traced[i].wait_until && p->traced[i].probes)
			again = retry_libc(p, &p->traced[i]) || again;
	return again;
}

/*
 * What else calls malloc is told apart where Python's own allocator is not malloc: there extensions
 * that call PyMem_Malloc() cannot be told from those that call malloc(), for it ends in a jump.
 */
static void tell_native(struct kb_memory_processes *p, const struct kb_traced_process *traced,
			const struct kb_interpreter *interp)
{
	struct kb_memory_text text;

	if (traced->way != KB_MEMORY_WAY_GROWTH || traced->facts.uses_malloc)
		return;
	text = find_text(traced->pid, interp);
	kb_memory_programs__set_text(p->programs, traced->proc, &text);
}

static void end_traced(struct kb_traced_process *traced)
{
	if (!traced)
		return;
	kb_memory_probes__destroy(traced->probes);
	traced->probes = NULL;
	traced->ended = true;
}

struct kb_error *kb_memory_processes__add(struct kb_memory_processes *p, pid_t pid, uint32_t proc,
					  const struct kb_interpreter *interp)
{
	const struct file *file = file_of(p, interp->image);
	struct kb_traced_process *traced = traced_of(p, pid);
	struct kb_memory_facts facts = { .image = interp->image };
	char libc[64], key[64] = "", *setting;
	bool has_libc;

	if (!file)
		return kb_failed("process %d runs an interpreter that is not known", pid);
	has_libc = find_libc(pid, libc, key, &facts.replaced);
	facts.allocator = &file->allocator;
	setting = python_malloc_of(pid);
	kb_memory_facts__of_setting(&facts, setting);
	free(setting);
	if (interp->initialized)
		kb_memory_facts__of_process(&facts, pid, interp->bias);
	/* The command that was held executes what was expected. On a slow machine its libc may not
	 * be mapped yet. */
	if (traced && traced->proc == KB_ID_NONE && traced->probes &&
	    traced->image == file->image &&
	    (!*traced->libc || !has_libc || !strcmp(traced->libc, key))) {
		traced->proc = proc;
		tell_native(p, traced, interp);
		return NULL;
	}
	end_traced(traced);
	traced = new_traced(p, pid, proc);
	if (!traced)
		return kb_failed("more than %d processes", TRACED_MAX);
	snprintf(traced->libc, sizeof(traced->libc), "%s", key);
	KB_TRY(kb_error__prefix(attach_all(p, traced, &facts, file, has_libc ? libc : NULL),
				"process %d", pid));
	tell_native(p, traced, interp);
	return NULL;
}

bool kb_memory_processes__is_exact(const struct kb_memory_processes *p)
{
	return !p->n_files || p->files[p->n_files - 1].allocator.called;
}

/* What has not run yet. libc: path of the one that it will have, or NULL; key: of that. */
static struct kb_error *add_held(struct kb_memory_processes *p, pid_t pid, const struct file *file,
				 const char *python_malloc, const char *libc, const char *key)
{
	struct kb_memory_facts facts = { .image = file->info, .allocator = &file->allocator };
	struct kb_traced_process *traced;

	kb_memory_facts__of_setting(&facts, python_malloc);
	end_traced(traced_of(p, pid));
	traced = new_traced(p, pid, KB_ID_NONE);
	if (!traced)
		return kb_failed("more than %d processes", TRACED_MAX);
	traced->attached = 0; /* nothing was missed */
	snprintf(traced->libc, sizeof(traced->libc), "%s", key);
	return attach_all(p, traced, &facts, file, libc);
}

struct kb_error *kb_memory_processes__add_command(struct kb_memory_processes *p, pid_t pid,
						  const char *python_malloc)
{
	char libc[64], key[64] = "";
	bool replaced, has_libc;

	if (!p->n_files)
		return NULL;
	/* It is a copy of us so far, and most of what we run has our libc. */
	has_libc = find_libc(pid, libc, key, &replaced);
	return add_held(p, pid, &p->files[p->n_files - 1], python_malloc, has_libc ? libc : NULL,
			key);
}

struct kb_error *kb_memory_processes__add_executed(struct kb_memory_processes *p, pid_t pid,
						   uint32_t image)
{
	const struct file *file = file_with_image(p, image);
	struct kb_error *err = NULL;
	char libc[64], key[64] = "", *setting;
	int fd;

	if (!file)
		return NULL;
	fd = open_coming_libc(pid, key);
	snprintf(libc, sizeof(libc), "/proc/self/fd/%d", fd);
	setting = python_malloc_of(pid);
	err = add_held(p, pid, file, setting, fd >= 0 ? libc : NULL, key);
	free(setting);
	if (fd >= 0)
		close(fd);
	return err;
}

static struct kb_error *resume(struct kb_memory_processes *p, struct kb_traced_process *traced)
{
	const struct file *file = file_with_image(p, traced->image);
	char libc[64];
	bool replaced;

	if (!file || !find_libc(traced->pid, libc, traced->libc, &replaced))
		return NULL; /* it ends */
	refresh_facts(p, traced);
	KB_TRY(probe_interpreter(p, traced, &traced->facts, file));
	return probe_libc(p, traced, &traced->facts, libc);
}

/* Those that are estimated: exact ones would not be exact any more. */
struct kb_error *kb_memory_processes__pause(struct kb_memory_processes *p, bool pause)
{
	struct kb_error *err = NULL;

	if (p->paused == pause)
		return NULL;
	p->paused = pause;
	for (uint32_t i = 0; i < p->n && !err; i++) {
		struct kb_traced_process *traced = &p->traced[i];

		if (traced->way != KB_MEMORY_WAY_GROWTH || traced->ended)
			continue;
		if (pause) {
			kb_memory_probes__destroy(traced->probes);
			traced->probes = NULL;
		} else if (!traced->probes) {
			err = resume(p, traced);
		}
	}
	/* A call that was under way then ends unseen. */
	kb_memory_programs__reattached(p->programs);
	return err;
}

bool kb_memory_processes__may_pause(const struct kb_memory_processes *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->traced[i].way == KB_MEMORY_WAY_GROWTH && !p->traced[i].ended)
			return true;
	return false;
}

void kb_memory_processes__look(struct kb_memory_processes *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		struct kb_process_stat stat;

		if (p->traced[i].ended)
			continue;
		if (kb_process__stat(p->traced[i].pid, &stat) && stat.state != 'Z')
			continue;
		p->traced[i].ended = true;
		kb_memory_probes__destroy(p->traced[i].probes);
		p->traced[i].probes = NULL;
	}
}

const struct kb_traced_process *kb_memory_processes__find(const struct kb_memory_processes *p,
							  uint32_t proc)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->traced[i].proc == proc)
			return &p->traced[i];
	return NULL;
}

uint32_t kb_memory_processes__count(const struct kb_memory_processes *p)
{
	return p->n;
}

const struct kb_traced_process *kb_memory_processes__at(const struct kb_memory_processes *p,
							uint32_t index)
{
	return &p->traced[index];
}
