// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/output.h"

struct kb_output {
	FILE *stream;
	bool stdout_used;
	char *path;  /* as it was given */
	char *final; /* with symbolic links followed; NULL: written in place */
	char *temp;
};

/* Of the one output that is open; read by a signal handler. */
static const char *volatile unfinished;

void kb_output__abandon(void)
{
	if (unfinished)
		unlink(unfinished);
}

static struct kb_error *failed(const char *path)
{
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write '%s'", path);
}

/* The directory that a path is in; free it. */
static char *directory_of(const char *path)
{
	char *copy = strdup(path), *directory;

	if (!copy)
		return NULL;
	directory = strdup(dirname(copy));
	free(copy);
	return directory;
}

struct kb_error *kb_output__check(const char *path)
{
	struct stat st;
	char *directory;
	int denied;

	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode)) {
			errno = EISDIR;
			return failed(path);
		}
		return access(path, W_OK) ? failed(path) : NULL;
	}
	if (errno != ENOENT)
		return failed(path);
	directory = directory_of(path);
	if (!directory)
		return kb_error__no_memory();
	denied = access(directory, W_OK | X_OK);
	free(directory);
	return denied ? failed(path) : NULL;
}

bool kb_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return !stat(a, &sa) && !stat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static mode_t creation_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

/* Like the file that it will replace, which may belong to whoever called sudo. */
static void copy_owner(int fd, const char *final)
{
	struct stat st;

	if (stat(final, &st) == 0) {
		if (fchown(fd, st.st_uid, st.st_gid) == 0)
			fchmod(fd, st.st_mode & 07777);
	} else {
		fchmod(fd, creation_mode());
	}
}

/* Where a path leads: the file itself or, for a new one, its name. NULL: not to a regular file. */
static char *resolve(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return S_ISREG(st.st_mode) ? realpath(path, NULL) : NULL;
	return lstat(path, &st) == 0 ? NULL : strdup(path); /* NULL: a link to nothing */
}

/* Opens a new file beside the final one. False when the directory does not allow it. */
static bool open_beside(struct kb_output *output)
{
	char *directory = directory_of(output->final);
	int fd;

	if (!directory || asprintf(&output->temp, "%s/.keelback-XXXXXX", directory) < 0)
		output->temp = NULL;
	free(directory);
	if (!output->temp)
		return false;
	fd = mkostemp(output->temp, O_CLOEXEC);
	if (fd < 0) {
		free(output->temp);
		output->temp = NULL;
		return false;
	}
	unfinished = output->temp;
	copy_owner(fd, output->final);
	output->stream = fdopen(fd, "w");
	return output->stream;
}

static struct kb_error *open_file(struct kb_output *output, const char *path, bool live)
{
	output->path = strdup(path);
	if (!output->path)
		return kb_error__no_memory();
	KB_TRY(kb_output__check(path));
	if (!live)
		output->final = resolve(path);
	if (output->final && open_beside(output))
		return NULL;
	/* A device, a pipe, or a file in a directory that takes no new ones. */
	free(output->final);
	output->final = NULL;
	output->stream = fopen(path, "we");
	return output->stream ? NULL : failed(path);
}

static struct kb_error *open_output(const char *path, bool live, struct kb_output **result)
{
	struct kb_output *output = calloc(1, sizeof(*output));
	struct kb_error *err = NULL;

	if (!output)
		return kb_error__no_memory();
	output->stdout_used = !path || !strcmp(path, "-");
	if (output->stdout_used)
		output->stream = stdout;
	else
		err = open_file(output, path, live);
	if (err)
		kb_output__destroy(output);
	else
		*result = output;
	return err;
}

struct kb_error *kb_output__open(const char *path, struct kb_output **output)
{
	return open_output(path, false, output);
}

struct kb_error *kb_output__open_live(const char *path, struct kb_output **output)
{
	return open_output(path, true, output);
}

FILE *kb_output__stream(struct kb_output *output)
{
	return output->stream;
}

bool kb_output__reader_gone(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLERR;
}

static struct kb_error *commit_stdout(struct kb_error *err)
{
	bool broken = fflush(stdout) || ferror(stdout);

	if (!broken && !err)
		return NULL;
	if (kb_output__reader_gone(STDOUT_FILENO)) {
		kb_error__destroy(err);
		return kb_failed("%s", "");
	}
	return err ? err : kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write to stdout");
}

struct kb_error *kb_output__commit(struct kb_output *output, struct kb_error *err)
{
	bool broken;

	if (output->stdout_used)
		return commit_stdout(err);
	broken = ferror(output->stream);
	broken |= fclose(output->stream) != 0;
	output->stream = NULL;
	if (!err && broken)
		err = failed(output->path);
	else if (err)
		err = kb_error__prefix(err, "'%s'", output->path);
	if (err || !output->temp)
		return err;
	if (rename(output->temp, output->final))
		return failed(output->path);
	unfinished = NULL;
	free(output->temp);
	output->temp = NULL;
	return NULL;
}

void kb_output__destroy(struct kb_output *output)
{
	if (!output)
		return;
	if (output->stream && !output->stdout_used)
		fclose(output->stream);
	if (output->temp)
		unlink(output->temp);
	unfinished = NULL;
	free(output->temp);
	free(output->final);
	free(output->path);
	free(output);
}
