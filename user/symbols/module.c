// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uthash.h>
#include "base/error.h"
#include "symbols/module.h"
#include "system/file_key.h"
#include "system/memory.h"

/* Files that are remembered, most of which are data or a container's copy of a known module; when
 * there are more, all are looked at again. */
#define FILES_MAX 65536
/* The kernel's has 8 kB. */
#define VDSO_BYTES_MAX 65536

struct kb_module {
	struct kb_module_id id;
	uint32_t index;
	int fd;
	struct kb_elf_file *elf;
	char *path;
	UT_hash_handle hh;
};

/* What a file was found to be. */
struct file {
	struct kb_file_key key;
	struct kb_module *module; /* NULL: none */
	UT_hash_handle hh;
};

struct kb_modules {
	struct file *files;
	struct kb_module *by_id;
	struct kb_module **modules; /* by index */
	uint32_t count;
};

struct kb_error *kb_modules__create(struct kb_modules **modules)
{
	*modules = calloc(1, sizeof(**modules));
	return *modules ? NULL : kb_error__no_memory();
}

static void forget_files(struct kb_modules *modules)
{
	struct file *file, *next;

	HASH_ITER (hh, modules->files, file, next) {
		HASH_DEL(modules->files, file);
		free(file);
	}
}

static void free_module(struct kb_module *module)
{
	if (!module)
		return;
	kb_elf_file__close(module->elf);
	if (module->fd >= 0)
		close(module->fd);
	free(module->path);
	free(module);
}

void kb_modules__destroy(struct kb_modules *modules)
{
	if (!modules)
		return;
	forget_files(modules);
	HASH_CLEAR(hh, modules->by_id);
	for (uint32_t i = 0; i < modules->count; i++)
		free_module(modules->modules[i]);
	free(modules->modules);
	free(modules);
}

/* ---------------------------------------------------------------- adding */

static struct kb_error *append(struct kb_modules *modules, struct kb_module *module)
{
	struct kb_module **more;

	if (modules->count >= KB_MODULES_MAX)
		return kb_failed("more than %u different files with native code", KB_MODULES_MAX);
	more = reallocarray(modules->modules, modules->count + 1, sizeof(struct kb_module *));
	if (!more)
		return kb_error__no_memory();
	modules->modules = more;
	module->index = modules->count;
	more[modules->count++] = module;
	HASH_ADD(hh, modules->by_id, id, sizeof(module->id), module);
	return NULL;
}

/* From the file's build id, else from what tells it from others on this machine. */
static void make_id(const struct kb_elf_file *elf, const struct kb_file_key *key,
		    struct kb_module_id *id)
{
	memset(id, 0, sizeof(*id)); /* a hash key, padding included */
	id->size = (uint32_t)kb_elf_file__build_id(elf, id->bytes);
	id->is_build_id = id->size;
	if (id->is_build_id)
		return;
	id->size = sizeof(id->bytes);
	memcpy(id->bytes, &key->inode, 8);
	memcpy(id->bytes + 8, &key->device, 4);
	memcpy(id->bytes + 12, &key->changed_s, 4);
	memcpy(id->bytes + 16, &key->changed_ns, 4);
}

/* Takes fd over. *module NULL: no ELF file. */
static struct kb_error *take_file(struct kb_modules *modules, int fd, const char *path,
				  const struct kb_file_key *key, struct kb_module **module)
{
	struct kb_module *made = calloc(1, sizeof(*made)), *known;
	struct kb_error *err;

	*module = NULL;
	if (!made) {
		close(fd);
		return kb_error__no_memory();
	}
	made->fd = fd;
	err = kb_elf_file__open(fd, &made->elf);
	if (err || !made->elf) {
		free_module(made);
		return err;
	}
	make_id(made->elf, key, &made->id);
	HASH_FIND(hh, modules->by_id, &made->id, sizeof(made->id), known);
	if (known) {
		free_module(made);
		*module = known;
		return NULL;
	}
	made->path = strdup(path);
	err = made->path ? append(modules, made) : kb_error__no_memory();
	if (err) {
		free_module(made);
		return err;
	}
	*module = made;
	return NULL;
}

