/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_TEXT_POOL_H
#define KB_MODEL_TEXT_POOL_H

#include "base/strpool.h"

/* Text of targets and files in a model's pool: always UTF-8, never longer than recordings hold. */
#define KB_TEXT_POOL_STRING_MAX                                                                    \
	(64u << 10) /* longer ones are cut; the longest are command lines                          \
		     */

/* The pool's string with this text, what is not UTF-8 replaced, too long cut; NULL is "". NULL:
 * full or out of memory. */
const char *kb_text_pool__intern(struct kb_strpool *pool, const char *text);

#endif
