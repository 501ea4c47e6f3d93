// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>
#include "base/error.h"
#include "python/image_cache.h"
#include "system/arch.h"
#include "system/elf_file.h"
#include "system/file_key.h"

/* Files remembered not to hold an interpreter; when there are more, all of these are forgotten. */
#define OTHERS_MAX 16384
/* Interpreters; one process tree rarely has more than 3, a build farm's machine may have hundreds.
 */
#define IMAGES_MAX 4096

struct entry {
	struct kb_file_key key;
	struct kb_image_info *image; /* NULL: no interpreter, or a refused one */
	uint32_t index;
	bool needs_libpython;
	char *refusal; /* why an interpreter is refused, or NULL */
	UT_hash_handle hh;
};

struct kb_image_cache {
	struct entry *entries;
	struct entry **images; /* by index */
	uint32_t n_images;
	uint32_t n_others;
};

struct kb_error *kb_image_cache__create(struct kb_image_cache **cache)
{
	*cache = calloc(1, sizeof(**cache));
	return *cache ? NULL : kb_error__no_memory();
}

static void free_entry(struct kb_image_cache *cache, struct entry *entry)
{
	HASH_DEL(cache->entries, entry);
	free(entry->image);
	free(entry->refusal);
	free(entry);
}

void kb_image_cache__destroy(struct kb_image_cache *cache)
{
	struct entry *entry, *next;

	if (!cache)
		return;
	HASH_ITER (hh, cache->entries, entry, next)
		free_entry(cache, entry);
	free(cache->images);
	free(cache);
}

uint32_t kb_image_cache__count(const struct kb_image_cache *cache)
{
	return cache->n_images;
}

const struct kb_image_info *kb_image_cache__at(const struct kb_image_cache *cache, uint32_t index)
{
	return index < cache->n_images ? cache->images[index]->image : NULL;
}

static void forget_others(struct kb_image_cache *cache)
{
	struct entry *entry, *next;

	HASH_ITER (hh, cache->entries, entry, next)
		if (!entry->image)
			free_entry(cache, entry);
	cache->n_others = 0;
}

static bool links_libpython(int fd)
{
	struct kb_elf_file *file = NULL;
	bool needs;

	kb_error__destroy(kb_elf_file__open(fd, &file));
	needs = file && kb_elf_file__needed(file, "libpython");
	kb_elf_file__close(file);
	return needs;
}

static struct kb_error *keep_image(struct kb_image_cache *cache, struct entry *entry,
				   const struct kb_image_info *info)
{
	struct entry **images;

	if (cache->n_images >= IMAGES_MAX)
		return kb_failed("more than %u different Python interpreters", IMAGES_MAX);
	images = realloc(cache->images, (cache->n_images + 1) * sizeof(struct entry *));
	if (!images)
		return kb_error__no_memory();
	cache->images = images;
	entry->image = malloc(sizeof(*info));
	if (!entry->image)
		return kb_error__no_memory();
	*entry->image = *info;
	entry->index = cache->n_images;
	images[cache->n_images++] = entry;
	return NULL;
}

/* Fills an entry from the file; refusals are part of what is found, other errors are not. */
static struct kb_error *analyse(struct kb_image_cache *cache, int fd, const char *path,
				struct entry *entry)
{
	struct kb_image_info info;
	struct kb_error *err;
	bool is_python = false;

	err = kb_image__read(fd, path, &is_python, &info);
	if (err && kb_error__status(err) == KB_STATUS_UNSUPPORTED) {
		entry->refusal = strdup(kb_error__text(err));
		kb_error__destroy(err);
		return entry->refusal ? NULL : kb_error__no_memory();
	}
	KB_TRY(err);
	if (is_python)
		return keep_image(cache, entry, &info);
	entry->needs_libpython = links_libpython(fd);
	return NULL;
}

