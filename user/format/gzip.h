/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_GZIP_H
#define KB_FORMAT_GZIP_H

#include <stddef.h>
#include <stdio.h>
#include "base/error.h"

/* A gzip member (RFC 1952) written to a stream as it comes, without name and time, so that the
 * same bytes give the same file. Errors of the stream are the stream's (ferror). */
struct kb_gzip;

struct kb_error *kb_gzip__create(FILE *stream, struct kb_gzip **gzip);
void kb_gzip__write(struct kb_gzip *gzip, const void *bytes, size_t size);
/* Writes what is left and frees; without it the member is not whole. */
void kb_gzip__finish(struct kb_gzip *gzip);

#endif
