// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "format/flame_page.h"
#include "format/writers.h"
#include "keelback/diff.h"

struct kb_error *kb_diff_flamegraph__write(const struct kb_profile *profile,
					   const struct kb_format_opts *opts, FILE *stream)
{
	KB_TRY(kb_diff__check(opts->baseline, profile));
	return kb_flame_page__write(profile, opts->baseline, opts, stream);
}
