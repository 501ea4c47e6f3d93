/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_MODE_H
#define KB_COLLECT_MODE_H

#include "keelback/profile.h"
#include "python/image.h"

/* Are the counts of the mode durations? Else they are samples. */
bool kb_mode__of_time(enum kb_sample_mode mode);

/* Can this interpreter be observed in this mode? KB_STATUS_UNSUPPORTED with the reason if not. */
struct kb_error *kb_mode__check(enum kb_sample_mode mode, const struct kb_image_info *image);

#endif
