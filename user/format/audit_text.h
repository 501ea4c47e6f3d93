/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_AUDIT_TEXT_H
#define KB_FORMAT_AUDIT_TEXT_H

#include "keelback/audit.h"

/* A value as Python's repr() has it. */
void kb_audit_text__value(const struct kb_audit_value *value, FILE *stream);

/* The next character of a value's text, which may be a zero or half a surrogate pair; moves *text
 * behind it. */
uint32_t kb_audit_text__next(const char **text, const char *end);

#endif
