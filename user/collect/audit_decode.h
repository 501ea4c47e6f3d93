/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_AUDIT_DECODE_H
#define KB_COLLECT_AUDIT_DECODE_H

#include "bpf/shared/audit.h"
#include "keelback/audit.h"

/* Turns the kernel's record of an event into values. */
struct kb_audit_decoder;

struct kb_audit_decoder *kb_audit_decoder__create(void); /* NULL: out of memory */
void kb_audit_decoder__destroy(struct kb_audit_decoder *decoder);

/*
 * Fills name, args, n_args, n_args_total and cut; they are valid until the next call. False: it is
 * no whole record.
 */
bool kb_audit_decoder__decode(struct kb_audit_decoder *decoder, const struct kb_data_audit *record,
			      size_t size, struct kb_audit_event *event);

/* Characters of 1, 2 or 4 bytes as UTF-8 into text, as many as fit; returns the bytes without the
 * zero. Characters that are none of Unicode's become U+FFFD, surrogates stay. width 0: UTF-8. */
size_t kb_audit__to_utf8(const void *characters, size_t bytes, unsigned int width, char *text,
			 size_t size);

#endif
