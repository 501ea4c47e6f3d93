/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_REPR_H
#define KB_PYTHON_REMOTE_REPR_H

#include "base/buf.h"
#include "python/remote_object.h"

/* What the parts of kb_remote_object__repr() share. */
struct kb_repr {
	struct kb_remote *remote;
	const struct kb_remote_repr_opts *opts;
	struct kb_buf *out;
	size_t start;	/* of this value in out */
	uint32_t depth; /* containers around what is written */
};

void kb_repr__text(struct kb_repr *r, const char *text);
void kb_repr__format(struct kb_repr *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* As much is written as is wanted. */
bool kb_repr__is_full(const struct kb_repr *r);

/* Any object. */
void kb_repr__object(struct kb_repr *r, uint64_t object);

/* Those without parts. Functions that return bool: false when the object is not readable. */
void kb_repr__int(struct kb_repr *r, uint64_t object, const struct kb_remote_type *type);
void kb_repr__string(struct kb_repr *r, uint64_t object);
/* data: address of the bytes; size_at: of the word with their number. */
void kb_repr__bytes(struct kb_repr *r, uint64_t data, uint64_t size_at);
bool kb_repr__bytearray(struct kb_repr *r, uint64_t object);
bool kb_repr__float(struct kb_repr *r, uint64_t object);
bool kb_repr__complex(struct kb_repr *r, uint64_t object);

/* Exposed for tests: repr() of a float, at most 32 bytes. */
void kb_repr__double(double value, char text[32]);

/* A character as repr() shows it within such quotes: as it is, or escaped. */
#define KB_REPR_CHARACTER_MAX 12
void kb_repr__character(uint32_t c, char quote, char text[KB_REPR_CHARACTER_MAX]);

/* Decimal digits of an int of n digits of 30 bits, at most KB_REPR_DIGITS_MAX. */
#define KB_REPR_DIGITS_MAX 64 /* an int of 578 decimal digits; larger ones are described */
void kb_repr__decimal(const uint32_t *digits, size_t n, char *text, size_t size);

#endif
