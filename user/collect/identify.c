// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "collect/identify.h"
#include "collect/native.h"
#include "collect/mode.h"
#include "system/memory.h"

#define FILES_MAX 4096 /* as the image cache */
/* Between execution and the mapping of libpython lie a millisecond or two of dynamic linking. */
#define WAITING_MAX   256
#define LOOK_FIRST_MS 1
#define LOOK_LAST_MS  1024
#define LOOK_LATER_MS 10
/* A process without an interpreter is asked about again after these times, growing fourfold. */
#define RECHECK_FIRST_NS (50 * KB_NS_PER_MS)
#define RECHECK_LAST_NS	 (60 * KB_NS_PER_SECOND)
#define WARNINGS_MAX	 20 /* unsupported processes that are named one by one */

/* An executable that needs libpython, which is not mapped yet. */
struct waiting {
	pid_t pid;
	uint64_t start_ns;
	uint64_t next_ns;
	unsigned delay_ms;
};

struct kb_identifier {
	const struct kb_target *target;
	struct kb_programs *programs;
	struct kb_ingest *ingest;
	struct kb_native *native;
	struct kb_image_cache *images;
	enum kb_sample_mode mode;
	kb_image_fn on_image; /* or NULL */
	void *image_context;
	struct {
		kb_identified_fn fn; /* or NULL */
		void *context;
	} identified[2];
	unsigned exec_delay_ms;		   /* between execution and looking at a process */
	kb_new_process_found_fn found_new; /* or NULL */
	void *found_new_context;
	/*
	 * Containers have the same interpreter in many files: one image in the kernel stands
	 * for all files with its build id. Places are those of the image cache.
	 */
	uint32_t
		image_of[FILES_MAX]; /* 1 + the image, 0: layout and probes are not in the kernel */
	uint32_t file_of[KB_IMAGES_MAX];
	uint32_t n_images;
	struct waiting waiting[WAITING_MAX];
	unsigned n_waiting;
	unsigned warnings;
	uint32_t n_processes;
	uint64_t missed; /* samples of processes before they were identified */
};

struct kb_error *kb_identifier__create(const struct kb_target *target, struct kb_programs *programs,
				       struct kb_identifier **result)
{
	struct kb_identifier *id = calloc(1, sizeof(*id));
	struct kb_error *err;

	if (!id)
		return kb_error__no_memory();
	id->target = target;
	id->programs = programs;
	err = kb_image_cache__create(&id->images);
	if (err)
		kb_identifier__destroy(id);
	else
		*result = id;
	return err;
}

void kb_identifier__destroy(struct kb_identifier *id)
{
	if (!id)
		return;
	kb_image_cache__destroy(id->images);
	free(id);
}

void kb_identifier__set_ingest(struct kb_identifier *id, struct kb_ingest *ingest)
{
	id->ingest = ingest;
}

void kb_identifier__set_mode(struct kb_identifier *id, enum kb_sample_mode mode)
{
	id->mode = mode;
}

void kb_identifier__on_identified(struct kb_identifier *id, kb_identified_fn fn, void *context)
{
	id->identified[0].fn = fn;
	id->identified[0].context = context;
}

void kb_identifier__also_identified(struct kb_identifier *id, kb_identified_fn fn, void *context)
{
	id->identified[1].fn = fn;
	id->identified[1].context = context;
}

void kb_identifier__on_image(struct kb_identifier *id, kb_image_fn fn, void *context)
{
	id->on_image = fn;
	id->image_context = context;
}

void kb_identifier__on_new_process(struct kb_identifier *id, kb_new_process_found_fn fn,
				   void *context)
{
	id->found_new = fn;
	id->found_new_context = context;
}

void kb_identifier__set_exec_delay(struct kb_identifier *id, unsigned ms)
{
	id->exec_delay_ms = ms;
}

bool kb_identifier__interpreter(struct kb_identifier *id, pid_t pid, struct kb_interpreter *interp)
{
	bool found = false;
	struct kb_error *err = kb_interpreter__find(id->images, pid, &found, interp);

	kb_error__destroy(err);
	return !err && found;
}

