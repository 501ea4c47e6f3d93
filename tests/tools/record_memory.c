// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Records an interpreter for tests/host_bpf: see recording.h there.
 *
 *   record_memory PID NAME REPORT FILE
 *
 * REPORT has what the target said of its threads (`thread`, `frame` and `outer` lines). All of the
 * process's threads are stopped, then the walker runs over each reported thread by every
 * combination of ways to its state; what it touches is what is recorded, as whole pages. The
 * frames must be those of the report; exit status 3 when they are not (the recording is
 * written all the same, to look into it).
 */
#include "host_bpf/env.c"
#include "host_bpf/recording.c"
#include "host_bpf/walker.c"

#include <dirent.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include "python/interpreter.h"
#include "system/memory.h"

static pid_t target;
static struct recording recording;
static struct walked walked;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "record_memory: %s: %s\n", what, why);
	exit(1);
}

static void need(struct kb_error *err)
{
	if (err)
		fail("failed", kb_error__text(err));
}

/* ---------------------------------------------------------------- the target's threads */

static uint64_t thread_pointer(pid_t tid)
{
#if defined(__x86_64__)
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov))
		fail("thread pointer", strerror(errno));
	return regs.fs_base;
#else
	uint64_t value = 0;
	struct iovec iov = { &value, sizeof(value) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_ARM_TLS, &iov))
		fail("thread pointer", strerror(errno));
	return value;
#endif
}

/* They run on when this process ends. */
static void stop_threads(void)
{
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", target);
	tasks = opendir(path);
	if (!tasks)
		fail(path, strerror(errno));
	while ((entry = readdir(tasks))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0)
			continue;
		if (ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0) ||
		    waitpid(tid, NULL, __WALL) != tid)
			fail("cannot stop the target", strerror(errno));
	}
	closedir(tasks);
}

/* ---------------------------------------------------------------- memory */

/* For kb_host.read: what is not recorded yet is read from the target. */
static bool read_live(unsigned long long address, void *to, unsigned long long size, void *context)
{
	uint64_t first = address & ~(uint64_t)(RECORDING_PAGE - 1);
	uint8_t bytes[RECORDING_PAGE];
	struct recorded_page *page;

	for (uint64_t at = first; at < address + size; at += RECORDING_PAGE) {
		if (recording__page(&recording, at))
			continue;
		if (!kb_memory__read(target, at, bytes, sizeof(bytes)))
			return false;
		page = recording__add_page(&recording, at);
		if (!page)
			fail("memory", "too many pages");
		memcpy(page->bytes, bytes, sizeof(bytes));
	}
	return recording__read(address, to, size, &recording);
}

/* ---------------------------------------------------------------- recording */

/* As collect/identify.c describes a process to the kernel. */
static void describe(void)
{
	struct kb_image_cache *cache;
	struct kb_interpreter interp;
	const struct kb_image *image;
	struct kb_proc *proc = &recording.proc;
	bool found;

	need(kb_image_cache__create(&cache));
	need(kb_interpreter__find(cache, target, &found, &interp));
	if (!found)
		fail("target", "no interpreter");
	image = &interp.image->image;
	recording.layout = interp.image->layout;
	snprintf(recording.version, sizeof(recording.version), "%s", interp.image->version);
	kb_proc__set_image(proc, image, 0, interp.bias);
	proc->id = 1;
	kb_image_cache__destroy(cache);
}

static bool same_frames(const struct recorded_thread *thread)
{
	char text[RECORDING_FRAME_LENGTH];

	for (unsigned i = 0; i < walked.n && i < thread->n_frames; i++) {
		if (!walker__format(&walked.frames[i], text, sizeof(text)) ||
		    strcmp(text, thread->frames[i])) {
			fprintf(stderr, "%s %s: frame %u is %s, interpreter says %s\n",
				recording.interpreter, thread->name, i, text, thread->frames[i]);
			return false;
		}
	}
	if (walked.status == KB_WALK_OK && walked.n == thread->n_frames)
		return true;
	fprintf(stderr, "%s %s: status %d, code %d, %u frames of %u\n", recording.interpreter,
		thread->name, walked.status, walked.code_status, walked.n, thread->n_frames);
	return false;
}

static bool record_thread(struct recorded_thread *thread)
{
	bool same = false;

	thread->tp = thread_pointer((pid_t)thread->tid);
	for (unsigned ways = 0; ways <= WAYS_ALL; ways++) {
		struct kb_proc proc = recording.proc;

		walker__restrict(&proc, ways);
		walker__sample(&proc, &recording.layout, thread->tp, thread->tid, &walked);
		if (ways == WAYS_ALL)
			same = same_frames(thread);
	}
	return same;
}

static void read_report(const char *path)
{
	char line[RECORDING_FRAME_LENGTH + 16];
	FILE *file = fopen(path, "r");

	if (!file)
		fail(path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		need(recording__take_line(&recording, line));
	}
	fclose(file);
}

int main(int argc, char **argv)
{
	bool same = true;

	if (argc != 5 || (target = atoi(argv[1])) <= 0) {
		fprintf(stderr, "usage: record_memory PID NAME REPORT FILE\n");
		return 2;
	}
	recording__init(&recording);
	snprintf(recording.interpreter, sizeof(recording.interpreter), "%s", argv[2]);
	read_report(argv[3]);
	stop_threads();
	describe();
	kb_host.read = read_live;
	for (unsigned i = 0; i < recording.n_threads; i++)
		same &= record_thread(&recording.threads[i]);
	need(recording__save(argv[4], &recording));
	printf("%s: %s, %u threads, %u pages\n", argv[2], recording.version, recording.n_threads,
	       recording.n_pages);
	walker__clear();
	recording__free(&recording);
	return same ? 0 : 3;
}
