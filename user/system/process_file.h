/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_PROCESS_FILE_H
#define KB_SYSTEM_PROCESS_FILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Files as a process sees them: in its mount namespace, below its root directory,
 * symbolic links followed as it would, never out of that root. Names come from the
 * target, so they are hostile.
 */

/* An absolute name is looked up from the process's root, another from its working directory.
 * flags as for open(2). Returns a descriptor, or -1 and errno. */
int kb_process_file__open(pid_t pid, const char *name, int flags);

/*
 * Reads a regular file of at most max bytes into *bytes (free it; a zero follows) and
 * *st. pid 0: one of our own, as we would open it. Else, when we are root, with
 * the rights of the process's user: a process cannot have us show what it may not
 * read. Nothing but a regular file is opened, so neither a pipe nor a device
 * notices. Returns 0 or an errno: EINVAL for what is no regular file, EFBIG for one that
 * is too large.
 */
int kb_process_file__read(pid_t pid, const char *name, size_t max, char **bytes, size_t *size,
			  struct stat *st);

#endif