void kb_identifier__set_native(struct kb_identifier *id, struct kb_native *native)
{
	id->native = native;
}

const struct kb_image_info *kb_identifier__image(const struct kb_identifier *id, uint32_t image)
{
	return image < id->n_images ? kb_image_cache__at(id->images, id->file_of[image]) : NULL;
}

/* The image in the kernel with the same build id, or a new one. */
static uint32_t choose_image(struct kb_identifier *id, uint32_t file)
{
	const struct kb_image_info *info = kb_image_cache__at(id->images, file), *other;

	for (uint32_t image = 0; image < id->n_images; image++) {
		other = kb_identifier__image(id, image);
		if (info->build_id_bytes && info->build_id_bytes == other->build_id_bytes &&
		    !memcmp(info->build_id, other->build_id, info->build_id_bytes))
			return image;
	}
	return id->n_images;
}

/* Layout, image and probes of a file into the kernel, once. path names the file. */
static struct kb_error *publish_image(struct kb_identifier *id, uint32_t file, const char *path)
{
	static const char *const sources[] = { [KB_LAYOUT_DEBUG_OFFSETS] = "debug-offsets",
					       [KB_LAYOUT_DWARF] = "dwarf",
					       [KB_LAYOUT_BUILT_IN] = "built-in" };
	const struct kb_image_info *info = kb_image_cache__at(id->images, file);
	struct kb_image image = info->image;

	if (file >= FILES_MAX)
		return kb_failed("more than %d files with interpreters", FILES_MAX);
	if (id->image_of[file])
		return NULL;
	KB_TRY(kb_mode__check(id->mode, info));
	image.id = image.layout = choose_image(id, file);
	for (uint32_t i = 0; i < info->n_init; i++)
		image.init[i] = info->init_address[i];
	if (id->on_image)
		KB_TRY(id->on_image(image.id, info, path, id->image_context));
	KB_TRY(kb_programs__add_image(id->programs, &image, &info->layout, path, info->init_offset,
				      info->n_init));
	id->image_of[file] = image.id + 1;
	if (image.id == id->n_images)
		id->file_of[id->n_images++] = file;
	kb_info("interpreter %s (%s layout) in %s", info->version, sources[info->layout_source],
		path);
	return NULL;
}

static void describe(pid_t pid, uint64_t start_ns, const struct kb_image_info *image,
		     const char *comm, pid_t parent, uint64_t cgroup, struct kb_ingest *ingest,
		     uint32_t proc)
{
	char command[1024];
	struct kb_process_info info = { .size = sizeof(info),
					.pid = pid,
					.ns_pid = kb_process__ns_pid(pid),
					.parent = parent,
					.start_ns = start_ns,
					.cgroup = cgroup,
					.comm = comm,
					.command = command,
					.python = image ? image->version : "" };
	struct kb_error *err;

	if (!ingest) /* a bare session */
		return;
	kb_process__command(pid, command, sizeof(command));
	err = kb_ingest__add_process(ingest, proc, &info);
	if (err)
		kb_warn("%s", kb_error__text(err));
	kb_error__destroy(err);
}

/* The same that the uprobe does in bpf/common/tracker.bpf.c, for a process that runs already. */
static struct kb_error *publish_process(struct kb_identifier *id, pid_t pid,
					const struct kb_process_stat *stat, uint64_t start_ns,
					const struct kb_interpreter *interp)
{
	const struct kb_image *image = &interp->image->image;
	uint64_t bias = interp->bias;
	struct kb_proc old, proc = { .start_time = start_ns };
	bool known = kb_programs__get_proc(id->programs, pid, &old);

	/* BPF has found it out while we looked: what it counts is under its own id already. */
	if (known && old.state == KB_PROC_PYTHON && old.start_time - start_ns < KB_START_SLACK_NS)
		return NULL;
	kb_proc__set_image(&proc, image, id->image_of[interp->image_index] - 1, bias);
	proc.id = kb_programs__new_proc(id->programs);
	/* Known here before BPF can send a record that names it. */
	describe(pid, start_ns, interp->image, stat->comm, stat->parent, 0, id->ingest, proc.id);
	id->n_processes++;
	if (known && old.state != KB_PROC_PYTHON)
		id->missed += old.pending;
	KB_TRY(kb_programs__set_proc(id->programs, pid, &proc, known));
	if (kb_programs__get_proc(id->programs, pid, &old) && old.id != proc.id)
		return NULL;
	for (int i = 0; i < 2; i++)
		if (id->identified[i].fn)
			id->identified[i].fn(pid, proc.id, interp, id->identified[i].context);
	if (id->native)
		kb_native__add_process(id->native, proc.id, pid,
				       interp->image->layout.version_minor);
	return NULL;
}

