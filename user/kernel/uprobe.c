// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/array.h"
#include "base/error.h"
#include "kernel/uprobe.h"

#define LINKS_MAX   4096
#define CLOSERS_MAX 16 /* threads that wait for the kernel at the same time */

/* bpf_attr of BPF_LINK_CREATE for uprobe_multi (include/uapi/linux/bpf.h, Linux 6.6), which Debian
 * 12's header and libbpf lack. */
struct multi_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t reserved;
};

struct kb_uprobes {
	int *fds; /* uprobe_multi links */
	uint32_t n_fds, fds_capacity;
	struct bpf_link **links;
	uint32_t n_links, links_capacity;
};

#define MULTI_RETURN 1 /* BPF_F_UPROBE_MULTI_RETURN */

static int link_multi(int program, const char *path, const uint64_t *offsets,
		      const uint64_t *cookies, uint32_t n, const struct kb_uprobe_opts *opts)
{
	struct multi_attr attr = {
		.prog_fd = program,
		.attach_type = KB_BPF_TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.ref_ctr_offsets = (uintptr_t)opts->semaphores,
		.count = n,
		.multi_flags = opts->at_return ? MULTI_RETURN : 0,
		.pid = opts->pid,
	};

	return syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
}

/* An empty program with the attach type loads, and its link is refused only for its path. */
static bool probe_multi(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = KB_BPF_TRACE_UPROBE_MULTI);
	struct kb_uprobe_opts all = {};
	uint64_t offset = 0;
	int program, link, reason;

	program = bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "Dual BSD/GPL", insns,
				sizeof(insns) / sizeof(*insns), &opts);
	if (program < 0)
		return false;
	link = link_multi(program, "/", &offset, NULL, 1, &all);
	reason = errno;
	if (link >= 0)
		close(link);
	close(program);
	return link < 0 && reason == EBADF;
}

static bool probe_sleepable(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_SLEEPABLE);
	int program = bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "Dual BSD/GPL", insns,
				    sizeof(insns) / sizeof(*insns), &opts);

	if (program >= 0)
		close(program);
	return program >= 0;
}

bool kb_uprobe__can_sleep(void)
{
	static int known = -1;

	if (known < 0)
		known = probe_sleepable();
	return known;
}

bool kb_uprobe__have_multi(void)
{
	static int known = -1;

	if (known < 0)
		known = probe_multi();
	return known;
}

struct kb_error *kb_uprobes__create(struct kb_uprobes **uprobes)
{
	*uprobes = calloc(1, sizeof(**uprobes));
	return *uprobes ? NULL : kb_error__no_memory();
}

struct closing {
	const int *fds;
	uint32_t n;
	_Atomic uint32_t next;
};

static void *close_links(void *arg)
{
	struct closing *closing = arg;
	uint32_t i;

	while ((i = atomic_fetch_add(&closing->next, 1)) < closing->n)
		close(closing->fds[i]);
	return NULL;
}

/*
 * Closing a link waits for grace periods of the kernel, 20 to 60 ms, in which the probes of those
 * that come after it still cost the target their traps. Threads wait for the same ones.
 */
static void close_together(const int *fds, uint32_t n)
{
	struct closing closing = { .fds = fds, .n = n };
	pthread_t threads[CLOSERS_MAX];
	uint32_t n_threads = 0;
	sigset_t all, before;

	sigfillset(&all); /* signals are the first thread's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (n_threads < CLOSERS_MAX && n_threads + 1 < n &&
	       !pthread_create(&threads[n_threads], NULL, close_links, &closing))
		n_threads++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close_links(&closing);
	for (uint32_t i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
}

void kb_uprobes__destroy(struct kb_uprobes *uprobes)
{
	if (!uprobes)
		return;
	close_together(uprobes->fds, uprobes->n_fds);
	for (uint32_t i = uprobes->n_links; i-- > 0;)
		bpf_link__destroy(uprobes->links[i]);
	free(uprobes->fds);
	free(uprobes->links);
	free(uprobes);
}

static struct kb_error *attach_multi(struct kb_uprobes *uprobes, struct bpf_program *program,
				     const char *path, const uint64_t *offsets,
				     const uint64_t *cookies, uint32_t n,
				     const struct kb_uprobe_opts *opts)
{
	int *fds = kb_array__grow(uprobes->fds, &uprobes->fds_capacity, uprobes->n_fds + 1,
				  sizeof(*fds), LINKS_MAX);
	int fd;

	if (!fds)
		return kb_failed("more than %d uprobe links", LINKS_MAX);
	uprobes->fds = fds;
	fd = link_multi(bpf_program__fd(program), path, offsets, cookies, n, opts);
	if (fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot probe %s", path);
	fds[uprobes->n_fds++] = fd;
	return NULL;
}

static struct kb_error *attach_one(struct kb_uprobes *uprobes, struct bpf_program *program,
				   const char *path, uint64_t offset, uint64_t cookie,
				   uint64_t semaphore, const struct kb_uprobe_opts *which)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = cookie, .retprobe = which->at_return,
		    .ref_ctr_offset = semaphore);
	struct bpf_link **links, *link;

	links = kb_array__grow(uprobes->links, &uprobes->links_capacity, uprobes->n_links + 1,
			       sizeof(*links), LINKS_MAX);
	if (!links)
		return kb_failed("more than %d uprobe links", LINKS_MAX);
	uprobes->links = links;
	link = bpf_program__attach_uprobe_opts(program, which->pid ? which->pid : -1, path, offset,
					       &opts);
	if (!link)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot probe %s", path);
	links[uprobes->n_links++] = link;
	return NULL;
}

struct kb_error *kb_uprobes__attach_opts(struct kb_uprobes *uprobes, struct bpf_program *program,
					 const char *path, const uint64_t *offsets,
					 const uint64_t *cookies, uint32_t n,
					 const struct kb_uprobe_opts *opts)
{
	if (!n)
		return NULL;
	if (kb_uprobe__have_multi())
		return attach_multi(uprobes, program, path, offsets, cookies, n, opts);
	for (uint32_t i = 0; i < n; i++)
		KB_TRY(attach_one(uprobes, program, path, offsets[i], cookies[i],
				  opts->semaphores ? opts->semaphores[i] : 0, opts));
	return NULL;
}

struct kb_error *kb_uprobes__attach(struct kb_uprobes *uprobes, struct bpf_program *program,
				    const char *path, const uint64_t *offsets,
				    const uint64_t *cookies, uint32_t n)
{
	struct kb_uprobe_opts all = {};

	return kb_uprobes__attach_opts(uprobes, program, path, offsets, cookies, n, &all);
}
