/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_TASK_LAYOUT_H
#define KB_PYTHON_TASK_LAYOUT_H

#include "bpf/shared/tasks.h"
#include "python/asyncio_offsets.h"
#include "python/image.h"
#include "system/elf_file.h"

/*
 * What the kernel needs to find asyncio's tasks in the processes of an image. info has its layouts
 * and version. tasks->code_type stays 0 where that is not known (free-threaded builds from 3.14
 * whose _asyncio is a file of its own).
 */
void kb_task_layout__read(const struct kb_elf_file *file, const struct kb_image_info *info,
			  struct kb_task_layout *tasks);
/* Its offsets, without the addresses of types. False: one is too large for what the kernel reads.
 */
bool kb_task_layout__set(const struct kb_asyncio_offsets *offsets, const struct kb_layout *layout,
			 const struct kb_object_layout *objects, struct kb_task_layout *tasks);

#endif
