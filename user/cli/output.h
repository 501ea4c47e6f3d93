/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_OUTPUT_H
#define KB_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>
#include "keelback/error.h"

/*
 * Where a report goes. A regular file is written beside its old content and takes
 * its place only when it is complete, so a run that fails destroys nothing;
 * whether that is possible is known at once, before anything is collected.
 */
struct kb_output;

/* path NULL or "-": stdout. */
struct kb_error *kb_output__open(const char *path, struct kb_output **output);
/* For what is to be read while it is written: in place, from its beginning. */
struct kb_error *kb_output__open_live(const char *path, struct kb_output **output);
FILE *kb_output__stream(struct kb_output *output);
/*
 * Ends writing: err is what came of it and is consumed. Without an error the file takes its
 * place. Where stdout's reader has gone, the error has no text: that needs no message.
 */
struct kb_error *kb_output__commit(struct kb_output *output, struct kb_error *err);
/* Drops what was not committed. NULL is allowed. */
void kb_output__destroy(struct kb_output *output);

/* Removes the unfinished file, if there is one. For signal handlers. */
void kb_output__abandon(void);

/* Can this file be written, as far as one can tell without touching it? */
struct kb_error *kb_output__check(const char *path);

/* Is it a pipe that nobody reads any more? */
bool kb_output__reader_gone(int fd);

/* Both names lead to one file, which would be replaced while it is what is read. */
bool kb_same_file(const char *a, const char *b);

#endif
