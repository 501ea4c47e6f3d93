/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_READ_FILE_H
#define KB_BASE_READ_FILE_H

#include "base/buf.h"
#include "keelback/error.h"

/* Appends a whole file, a pipe, too, to the buffer. More than the buffer's maximum is an error. */
struct kb_error *kb_read_file(const char *path, struct kb_buf *buf);

#endif
