/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_OPTIONS_H
#define KB_BASE_OPTIONS_H

#include <stddef.h>
#include "base/error.h"

/*
 * Public options structs start with their size as the caller was compiled with.
 * A shorter one, from an older caller, is completed with zeros; a longer one is
 * taken when what we do not know is zero.
 */
struct kb_error *kb_options__copy(void *known, size_t known_size, const void *given)
	__attribute__((warn_unused_result));

/* known = pointer to our struct, given = pointer to the caller's. */
#define KB_COPY_OPTIONS(known, given) kb_options__copy((known), sizeof(*(known)), (given))

#endif
