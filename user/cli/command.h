/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_COMMAND_H
#define KB_CLI_COMMAND_H

#include <stddef.h>
#include "keelback/error.h"

/*
 * A command of the program: one command_NAME.c and one row in main.c's table. argv[0]
 * is the command's name. Returns an error for main to print and to take the exit
 * status from, or NULL with the exit status in *status, which is 0 before.
 */
struct kb_command {
	const char *name;
	const char *summary; /* one line, for the list of commands */
	struct kb_error *(*run)(int argc, char **argv, int *status);
};

struct kb_error *kb_command__sample(int argc, char **argv, int *status);
struct kb_error *kb_command__top(int argc, char **argv, int *status);
struct kb_error *kb_command__calls(int argc, char **argv, int *status);
struct kb_error *kb_command__memory(int argc, char **argv, int *status);
struct kb_error *kb_command__refs(int argc, char **argv, int *status);
struct kb_error *kb_command__convert(int argc, char **argv, int *status);
struct kb_error *kb_command__diff(int argc, char **argv, int *status);
struct kb_error *kb_command__check(int argc, char **argv, int *status);
struct kb_error *kb_command__stats(int argc, char **argv, int *status);
struct kb_error *kb_command__dump(int argc, char **argv, int *status);
struct kb_error *kb_command__census(int argc, char **argv, int *status);
struct kb_error *kb_command__faults(int argc, char **argv, int *status);
struct kb_error *kb_command__audit(int argc, char **argv, int *status);
struct kb_error *kb_command__ps(int argc, char **argv, int *status);
struct kb_error *kb_command__doctor(int argc, char **argv, int *status);

#endif
