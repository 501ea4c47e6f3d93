/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_MARSHAL_H
#define KB_FORMAT_MARSHAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Writes Python's marshal format, the part that all Pythons from 3.4 on read
 * (marshal version 4; types and layout: Python/marshal.c). Containers announce
 * their size or, dictionaries, are ended. Errors are the stream's.
 */
struct kb_marshal {
	FILE *stream;
	uint32_t n_refs; /* objects that can be referred to */
};

void kb_marshal__int(struct kb_marshal *marshal, int32_t value);
void kb_marshal__count(struct kb_marshal *marshal, uint64_t value);
void kb_marshal__float(struct kb_marshal *marshal, double value);
/* Bytes that are not UTF-8 are replaced. Returns the reference of the string. */
uint32_t kb_marshal__string(struct kb_marshal *marshal, const char *text);

/* The n objects that follow are its items. */
void kb_marshal__tuple(struct kb_marshal *marshal, uint32_t n);
/* The same, and returns its reference. */
uint32_t kb_marshal__shared_tuple(struct kb_marshal *marshal, uint32_t n);

/* What follows are key, value, key, value … until the end. */
void kb_marshal__dict_begin(struct kb_marshal *marshal);
void kb_marshal__dict_end(struct kb_marshal *marshal);

/* An object that was written before. */
void kb_marshal__ref(struct kb_marshal *marshal, uint32_t ref);

#endif
