// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "format/check_history_line.h"
#include "format/writers.h"

static struct kb_error *failed(const char *path)
{
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot append to '%s'", path);
}

/* What a crash cut off before stays a line of its own, for its reader to skip. */
static bool ends_in_line(int fd, off_t size)
{
	char last = '\n';

	return !size || pread(fd, &last, 1, size - 1) != 1 || last == '\n';
}

/* A line and perhaps the end of the one before, in one write. The file is as before if that does
 * not succeed. */
static struct kb_error *write_line(int fd, const char *path, const char *line, size_t size)
{
	struct stat st;
	ssize_t written;
	bool whole;

	if (flock(fd, LOCK_EX) || fstat(fd, &st))
		return failed(path);
	if (!S_ISREG(st.st_mode))
		return kb_usage("'%s' is no regular file: a history is one", path);
	whole = ends_in_line(fd, st.st_size);
	/* The line is preceded by a line end. */
	written = write(fd, line + whole, size - whole);
	if (written == (ssize_t)(size - whole) && !fsync(fd))
		return NULL;
	if (written >= 0 && written < (ssize_t)(size - whole))
		errno = ENOSPC;
	written = errno;
	if (ftruncate(fd, st.st_size))
		return kb_failed("cannot append to '%s': a line was cut off", path);
	errno = (int)written;
	return failed(path);
}

/* So that a new file's name is on the disk, too. What cannot be synced is not: it is no error. */
static void sync_directory(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(copy);
}

static struct kb_error *append(const char *path, const char *line, size_t size)
{
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
	struct kb_error *err;

	if (fd < 0)
		return failed(path);
	err = write_line(fd, path, line, size);
	close(fd);
	if (!err)
		sync_directory(path);
	return err;
}

struct kb_error *kb_check_history__append(const char *path, const struct kb_check *check,
					  const struct kb_check_mark *mark)
{
	char *line = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&line, &size);
	struct kb_error *err;

	if (!stream)
		return kb_error__no_memory();
	putc('\n', stream);
	err = kb_check_history_line__write(check, mark, stream);
	err = err ?: kb_writers__check_stream(stream);
	fclose(stream);
	if (!err)
		err = append(path, line, size);
	free(line);
	return err;
}
