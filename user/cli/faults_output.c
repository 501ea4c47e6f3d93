// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/faults_output.h"
#include "cli/output.h"

#define PREFIX	   "keelback-" /* of the files that are ours to remove */
#define NAME_BYTES 96
#define FILES_MAX  1000000 /* that are known of a directory */
#define NS_PER_S   1000000000ll

/* A report in the directory. Names begin with the time, so they sort by age. */
struct report_file {
	char name[NAME_BYTES];
	uint64_t bytes;
};

struct kb_faults_output {
	struct kb_faults_output_opts opts;
	FILE *stream;		   /* without a directory */
	bool written;		   /* a report: the next one stands apart */
	int directory;		   /* else -1 */
	struct report_file *files; /* from the oldest on */
	size_t n, capacity;
	uint64_t bytes, removed;
	unsigned serial;
};

static struct kb_error *failed(const char *path)
{
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write '%s'", path);
}

/* ---------------------------------------------------------------- a directory */

static bool reserve(struct kb_faults_output *output)
{
	struct report_file *grown;
	size_t wanted = output->capacity ? output->capacity * 2 : 256;

	if (output->n < output->capacity)
		return true;
	if (output->n >= FILES_MAX)
		return false;
	grown = reallocarray(output->files, wanted, sizeof(*grown));
	if (!grown)
		return false;
	output->files = grown;
	output->capacity = wanted;
	return true;
}

static void add(struct kb_faults_output *output, const char *name, uint64_t bytes)
{
	if (strlen(name) >= NAME_BYTES || !reserve(output))
		return;
	strcpy(output->files[output->n].name, name);
	output->files[output->n++].bytes = bytes;
	output->bytes += bytes;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct report_file *)a)->name, ((const struct report_file *)b)->name);
}

/* What earlier runs have left. */
static void scan(struct kb_faults_output *output)
{
	int fd = dup(output->directory);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (!strncmp(entry->d_name, PREFIX, strlen(PREFIX)) &&
		    !fstatat(output->directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    S_ISREG(st.st_mode))
			add(output, entry->d_name, (uint64_t)st.st_size);
	}
	closedir(directory);
	if (output->n)
		qsort(output->files, output->n, sizeof(*output->files), by_name);
}

/* The oldest make room. The newest stays, whatever its size. */
static void make_room(struct kb_faults_output *output)
{
	size_t n = 0;

	while (output->n - n > 1 &&
	       (output->n - n > output->opts.max_files || output->bytes > output->opts.max_bytes)) {
		unlinkat(output->directory, output->files[n].name, 0);
		output->bytes -= output->files[n++].bytes;
	}
	if (!n)
		return;
	output->removed += n;
	output->n -= n;
	memmove(output->files, output->files + n, output->n * sizeof(*output->files));
}

/* keelback-20260131T120000.123456Z-0001-4711-SIGSEGV.txt */
static void make_name(struct kb_faults_output *output, const struct kb_fault *fault, char *name)
{
	static const char *const kinds[] = { "death", "signal", "later", "hang" };
	time_t seconds = (time_t)(fault->time_unix_ns / NS_PER_S);
	char date[32];
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%S", &utc);
	snprintf(name, NAME_BYTES, PREFIX "%s.%06dZ-%04u-%d-%s.%s", date,
		 (int)(fault->time_unix_ns % NS_PER_S / 1000), output->serial++ % 10000, fault->pid,
		 fault->signal_name[0] ? fault->signal_name : kinds[fault->kind],
		 output->opts.json ? "json" : "txt");
}

static struct kb_error *write_report(const struct kb_faults_output *output,
				     const struct kb_fault *fault, FILE *stream)
{
	return output->opts.json ? kb_fault__write_json(fault, stream)
				 : kb_fault__write_text(fault, stream);
}

static struct kb_error *write_file(struct kb_faults_output *output, const struct kb_fault *fault)
{
	char name[NAME_BYTES], temp[NAME_BYTES + 1];
	struct kb_error *err;
	struct stat st = {};
	FILE *stream;
	int fd;

	make_name(output, fault, name);
	snprintf(temp, sizeof(temp), ".%s", name);
	fd = openat(output->directory, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	stream = fd < 0 ? NULL : fdopen(fd, "w");
	if (!stream)
		return failed(output->opts.directory);
	err = write_report(output, fault, stream);
	if (!err && (fflush(stream) || fstat(fd, &st)))
		err = failed(output->opts.directory);
	if (fclose(stream) && !err)
		err = failed(output->opts.directory);
	if (!err && renameat(output->directory, temp, output->directory, name))
		err = failed(output->opts.directory);
	if (err) {
		unlinkat(output->directory, temp, 0);
		return err;
	}
	add(output, name, (uint64_t)st.st_size);
	make_room(output);
	return NULL;
}

/* ---------------------------------------------------------------- either */

static struct kb_error *open_directory(struct kb_faults_output *output)
{
	const char *path = output->opts.directory;

	output->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (output->directory < 0 || faccessat(output->directory, ".", W_OK | X_OK, 0))
		return failed(path);
	scan(output);
	make_room(output);
	return NULL;
}

static struct kb_error *open_output(struct kb_faults_output *output)
{
	const char *path = output->opts.path;

	if (output->opts.directory)
		return open_directory(output);
	if (!path || !strcmp(path, "-")) {
		output->stream = stdout;
		return NULL;
	}
	KB_TRY(kb_output__check(path));
	output->stream = fopen(path, "ae");
	return output->stream ? NULL : failed(path);
}

struct kb_error *kb_faults_output__open(const struct kb_faults_output_opts *opts,
					struct kb_faults_output **result)
{
	struct kb_faults_output *output = calloc(1, sizeof(*output));
	struct kb_error *err;

	if (!output)
		return kb_error__no_memory();
	output->opts = *opts;
	output->directory = -1;
	err = open_output(output);
	if (err)
		kb_faults_output__destroy(output);
	else
		*result = output;
	return err;
}

struct kb_error *kb_faults_output__write(struct kb_faults_output *output,
					 const struct kb_fault *fault)
{
	struct kb_error *err;

	if (output->opts.directory)
		return write_file(output, fault);
	if (output->written && !output->opts.json)
		fputs("\n", output->stream);
	output->written = true;
	err = write_report(output, fault, output->stream);
	if (!err && fflush(output->stream))
		err = failed(output->stream == stdout ? "stdout" : output->opts.path);
	clearerr(output->stream);
	if (err && output->stream == stdout && kb_output__reader_gone(STDOUT_FILENO)) {
		kb_error__destroy(err);
		return kb_failed("%s", "");
	}
	return err;
}

uint64_t kb_faults_output__removed(const struct kb_faults_output *output)
{
	return output->removed;
}

void kb_faults_output__destroy(struct kb_faults_output *output)
{
	if (!output)
		return;
	if (output->stream && output->stream != stdout)
		fclose(output->stream);
	if (output->directory >= 0)
		close(output->directory);
	free(output->files);
	free(output);
}