/*
 * Tells BPF that a process holds no interpreter that we can walk, and when to ask again. What is
 * likely to have one soon keeps its samples: they are failures then.
 */
static void publish_negative(struct kb_identifier *id, pid_t pid, uint64_t start_ns, uint32_t state,
			     bool likely)
{
	struct kb_proc proc = {}, old = {};
	uint64_t delay = RECHECK_FIRST_NS;

	kb_programs__get_proc(id->programs, pid, &old);
	if (old.state == KB_PROC_PYTHON)
		return;
	for (uint32_t i = 1; i < old.checks && delay < RECHECK_LAST_NS; i++)
		delay *= 4;
	proc.start_time = start_ns;
	proc.state = state;
	if (state == KB_PROC_UNSUPPORTED)
		id->missed += old.pending;
	else if (likely)
		proc.pending = old.pending;
	proc.checks = old.checks ? old.checks : 1;
	proc.next_check = kb_now(CLOCK_MONOTONIC) + delay;
	kb_error__destroy(kb_programs__set_proc(id->programs, pid, &proc, true));
}

static void wait_for_library(struct kb_identifier *id, pid_t pid, uint64_t start_ns,
			     unsigned first_ms)
{
	struct waiting *w = NULL;

	for (unsigned i = 0; i < id->n_waiting && !w; i++) {
		if (id->waiting[i].pid == pid)
			w = &id->waiting[i];
	}
	if (!w && id->n_waiting < WAITING_MAX) {
		w = &id->waiting[id->n_waiting++];
		w->delay_ms = first_ms;
	} else if (!w) {
		return; /* samples will ask about it */
	} else {
		w->delay_ms *= 2;
	}
	w->pid = pid;
	w->start_ns = start_ns;
	w->next_ns = kb_now(CLOCK_MONOTONIC) + w->delay_ms * KB_NS_PER_MS;
}

static void stop_waiting(struct kb_identifier *id, pid_t pid)
{
	for (unsigned i = 0; i < id->n_waiting; i++) {
		if (id->waiting[i].pid == pid)
			id->waiting[i--] = id->waiting[--id->n_waiting];
	}
}

static void warn_unsupported(struct kb_identifier *id, pid_t pid, const char *comm,
			     const char *reason)
{
	if (id->warnings++ < WARNINGS_MAX)
		kb_warn("process %d (%s) cannot be observed: %s", pid, comm, reason);
	if (id->warnings == WARNINGS_MAX)
		kb_warn("more such processes are counted as 'unsupported' in the ledger");
}

static enum kb_identity refuse(struct kb_identifier *id, pid_t pid,
			       const struct kb_process_stat *stat, uint64_t start_ns,
			       struct kb_error *err, char *reason)
{
	publish_negative(id, pid, start_ns, KB_PROC_UNSUPPORTED, false);
	if (reason)
		snprintf(reason, KB_REASON_MAX, "%s", kb_error__text(err));
	else
		warn_unsupported(id, pid, stat->comm, kb_error__text(err));
	kb_error__destroy(err);
	return KB_IS_UNSUPPORTED;
}

/* Has it ended, or is it about to: without its memory? */
static bool is_gone(pid_t pid)
{
	struct kb_process_stat stat;
	char path[64], target;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return !kb_process__stat(pid, &stat) || stat.state == 'Z' ||
	       (readlink(path, &target, 1) < 0 && errno == ENOENT);
}

