// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "python/remote.h"

/* 16 MB: a stack of 100,000 frames, or the objects of a thousand frames' locals. */
#define PAGES_MAX 4096

struct kb_error *kb_remote__open(pid_t pid, const struct kb_interpreter *interp,
				 struct kb_remote *remote)
{
	const struct kb_image *image = &interp->image->image;

	*remote = (struct kb_remote){
		.pid = pid,
		.layout = &interp->image->layout,
		.objects = &interp->image->objects,
		.code_type = image->code_type + interp->bias,
		.interp_head = image->interp_head + interp->bias,
		.tstate_current = image->tstate_current ? image->tstate_current + interp->bias : 0,
	};
	return kb_pages__create(pid, PAGES_MAX, &remote->pages);
}

void kb_remote__begin(struct kb_remote *remote)
{
	kb_pages__forget(remote->pages);
	remote->work = 0;
}

void kb_remote__close(struct kb_remote *remote)
{
	kb_pages__destroy(remote->pages);
	remote->pages = NULL;
}
