/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_LOG_H
#define KB_BASE_LOG_H

/* Messages beside the result; where they go is set by kb_log__set() (keelback/inspect.h). */
void kb_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void kb_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void kb_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