enum kb_identity kb_identifier__identify(struct kb_identifier *id, pid_t pid, uint64_t start_ns,
					 char *reason)
{
	struct kb_process_stat stat;
	struct kb_interpreter interp;
	struct kb_error *err;
	char path[128];
	bool found;

	/* Between a notice and now the PID may have changed hands. */
	if (!kb_process__stat(pid, &stat) || stat.state == 'Z' ||
	    (start_ns && start_ns - stat.start_ns >= KB_START_SLACK_NS))
		return KB_IS_GONE;
	if (!start_ns)
		start_ns = stat.start_ns;
	/* Nobody has asked for this one, and nothing says that it is Python. */
	if (id->target->filter != KB_FILTER_PIDS && kb_process__may_not_be_read(pid)) {
		kb_info("process %d (%s) may not be read, and is taken for no Python", pid,
			stat.comm);
		publish_negative(id, pid, start_ns, KB_PROC_NOT_PYTHON, false);
		return KB_IS_NOT_PYTHON;
	}
	err = kb_interpreter__find(id->images, pid, &found, &interp);
	if (!err && !found) {
		if (interp.needs_libpython)
			wait_for_library(id, pid, start_ns, LOOK_FIRST_MS);
		publish_negative(id, pid, start_ns, KB_PROC_NOT_PYTHON, interp.needs_libpython);
		return KB_IS_NOT_PYTHON;
	}
	if (!err && interp.initialized)
		err = kb_interpreter__validate(pid, &interp);
	if (!err) {
		snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", pid, interp.map_start,
			 interp.map_end);
		err = publish_image(id, interp.image_index, path);
	}
	if (!err)
		err = publish_process(id, pid, &stat, start_ns, &interp);
	if (!err)
		return KB_IS_PYTHON;
	if (is_gone(pid)) {
		kb_error__destroy(err);
		return KB_IS_GONE;
	}
	return refuse(id, pid, &stat, start_ns, err, reason);
}

struct kb_error *kb_identifier__expect_file(struct kb_identifier *id, const char *path,
					    bool prepare_native, uint32_t *image)
{
	char file[PATH_MAX]; /* the path itself or its libpython */
	bool is_python = false;
	uint32_t index = 0;
	struct kb_error *err = kb_image_cache__add_path(id->images, path, &is_python, &index, file);

	*image = KB_ID_NONE;
	if (err)
		kb_debug("%s: %s", path, kb_error__text(err));
	kb_error__destroy(err);
	if (err || !is_python)
		return NULL;
	KB_TRY(publish_image(id, index, file));
	*image = id->image_of[index] - 1;
	if (prepare_native && id->native) {
		kb_native__expect(id->native, path);
		kb_native__expect(id->native, file);
	}
	return NULL;
}

void kb_identifier__look_later(struct kb_identifier *id, const struct kb_notice *notice)
{
	stop_waiting(id, notice->tgid);
	wait_for_library(id, notice->tgid, notice->start_time, id->exec_delay_ms ?: LOOK_LATER_MS);
}

void kb_identifier__notice(struct kb_identifier *id, const struct kb_notice *notice)
{
	struct kb_exe_key exe = { .inode = notice->exe_inode, .device = notice->exe_device };
	enum kb_identity identity;
	struct kb_proc proc;

	if (notice->kind != KB_NOTICE_EXEC && notice->kind != KB_NOTICE_UNKNOWN)
		return;
	/* BPF may have found it out meanwhile, by a uprobe. */
	if (kb_programs__get_proc(id->programs, notice->tgid, &proc) &&
	    proc.state == KB_PROC_PYTHON && proc.start_time == notice->start_time)
		return;
	if (notice->kind == KB_NOTICE_EXEC && id->exec_delay_ms) {
		kb_identifier__look_later(id, notice);
		return;
	}
	identity = kb_identifier__identify_late(id, id->target, notice->tgid, notice->start_time);
	if (notice->kind != KB_NOTICE_EXEC || identity == KB_IS_GONE)
		return;
	for (unsigned i = 0; i < id->n_waiting; i++) {
		if (id->waiting[i].pid == (pid_t)notice->tgid)
			return; /* its image is not known yet: the next execution is to be told as
				   well */
	}
	kb_programs__set_exe(id->programs, &exe,
			     identity == KB_IS_NOT_PYTHON ? KB_EXE_NOT_PYTHON : KB_EXE_PYTHON);
}

