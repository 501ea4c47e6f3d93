// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "kernel/load.h"
#include "kernel/probes.h"
#include "kernel/registers.h"
#include "registers.skel.h"

#define RECORDS_AT_ONCE 64 /* of threads, in one read */

struct kb_register_reader {
	struct kb_registers_bpf *skeleton;
	struct bpf_link *link;
};

struct kb_error *kb_register_reader__create(struct kb_register_reader **result)
{
	struct kb_register_reader *reader = calloc(1, sizeof(*reader));
	int errnum;

	if (!reader)
		return kb_error__no_memory();
	kb_load__prepare();
	reader->skeleton = kb_registers_bpf__open_and_load();
	errnum = errno;
	if (reader->skeleton) {
		reader->link =
			bpf_program__attach_iter(reader->skeleton->progs.write_registers, NULL);
		errnum = errno;
	}
	if (!reader->link) {
		kb_register_reader__destroy(reader);
		return kb_load__failed(errnum, "reading registers");
	}
	*result = reader;
	return NULL;
}

void kb_register_reader__destroy(struct kb_register_reader *reader)
{
	if (!reader)
		return;
	bpf_link__destroy(reader->link);
	kb_registers_bpf__destroy(reader->skeleton);
	free(reader);
}

bool kb_register_reader__read(struct kb_register_reader *reader, pid_t pid, pid_t tid,
			      struct kb_registers *registers)
{
	struct kb_registers records[RECORDS_AT_ONCE];
	bool found = false;
	ssize_t n = 0;
	int fd;

	reader->skeleton->bss->wanted_tgid = (uint32_t)pid;
	fd = bpf_iter_create(bpf_link__fd(reader->link));
	if (fd < 0)
		return false;
	/* Records are not split: the kernel's buffer holds whole ones, and a read takes what fits.
	 */
	while (!found && (n = read(fd, records, sizeof(records))) > 0) {
		for (size_t i = 0; i < (size_t)n / sizeof(*records) && !found; i++) {
			found = records[i].tid == (uint32_t)tid;
			if (found)
				*registers = records[i];
		}
	}
	close(fd);
	return found;
}

bool kb_probe__registers(struct kb_probe_arg arg, char *detail, size_t size)
{
	struct kb_register_reader *reader;
	struct kb_registers registers;
	struct kb_error *err = kb_register_reader__create(&reader);
	bool found;

	if (err) {
		snprintf(detail, size, "%s", kb_error__text(err));
		kb_error__destroy(err);
		return false;
	}
	found = kb_register_reader__read(reader, getpid(), getpid(), &registers);
	kb_register_reader__destroy(reader);
	return found;
}
