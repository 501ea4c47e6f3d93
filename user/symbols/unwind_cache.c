// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A file is a header, the rows and the functions, as they are in memory. The
 * checksum covers all of it; it finds damage, not malice: that is kept out by whose the
 * directory is. A file that is used gets a new modification time, so the oldest one is the
 * least recently used.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "base/clock.h"
#include "base/error.h"
#include "symbols/unwind_cache.h"
#include "system/arch.h"

/* Moves on when a table of the same file comes out differently. */
#define FORMAT_VERSION 1
#define SUFFIX	       ".unwind"
#define TEMPORARY      ".new-"
/* A temporary file that is older was left behind by a process that was killed. */
#define TEMPORARY_AGE_S 3600
/* Files that are looked at when room is made. */
#define FILES_MAX  65536
#define NAME_BYTES (2 * 20 + sizeof(SUFFIX))

static const char MAGIC[8] = "KBUNWIND";

struct header {
	char magic[8];
	uint32_t version;
	uint32_t machine; /* e_machine: also says which byte order */
	uint8_t id[20];
	uint32_t id_size;
	uint32_t n_rows, n_functions, n_dropped;
	uint32_t crc; /* of the header with 0 here, then of all that follows */
};
_Static_assert(sizeof(struct header) == 56, "header of cached unwind tables");

struct kb_unwind_cache {
	int directory;
	uint64_t bytes, bytes_max;
};

/* ---------------------------------------------------------------- directory */

bool kb_unwind_cache__default_path(char path[PATH_MAX])
{
	const char *base = getenv("XDG_CACHE_HOME"), *between = "";
	int n;

	if (!geteuid()) {
		strcpy(path, "/var/cache/keelback/unwind");
		return true;
	}
	if (!base || base[0] != '/') {
		base = getenv("HOME");
		between = "/.cache";
	}
	if (!base || base[0] != '/')
		return false;
	n = snprintf(path, PATH_MAX, "%s%s/keelback/unwind", base, between);
	return n > 0 && n < PATH_MAX;
}

/* Makes what is missing of a path; only the last directory holds something. */
static struct kb_error *make_directories(const char *path)
{
	char part[PATH_MAX];
	int n = snprintf(part, sizeof(part), "%s", path);

	if (n <= 0 || (size_t)n >= sizeof(part))
		return kb_failed("%s: too long", path);
	for (char *slash = part;;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(part, slash ? 0755 : 0700) && errno != EEXIST)
			return kb_error__from_errno(errno, KB_STATUS_FAILED,
						    "cannot create directory %s", part);
		if (!slash)
			return NULL;
		*slash = '/';
	}
}

