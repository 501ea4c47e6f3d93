/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_VALUES_H
#define KB_CLI_VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>
#include "keelback/error.h"

/*
 * Values of options, read strictly: decimal digits and nothing before or after
 * them. Errors are KB_STATUS_USAGE, name the option, and leave the result as it was.
 */
#define KB_PID_LARGEST 4194304	/* PID_MAX_LIMIT, include/linux/threads.h */
#define KB_SECONDS_MAX 31536000 /* a year */

struct kb_error *kb_value__integer(const char *option, const char *text, long min, long max,
				   long *value);

/* 0.001 to KB_SECONDS_MAX, with or without a fraction. */
struct kb_error *kb_value__seconds(const char *option, const char *text, double *seconds);

/* Digits and ns, us, ms or s; at most 1000s. */
struct kb_error *kb_value__duration(const char *option, const char *text, uint64_t *ns);

/* PID[,PID…], added to the list (free(*pids)). */
struct kb_error *kb_value__pids(const char *option, const char *text, pid_t **pids, size_t *n);

/* One of the names (NULL-terminated): its index. */
struct kb_error *kb_value__choice(const char *option, const char *text, const char *const *names,
				  int *index);

/* HZ or "tick". */
struct kb_error *kb_value__rate(const char *option, const char *text, bool *tick, unsigned *hz);

/* Bytes, with K, M or G for their multiples of 1024: "64M". */
struct kb_error *kb_value__bytes(const char *option, const char *text, uint64_t *bytes);

#endif
