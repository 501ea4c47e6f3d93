// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "collect/ref_processes.h"
#include "python/ref_points.h"
#include "system/process.h"

#define FILES_MAX  256	 /* interpreters, as KB_IMAGES_MAX */
#define TRACED_MAX 16384 /* processes of a session */

/* A file with an interpreter, open so that it can be probed again whatever became of its name. */
struct file {
	uint32_t image;
	int fd;
	const char *way;
	uint64_t *offsets, *cookies;
	uint32_t n;
};

struct kb_ref_processes {
	struct kb_programs *programs;
	bool created_only;
	struct file *files;
	uint32_t n_files, files_capacity;
	struct kb_ref_traced *traced;
	uint32_t n, capacity;
};

struct kb_error *kb_ref_processes__create(struct kb_programs *programs, bool created_only,
					  struct kb_ref_processes **result)
{
	struct kb_ref_processes *p = calloc(1, sizeof(*p));

	if (!p)
		return kb_error__no_memory();
	p->programs = programs;
	p->created_only = created_only;
	*result = p;
	return NULL;
}

void kb_ref_processes__detach(struct kb_ref_processes *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		kb_uprobes__destroy(p->traced[i].uprobes);
		p->traced[i].uprobes = NULL;
	}
}

static void close_file(struct file *file)
{
	close(file->fd);
	free(file->offsets);
	free(file->cookies);
}

void kb_ref_processes__destroy(struct kb_ref_processes *p)
{
	if (!p)
		return;
	kb_ref_processes__detach(p);
	for (uint32_t i = 0; i < p->n_files; i++)
		close_file(&p->files[i]);
	free(p->files);
	free(p->traced);
	free(p);
}

/* ---------------------------------------------------------------- files */

static struct kb_error *take_points(const struct kb_ref_processes *p, struct file *file,
				    const struct kb_ref_points *points)
{
	file->offsets = calloc(points->n, sizeof(*file->offsets));
	file->cookies = calloc(points->n, sizeof(*file->cookies));
	if (!file->offsets || !file->cookies)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < points->n; i++) {
		if (p->created_only && KB_REF_COOKIE_DESTROYS(points->at[i].cookie))
			continue;
		file->offsets[file->n] = points->at[i].offset;
		file->cookies[file->n++] = points->at[i].cookie;
	}
	file->way = points->way;
	return NULL;
}

static struct kb_error *find_points(struct kb_ref_processes *p, const struct kb_image_info *info,
				    struct file *file)
{
	struct kb_ref_points points;
	struct kb_elf_file *elf;
	struct kb_error *err;

	KB_TRY(kb_elf_file__open(file->fd, &elf));
	if (!elf)
		return kb_unsupported("no ELF file");
	err = kb_ref_points__find(elf, info, &points);
	if (err)
		err = kb_error__prefix(err, "not every object that is created can be seen in this "
					    "build of Python ('--census' shows growth by type)");
	else if (points.no_destructions && !p->created_only)
		err = kb_unsupported("not every object that is destroyed can be seen in this build "
				     "of Python ('--created' counts those that are created, "
				     "'--census' shows growth by type): %s",
				     points.no_destructions);
	if (!err)
		err = take_points(p, file, &points);
	kb_ref_points__free(&points);
	kb_elf_file__close(elf);
	return err;
}

struct kb_error *kb_ref_processes__add_image(uint32_t image, const struct kb_image_info *info,
					     const char *path, void *context)
{
	struct kb_ref_processes *p = context;
	struct kb_ref_image types = { .type_name = info->objects.type_name,
				      .type_flags = info->objects.type_flags };
	struct file *files, file = { .image = image };
	struct kb_error *err;

	files = kb_array__grow(p->files, &p->files_capacity, p->n_files + 1, sizeof(*files),
			       FILES_MAX);
	if (!files)
		return kb_failed("more than %d interpreters", FILES_MAX);
	p->files = files;
	file.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (file.fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open %s", path);
	err = find_points(p, info, &file);
	if (!err)
		err = kb_ref_programs__add_image(p->programs, image, &types);
	if (err) {
		close_file(&file);
		return err;
	}
	files[p->n_files++] = file;
	return NULL;
}

/* ---------------------------------------------------------------- attaching */

static struct kb_ref_traced *traced_of(struct kb_ref_processes *p, pid_t pid)
{
	/* The last one: PIDs come again. */
	for (uint32_t i = p->n; i-- > 0;)
		if (p->traced[i].pid == pid)
			return &p->traced[i];
	return NULL;
}

/* It may have any of the files with its image; a probe in one that it has not mapped costs nothing.
 */
static struct kb_error *attach_files(struct kb_ref_processes *p, struct kb_ref_traced *traced)
{
	KB_TRY(kb_uprobes__create(&traced->uprobes));
	for (uint32_t i = 0; i < p->n_files; i++) {
		const struct file *file = &p->files[i];
		char path[64];

		if (file->image != traced->image)
			continue;
		traced->way = file->way;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
		KB_TRY(kb_ref_programs__attach(p->programs, traced->uprobes, traced->pid, path,
					       file->offsets, file->cookies, file->n));
	}
	return NULL;
}

static struct kb_error *attach(struct kb_ref_processes *p, pid_t pid, uint32_t proc, uint32_t image)
{
	struct kb_ref_traced *traced =
		kb_array__grow(p->traced, &p->capacity, p->n + 1, sizeof(*traced), TRACED_MAX);

	if (!traced)
		return kb_failed("more than %d processes", TRACED_MAX);
	p->traced = traced;
	traced += p->n++;
	*traced = (struct kb_ref_traced){ .pid = pid,
					  .proc = proc,
					  .image = image,
					  .way = "",
					  .attached = kb_now(CLOCK_MONOTONIC) };
	return kb_error__prefix(attach_files(p, traced), "process %d", pid);
}

struct kb_error *kb_ref_processes__add(struct kb_ref_processes *p, pid_t pid, uint32_t proc,
				       uint32_t image)
{
	struct kb_ref_traced *traced = traced_of(p, pid);

	/* It is told of more than once: taking its probes away would lose what it does meanwhile.
	 */
	if (traced && traced->proc == proc && traced->uprobes)
		return NULL;
	/* The command that was held executes what was expected. */
	if (traced && traced->proc == KB_ID_NONE && traced->image == image) {
		traced->proc = proc;
		return NULL;
	}
	if (traced) {
		kb_uprobes__destroy(traced->uprobes);
		traced->uprobes = NULL;
		traced->ended = true;
	}
	return attach(p, pid, proc, image);
}

struct kb_error *kb_ref_processes__add_command(struct kb_ref_processes *p, pid_t pid)
{
	if (!p->n_files)
		return NULL;
	return attach(p, pid, KB_ID_NONE, p->files[p->n_files - 1].image);
}

void kb_ref_processes__look(struct kb_ref_processes *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		struct kb_ref_traced *traced = &p->traced[i];
		struct kb_process_stat stat;

		if (traced->ended || (kb_process__stat(traced->pid, &stat) && stat.state != 'Z'))
			continue;
		traced->ended = true;
		kb_uprobes__destroy(traced->uprobes);
		traced->uprobes = NULL;
	}
}

const struct kb_ref_traced *kb_ref_processes__find(const struct kb_ref_processes *p, uint32_t proc)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->traced[i].proc == proc)
			return &p->traced[i];
	return NULL;
}
