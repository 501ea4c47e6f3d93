// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/error.h"
#include "kernel/native_maps.h"

static struct kb_error *store_failed(void)
{
	return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot store what unwinding needs");
}

static struct kb_error *create(const char *name, uint32_t value_size, uint32_t n, uint32_t flags,
			       int *fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | flags);

	*fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value_size, n, &opts);
	if (*fd < 0)
		return kb_error__from_errno(-*fd, KB_STATUS_FAILED, "cannot create a BPF map");
	return NULL;
}

/* One copy instead of a system call for each element. */
static struct kb_error *fill(int fd, const void *elements, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot map a BPF map");
	memcpy(memory, elements, size);
	munmap(memory, size);
	return NULL;
}

struct kb_error *kb_native_maps__make_table(const union kb_native_element *elements, uint32_t n,
					    int *result)
{
	struct kb_error *err;
	int fd;

	KB_TRY(create("kb_native_table", sizeof(*elements), n, BPF_F_MMAPABLE, &fd));
	err = fill(fd, elements, n * sizeof(*elements));
	if (err)
		close(fd);
	else
		*result = fd;
	return err;
}

struct kb_error *kb_native_maps__set_tables(const struct kb_native_maps *maps,
					    const uint32_t *images, const int *fds, uint32_t n)
{
	uint32_t done = n;

	if (!bpf_map_update_batch(maps->tables, images, fds, &done, NULL))
		return NULL;
	/* Kernels before 5.17 have no batches of maps in maps. */
	for (uint32_t i = 0; i < n; i++)
		if (bpf_map_update_elem(maps->tables, &images[i], &fds[i], BPF_ANY))
			return store_failed();
	return NULL;
}

struct kb_error *kb_native_maps__set_list(const struct kb_native_maps *maps, uint32_t list,
					  const struct kb_native_mapping *mappings, uint32_t n)
{
	struct kb_native_mapping head = { .start = n };
	struct kb_error *err = NULL;
	uint32_t key = 0;
	int fd;

	KB_TRY(create("kb_native_list", sizeof(*mappings), n + 1, 0, &fd));
	if (bpf_map_update_elem(fd, &key, &head, BPF_ANY))
		err = store_failed();
	for (key = 1; key <= n && !err; key++)
		if (bpf_map_update_elem(fd, &key, &mappings[key - 1], BPF_ANY))
			err = store_failed();
	if (!err && bpf_map_update_elem(maps->lists, &list, &fd, BPF_ANY))
		err = store_failed();
	close(fd);
	return err;
}

void kb_native_maps__clear_list(const struct kb_native_maps *maps, uint32_t list)
{
	bpf_map_delete_elem(maps->lists, &list);
}

void kb_native_maps__set_proc(const struct kb_native_maps *maps, uint32_t id,
			      const struct kb_native_proc *proc)
{
	/* Without it the process's stacks are asked about again. */
	bpf_map_update_elem(maps->procs, &id, proc, BPF_ANY);
}

void kb_native_maps__forget_proc(const struct kb_native_maps *maps, uint32_t id)
{
	bpf_map_delete_elem(maps->procs, &id);
}
