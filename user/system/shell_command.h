/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_SHELL_COMMAND_H
#define KB_SYSTEM_SHELL_COMMAND_H

/*
 * The same command for `sh -c`, with `exec` before it when it is a single simple one, so that the
 * shell becomes the program: one process less, and the program's id is known before it begins.
 * free() it; NULL: out of memory.
 */
char *kb_shell_command__with_exec(const char *command);

/* The program that a single simple command runs, as it is written there; NULL: the command is not
 * that simple, or memory is out. free() it. */
char *kb_shell_command__program(const char *command);

#endif
