// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/error.h"
#include "collect/mode.h"

bool kb_mode__of_time(enum kb_sample_mode mode)
{
	return mode == KB_MODE_WALL || mode == KB_MODE_GIL_WAIT;
}

static bool knows_gil(const struct kb_image_info *image)
{
	return image->image.gil || image->layout.interp_gil != KB_NO_OFFSET;
}

/* Does the interpreter, or the GIL itself, say who holds it? See bpf/python/state.bpf.c. */
static bool knows_holder(const struct kb_image_info *image)
{
	return image->image.tstate_current || image->image.tstate_tls.kind != KB_TLS_NONE ||
	       knows_gil(image);
}

struct kb_error *kb_mode__check(enum kb_sample_mode mode, const struct kb_image_info *image)
{
	const char *name = kb_sample_mode__name(mode);

	if ((mode == KB_MODE_GIL || mode == KB_MODE_GIL_WAIT) && image->free_threaded)
		return kb_unsupported("--mode %s: this Python %s is a free-threaded build, which "
				      "has no GIL",
				      name, image->version);
	if ((mode == KB_MODE_GIL && !knows_holder(image)) ||
	    (mode == KB_MODE_GIL_WAIT && !knows_gil(image)))
		return kb_unsupported("--mode %s: the GIL of this Python %s cannot be found%s",
				      name, image->version,
				      image->layout.version_minor == 6
					      ? ": in 3.6 only symbols tell, and it is stripped"
					      : "");
	if (mode == KB_MODE_EXCEPTION &&
	    (image->layout.tstate_exc_info == KB_NO_OFFSET || !image->image.none))
		return kb_unsupported("--mode %s: where this Python %s keeps exceptions is not "
				      "known",
				      name, image->version);
	return NULL;
}
