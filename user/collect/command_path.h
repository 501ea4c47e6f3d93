/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_COMMAND_PATH_H
#define KB_COLLECT_COMMAND_PATH_H

#include <stdbool.h>

/* The file that execvp() of this command will run, along PATH and through #! lines, into path (size
 * PATH_MAX). */
bool kb_command_path__executable(const char *command, char *path);

#endif