/* Takes fd over. */
static struct kb_error *look(struct kb_modules *modules, int fd, const char *path,
			     struct kb_module **module)
{
	struct kb_file_key key;
	struct kb_error *err;
	struct file *file;

	*module = NULL;
	if (!kb_file_key__read(fd, &key)) {
		close(fd);
		return NULL;
	}
	HASH_FIND(hh, modules->files, &key, sizeof(key), file);
	if (file) {
		close(fd);
		*module = file->module;
		return NULL;
	}
	err = take_file(modules, fd, path, &key, module);
	if (err)
		return err;
	if (HASH_COUNT(modules->files) >= FILES_MAX)
		forget_files(modules);
	file = calloc(1, sizeof(*file));
	if (!file)
		return kb_error__no_memory();
	file->key = key;
	file->module = *module;
	HASH_ADD(hh, modules->files, key, sizeof(key), file);
	return NULL;
}

/* ---------------------------------------------------------------- mappings */

/* A copy of the vDSO, which is a whole ELF file in memory; -1: it is not readable. */
static int copy_vdso(pid_t pid, const struct kb_map *map)
{
	size_t size = map->end - map->start;
	uint8_t *bytes;
	int fd = -1;

	if (size > VDSO_BYTES_MAX || !(bytes = malloc(size)))
		return -1;
	if (kb_memory__read(pid, map->start, bytes, size))
		fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, bytes, size) != (ssize_t)size) {
		close(fd);
		fd = -1;
	}
	free(bytes);
	return fd;
}

struct kb_error *kb_modules__of_mapping(struct kb_modules *modules, pid_t pid,
					const struct kb_map *map, const struct kb_module **module)
{
	struct kb_module *found = NULL;
	int fd = -1;

	if (!strcmp(map->path, "[vdso]")) {
		struct kb_file_key key = { 0 };

		fd = copy_vdso(pid, map);
		if (fd >= 0)
			KB_TRY(take_file(modules, fd, map->path, &key, &found));
	} else if (map->inode) {
		fd = kb_map__open(pid, map);
		if (fd >= 0)
			KB_TRY(look(modules, fd, map->path, &found));
		else if (errno == EMFILE || errno == ENFILE)
			return kb_error__from_errno(errno, KB_STATUS_FAILED, "%s", map->path);
	}
	*module = found;
	return NULL;
}

struct kb_error *kb_modules__of_file(struct kb_modules *modules, int fd, const char *path,
				     const struct kb_module **module)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	struct kb_module *found;

	if (own < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "%s", path);
	KB_TRY(look(modules, own, path, &found));
	*module = found;
	return NULL;
}

/* ---------------------------------------------------------------- asking */

uint32_t kb_modules__count(const struct kb_modules *modules)
{
	return modules->count;
}

const struct kb_module *kb_modules__at(const struct kb_modules *modules, uint32_t index)
{
	return index < modules->count ? modules->modules[index] : NULL;
}

uint32_t kb_module__index(const struct kb_module *module)
{
	return module->index;
}

const struct kb_module_id *kb_module__id(const struct kb_module *module)
{
	return &module->id;
}

const char *kb_module__path(const struct kb_module *module)
{
	return module->path;
}

const char *kb_module__name(const struct kb_module *module)
{
	const char *slash = strrchr(module->path, '/');

	return slash && slash[1] ? slash + 1 : module->path;
}

const struct kb_elf_file *kb_module__elf(const struct kb_module *module)
{
	return module->elf;
}

bool kb_module__relative(const struct kb_module *module, uint64_t map_offset, uint64_t *relative)
{
	uint64_t address;

	if (!kb_elf_file__address_of(module->elf, map_offset, &address))
		return false;
	*relative = address - kb_elf_file__base(module->elf);
	return true;
}
