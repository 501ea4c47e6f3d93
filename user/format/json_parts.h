/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_JSON_PARTS_H
#define KB_FORMAT_JSON_PARTS_H

#include "base/json_out.h"
#include "keelback/profile.h"

/* Parts that JSON formats of profiles share. */

/* "frames": the most recent first, each with file, line and function. */
void kb_json_parts__frames(struct kb_json_out *out, const struct kb_profile *profile,
			   uint32_t leaf);
/* "attempted", and "entries" of the ledger: all, or those that are not 0. */
void kb_json_parts__ledger(struct kb_json_out *out, const struct kb_profile *profile, bool all);

#endif
