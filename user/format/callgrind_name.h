/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CALLGRIND_NAME_H
#define KB_FORMAT_CALLGRIND_NAME_H

#include <stdio.h>
#include "base/strpool.h"

/* Names in files of callgrind's format stand behind the id that they get where they are used first;
 * names of a target can so not be taken for ids or for another line of the file. */

/* A blank and the name. */
void kb_callgrind_name__write(const char *name, FILE *stream);
/* A line `key=(id) name`, without the name where the pool has it already. */
void kb_callgrind_name__write_pooled(const char *key, struct kb_strpool *pool, const char *text,
				     FILE *stream);

#endif
