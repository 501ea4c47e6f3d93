// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if !defined(__x86_64__)
#include "python/ref_points.h"

struct kb_error *kb_ref_points__tracer(const struct kb_elf_file *elf,
				       const struct kb_image_info *info,
				       struct kb_ref_points *points)
{
	return NULL;
}

struct kb_error *kb_ref_points__tracemalloc(const struct kb_elf_file *elf,
					    struct kb_ref_points *points)
{
	return NULL;
}
#endif