/* Ours, and nobody else's to write. */
static bool is_private(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static struct kb_error *open_directory(const char *path, int *directory)
{
	struct stat st;
	int fd;

	KB_TRY(make_directories(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open directory %s",
					    path);
	if (fstat(fd, &st) || !is_private(&st)) {
		close(fd);
		return kb_failed("%s: belongs to another user or can be written by others", path);
	}
	*directory = fd;
	return NULL;
}

/* ---------------------------------------------------------------- limiting */

struct kept {
	char name[NAME_BYTES];
	int64_t used; /* ns */
	uint64_t bytes;
};

struct listing {
	struct kept *files;
	size_t n, capacity;
};

static bool is_temporary(const char *name)
{
	return !strncmp(name, TEMPORARY, sizeof(TEMPORARY) - 1);
}

static bool is_table(const char *name)
{
	size_t n = strspn(name, "0123456789abcdef");

	return n && n + sizeof(SUFFIX) <= NAME_BYTES && !strcmp(name + n, SUFFIX);
}

static bool add_file(struct listing *listing, const char *name, const struct stat *st)
{
	struct kept *files = listing->files;

	if (listing->n == listing->capacity) {
		size_t capacity = listing->capacity ? listing->capacity * 2 : 64;

		files = capacity <= FILES_MAX ? reallocarray(files, capacity, sizeof(*files))
					      : NULL;
		if (!files)
			return false;
		listing->files = files;
		listing->capacity = capacity;
	}
	files += listing->n++;
	memcpy(files->name, name, strlen(name) + 1); /* is_table() has looked at its length */
	files->used = st->st_mtim.tv_sec * (int64_t)KB_NS_PER_SECOND + st->st_mtim.tv_nsec;
	files->bytes = (uint64_t)st->st_size;
	return true;
}

/* The tables in the directory; left-over temporary files are removed on the way. */
static void list_files(int directory, struct listing *listing)
{
	time_t now = time(NULL);
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if ((!is_temporary(entry->d_name) && !is_table(entry->d_name)) ||
		    fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (is_temporary(entry->d_name)) {
			if (now - st.st_mtim.tv_sec > TEMPORARY_AGE_S)
				unlinkat(directory, entry->d_name, 0);
		} else if (!add_file(listing, entry->d_name, &st)) {
			break;
		}
	}
	if (dir)
		closedir(dir);
}

static int by_use(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return x->used < y->used ? -1 : x->used > y->used;
}

/* Removes the least recently used files while there are more bytes than allowed. */
static void limit(struct kb_unwind_cache *cache)
{
	struct listing listing = { 0 };
	uint64_t bytes = 0;

	list_files(cache->directory, &listing);
	for (size_t i = 0; i < listing.n; i++)
		bytes += listing.files[i].bytes;
	if (listing.n)
		qsort(listing.files, listing.n, sizeof(*listing.files), by_use);
	for (size_t i = 0; i < listing.n && bytes > cache->bytes_max; i++) {
		unlinkat(cache->directory, listing.files[i].name, 0);
		bytes -= listing.files[i].bytes;
	}
	cache->bytes = bytes;
	free(listing.files);
}

struct kb_error *kb_unwind_cache__open(const char *path, uint64_t bytes_max,
				       struct kb_unwind_cache **cache)
{
	struct kb_unwind_cache *opened = calloc(1, sizeof(*opened));
	struct kb_error *err;

	if (!opened)
		return kb_error__no_memory();
	err = open_directory(path, &opened->directory);
	if (err) {
		free(opened);
		return err;
	}
	opened->bytes_max = bytes_max;
	limit(opened);
	*cache = opened;
	return NULL;
}

void kb_unwind_cache__close(struct kb_unwind_cache *cache)
{
	if (!cache)
		return;
	close(cache->directory);
	free(cache);
}

/* ---------------------------------------------------------------- one file */

static bool file_name(const struct kb_module_id *id, char name[NAME_BYTES])
{
	if (!id->is_build_id || !id->size || id->size > sizeof(id->bytes))
		return false;
	for (uint32_t i = 0; i < id->size; i++)
		snprintf(name + 2 * i, 3, "%02x", id->bytes[i]);
	strcpy(name + 2 * id->size, SUFFIX);
	return true;
}

static uint32_t checksum(const struct header *header, const struct kb_unwind_table *table)
{
	struct header zeroed = *header;
	uLong crc;

	zeroed.crc = 0;
	crc = crc32(0, (const Bytef *)&zeroed, sizeof(zeroed));
	crc = crc32_z(crc, (const Bytef *)table->rows, table->n_rows * sizeof(*table->rows));
	return (uint32_t)crc32_z(crc, (const Bytef *)table->functions,
				 table->n_functions * sizeof(*table->functions));
}

static struct header make_header(const struct kb_module_id *id, const struct kb_unwind_table *table)
{
	struct header header = {
		.version = FORMAT_VERSION,
		.machine = KB_ARCH_ELF,
		.id_size = id->size,
		.n_rows = table->n_rows,
		.n_functions = table->n_functions,
		.n_dropped = table->n_dropped,
	};

	memcpy(header.magic, MAGIC, sizeof(MAGIC));
	memcpy(header.id, id->bytes, id->size);
	header.crc = checksum(&header, table);
	return header;
}

static bool write_all(int fd, const void *bytes, size_t size)
{
	for (const uint8_t *at = bytes; size;) {
		ssize_t n = write(fd, at, size);

		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

static bool read_all(int fd, void *bytes, size_t size)
{
	for (uint8_t *at = bytes; size;) {
		ssize_t n = read(fd, at, size);

		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

static bool fits(const struct header *header, const struct kb_module_id *id, uint64_t size)
{
	return !memcmp(header->magic, MAGIC, sizeof(MAGIC)) && header->version == FORMAT_VERSION &&
	       header->machine == KB_ARCH_ELF && header->id_size == id->size &&
	       !memcmp(header->id, id->bytes, id->size) && header->n_rows &&
	       header->n_rows <= KB_UNWIND_ROWS_MAX &&
	       header->n_functions <= KB_UNWIND_FUNCTIONS_MAX &&
	       size == sizeof(*header) + header->n_rows * sizeof(struct kb_unwind_row) +
			       header->n_functions * sizeof(struct kb_unwind_function);
}

static struct kb_unwind_table *read_table(int fd, const struct kb_module_id *id, uint64_t size)
{
	struct kb_unwind_table *table;
	struct header header;

	if (!read_all(fd, &header, sizeof(header)) || !fits(&header, id, size))
		return NULL;
	table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	table->n_rows = header.n_rows;
	table->n_functions = header.n_functions;
	table->n_dropped = header.n_dropped;
	table->rows = calloc(table->n_rows, sizeof(*table->rows));
	table->functions = calloc(table->n_functions + 1, sizeof(*table->functions));
	if (table->rows && table->functions &&
	    read_all(fd, table->rows, table->n_rows * sizeof(*table->rows)) &&
	    read_all(fd, table->functions, table->n_functions * sizeof(*table->functions)) &&
	    checksum(&header, table) == header.crc)
		return table;
	kb_unwind_table__destroy(table);
	return NULL;
}

struct kb_unwind_table *kb_unwind_cache__load(struct kb_unwind_cache *cache,
					      const struct kb_module_id *id)
{
	struct kb_unwind_table *table = NULL;
	char name[NAME_BYTES];
	struct stat st;
	int fd;

	if (!file_name(id, name))
		return NULL;
	fd = openat(cache->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && is_private(&st))
		table = read_table(fd, id, (uint64_t)st.st_size);
	if (table)
		futimens(fd, NULL);
	else
		unlinkat(cache->directory, name, 0);
	close(fd);
	return table;
}

void kb_unwind_cache__save(struct kb_unwind_cache *cache, const struct kb_module_id *id,
			   const struct kb_unwind_table *table)
{
	char name[NAME_BYTES], temporary[64];
	struct header header;
	uint64_t size;
	bool ok;
	int fd;

	if (!file_name(id, name))
		return;
	header = make_header(id, table);
	size = sizeof(header) + table->n_rows * sizeof(*table->rows) +
	       table->n_functions * sizeof(*table->functions);
	snprintf(temporary, sizeof(temporary), TEMPORARY "%d-%llx", getpid(),
		 (unsigned long long)kb_now(CLOCK_MONOTONIC));
	fd = openat(cache->directory, temporary,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	ok = write_all(fd, &header, sizeof(header)) &&
	     write_all(fd, table->rows, table->n_rows * sizeof(*table->rows)) &&
	     write_all(fd, table->functions, table->n_functions * sizeof(*table->functions));
	ok &= !close(fd);
	if (!ok || renameat(cache->directory, temporary, cache->directory, name)) {
		unlinkat(cache->directory, temporary, 0);
		return;
	}
	cache->bytes += size;
	if (cache->bytes > cache->bytes_max)
		limit(cache);
}
