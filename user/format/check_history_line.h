/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CHECK_HISTORY_LINE_H
#define KB_FORMAT_CHECK_HISTORY_LINE_H

#include <stdio.h>
#include "keelback/check_history.h"

/* A check as a line of a history, with its line end. Errors of the stream are the caller's. */
struct kb_error *kb_check_history_line__write(const struct kb_check *check,
					      const struct kb_check_mark *mark, FILE *stream);
/* The mark, completed as options are. */
struct kb_error *kb_check_mark__copy(struct kb_check_mark *known,
				     const struct kb_check_mark *given);

#endif