int kb_identifier__look_again(struct kb_identifier *id)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), next = UINT64_MAX;

	for (unsigned i = 0; i < id->n_waiting; i++) {
		struct waiting w = id->waiting[i];
		enum kb_identity identity;

		if (w.next_ns > now)
			continue;
		identity = kb_identifier__identify_late(id, id->target, w.pid, w.start_ns);
		/* What needs no library is not waited for any more. */
		if (identity != KB_IS_NOT_PYTHON || w.delay_ms >= LOOK_LAST_MS ||
		    id->waiting[i].next_ns <= now) {
			stop_waiting(id, w.pid);
			i--;
		}
	}
	for (unsigned i = 0; i < id->n_waiting; i++) {
		if (id->waiting[i].next_ns < next)
			next = id->waiting[i].next_ns;
	}
	if (next == UINT64_MAX)
		return -1;
	return next > now ? (next - now) / KB_NS_PER_MS + 1 : 1;
}

const struct kb_layout *kb_identifier__layout(uint32_t layout, void *context)
{
	struct kb_identifier *id = context;

	const struct kb_image_info *image = kb_identifier__image(id, layout);

	return image ? &image->layout : NULL;
}

void kb_identifier__new_process(const struct kb_data_proc *record, void *context)
{
	struct kb_identifier *id = context;
	const struct kb_image_info *image = kb_identifier__image(id, record->image);
	char comm[KB_COMM_MAX + 1];

	memcpy(comm, record->comm, KB_COMM_MAX);
	comm[KB_COMM_MAX] = '\0';
	describe(record->tgid, record->start_time, image, comm, record->parent_tgid, record->cgroup,
		 id->ingest, record->proc);
	if (id->native && image)
		kb_native__new_process(id->native, record->proc, record->forked_from, record->tgid,
				       image->layout.version_minor);
	id->n_processes++;
	if (id->found_new)
		id->found_new(record->tgid, record->proc, id->found_new_context);
}

bool kb_identifier__read_code(uint32_t proc, pid_t pid, uint64_t address,
			      struct kb_remote_code *code, const struct kb_layout **layout,
			      void *context)
{
	struct kb_identifier *id = context;
	struct kb_proc known;

	/* Still the same process, and not on its way into another program. */
	if (!kb_programs__get_proc(id->programs, pid, &known) || known.id != proc)
		return false;
	*layout = kb_identifier__layout(known.layout, id);
	return *layout && kb_remote_code__read(pid, *layout, known.code_type, address, code);
}

static bool find_running(struct kb_identifier *id, pid_t pid, uint64_t start_ns,
			 struct kb_proc *known)
{
	return kb_programs__get_proc(id->programs, pid, known) && known->state == KB_PROC_PYTHON &&
	       known->start_time == start_ns;
}

bool kb_identifier__runs(struct kb_identifier *id, pid_t pid, uint64_t start_ns)
{
	struct kb_proc known;

	return find_running(id, pid, start_ns, &known);
}

bool kb_identifier__open(struct kb_identifier *id, pid_t pid, uint64_t start_ns,
			 struct kb_remote *remote)
{
	struct kb_interpreter interp = { .initialized = true };
	struct kb_proc known;
	struct kb_error *err;

	if (!find_running(id, pid, start_ns, &known))
		return false;
	interp.image = kb_identifier__image(id, known.image);
	if (!interp.image)
		return false;
	interp.bias = known.code_type - interp.image->image.code_type;
	err = kb_remote__open(pid, &interp, remote);
	kb_error__destroy(err);
	return !err;
}

uint64_t kb_identifier__unresolved(struct kb_identifier *id)
{
	struct kb_proc proc;
	uint32_t tgid = 0;
	uint64_t samples = id->missed;

	while (kb_programs__next_proc(id->programs, &tgid)) {
		if (kb_programs__get_proc(id->programs, tgid, &proc) &&
		    proc.state == KB_PROC_PENDING)
			samples += proc.pending;
	}
	return samples;
}

uint32_t kb_identifier__count(const struct kb_identifier *id)
{
	return id->n_processes;
}