static struct kb_error *add(struct kb_image_cache *cache, int fd, const char *path,
			    const struct kb_file_key *key, struct entry **added)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	struct kb_error *err;

	if (!entry)
		return kb_error__no_memory();
	entry->key = *key;
	err = analyse(cache, fd, path, entry);
	if (err) {
		free(entry);
		return err;
	}
	if (!entry->image && ++cache->n_others > OTHERS_MAX)
		forget_others(cache);
	HASH_ADD(hh, cache->entries, key, sizeof(entry->key), entry);
	*added = entry;
	return NULL;
}

struct kb_error *kb_image_cache__look(struct kb_image_cache *cache, int fd, const char *path,
				      struct kb_image_verdict *verdict)
{
	struct entry *entry;
	struct kb_file_key key;

	if (!kb_file_key__read(fd, &key)) {
		*verdict = (struct kb_image_verdict){ 0 };
		return NULL;
	}
	HASH_FIND(hh, cache->entries, &key, sizeof(key), entry);
	if (!entry)
		KB_TRY(add(cache, fd, path, &key, &entry));
	if (entry->refusal)
		return kb_unsupported("%s", entry->refusal);
	*verdict = (struct kb_image_verdict){
		.image = entry->image,
		.index = entry->index,
		.needs_libpython = entry->needs_libpython,
	};
	return NULL;
}

/* ---------------------------------------------------------------- files that will be run */

/* The directories of a search path, one after the other, with $ORIGIN of the program in place. */
static int open_in(const char *directories, const char *origin, const char *name, char *path,
		   size_t size)
{
	static const char variable[] = "$ORIGIN", braced[] = "${ORIGIN}";

	while (directories && *directories) {
		size_t length = strcspn(directories, ":"), skip = 0;
		int n, fd;

		if (!strncmp(directories, variable, sizeof(variable) - 1))
			skip = sizeof(variable) - 1;
		else if (!strncmp(directories, braced, sizeof(braced) - 1))
			skip = sizeof(braced) - 1;
		n = snprintf(path, size, "%s%.*s/%s", skip ? origin : "", (int)(length - skip),
			     directories + skip, name);
		fd = length && n > 0 && (size_t)n < size ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd >= 0)
			return fd;
		directories += length + (directories[length] == ':');
	}
	return -1;
}

/*
 * The libpython that the dynamic linker will take for an executable: where the file itself says,
 * LD_LIBRARY_PATH, then the usual directories. A miss is no error: the library is then
 * found when the process has mapped it.
 */
static int open_libpython(int fd, const char *path, char *library, size_t size)
{
	static const char usual[] = "/usr/local/lib:/lib/" KB_MULTIARCH ":/usr/lib/" KB_MULTIARCH
				    ":/lib64:/usr/lib64:/lib:/usr/lib";
	struct kb_elf_file *file = NULL;
	char origin[PATH_MAX];
	const char *name;
	int found = -1;

	kb_error__destroy(kb_elf_file__open(fd, &file));
	name = file ? kb_elf_file__needed(file, "libpython") : NULL;
	if (name && realpath(path, origin)) {
		*strrchr(origin, '/') = '\0';
		found = open_in(kb_elf_file__run_path(file), origin, name, library, size);
		if (found < 0)
			found = open_in(getenv("LD_LIBRARY_PATH"), origin, name, library, size);
		if (found < 0)
			found = open_in(usual, origin, name, library, size);
	}
	kb_elf_file__close(file);
	return found;
}

struct kb_error *kb_image_cache__add_path(struct kb_image_cache *cache, const char *path,
					  bool *is_python, uint32_t *index, char *file)
{
	struct kb_image_verdict verdict = { 0 };
	struct kb_error *err;
	int fd, library_fd;

	snprintf(file, PATH_MAX, "%s", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "%s", path);
	err = kb_image_cache__look(cache, fd, path, &verdict);
	if (!err && verdict.needs_libpython) {
		library_fd = open_libpython(fd, path, file, PATH_MAX);
		if (library_fd >= 0) {
			err = kb_image_cache__look(cache, library_fd, file, &verdict);
			close(library_fd);
		}
	}
	close(fd);
	if (err)
		return err;
	*is_python = verdict.image;
	if (verdict.image)
		*index = verdict.index;
	return NULL;
}
