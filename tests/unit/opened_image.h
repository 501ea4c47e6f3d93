/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TESTS_UNIT_OPENED_IMAGE_H
#define KB_TESTS_UNIT_OPENED_IMAGE_H

#include <fcntl.h>
#include <unistd.h>
#include "python/image.h"
#include "system/elf_file.h"

/* An interpreter's file, for tests of what is found in it. */
struct opened {
	int fd;
	struct kb_elf_file *elf;
	struct kb_image_info info;
};

static inline void open_image(const char *path, struct opened *opened)
{
	bool is_python = false;

	opened->fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(opened->fd >= 0);
	assert_null(kb_image__read(opened->fd, path, &is_python, &opened->info));
	assert_true(is_python);
	assert_null(kb_elf_file__open(opened->fd, &opened->elf));
	assert_non_null(opened->elf);
}

static inline void close_image(struct opened *opened)
{
	kb_elf_file__close(opened->elf);
	close(opened->fd);
}

#endif
